//! `/files`: boot files as administrators store them.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::path::PathBuf;

use head::{Head, Reply, run};
use serde_json::{Value, json};

/// Puts a file by the API, with more options of curl.
fn put(head: &Head, name: &str, content: impl AsRef<[u8]>, options: &[&str]) -> Reply {
    let file = head.path("upload");
    fs::write(&file, content).unwrap();
    let body = format!("@{}", file.display());
    let options = [&["-H", "Expect:", "--data-binary", &body], options].concat();
    head.api_with("PUT", &format!("/files/{name}"), &options)
}

fn names(head: &Head, query: &str) -> Vec<String> {
    let list = head.api("GET", &format!("/files{query}"), None).data();
    list.as_object().unwrap().keys().cloned().collect()
}

/// The SHA-256 of some bytes, as coreutils sees it.
fn sha256(head: &Head, bytes: &[u8]) -> String {
    let file = head.path("to-hash");
    fs::write(&file, bytes).unwrap();
    let output = run(std::process::Command::new("sha256sum").arg(file));
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

/// What is really in the kickstarts directory, with what is hidden there.
fn on_disk(head: &Head) -> Vec<PathBuf> {
    let (mut waiting, mut found) = (vec![head.kickstarts()], Vec::new());
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(path.clone());
            }
            found.push(path.strip_prefix(head.kickstarts()).unwrap().to_owned());
        }
    }
    found.sort();
    found
}

#[test]
fn a_file_is_stored_listed_shown_and_deleted() {
    let head = Head::start();
    let content = b"text <a[not_rendered]>\n\0\xff\xfe";
    let stored = put(&head, "rack7/a.ks", content, &[]);
    assert_eq!(stored.status, 201);
    let entry = stored.data();
    assert_eq!(
        (&entry["name"], &entry["size"]),
        (&json!("rack7/a.ks"), &json!(content.len()))
    );
    assert_eq!(entry["sha256"], sha256(&head, content));
    let list = head.api("GET", "/files", None).json();
    assert_eq!(
        list,
        json!({"success": true, "data": {"rack7/a.ks": entry}})
    );

    let shown = head.api("GET", "/files/rack7/a.ks", None);
    assert_eq!((shown.status, shown.body.as_slice()), (200, &content[..]));
    assert_eq!(
        shown.header("Content-Type"),
        Some("application/octet-stream")
    );
    assert_eq!(
        fs::read(head.kickstarts().join("rack7/a.ks")).unwrap(),
        content
    );
    assert_eq!(
        on_disk(&head),
        [PathBuf::from("rack7"), "rack7/a.ks".into()]
    );

    let replaced = put(&head, "rack7/a.ks", "other\n", &[]);
    assert_eq!(
        (replaced.status, &replaced.data()["size"]),
        (200, &json!(6))
    );
    assert_eq!(head.api("GET", "/files/rack7/a.ks", None).body, b"other\n");

    let deleted = head.api("DELETE", "/files/rack7/a.ks", None);
    assert_eq!(deleted.json(), json!({"success": true}));
    for method in ["GET", "DELETE"] {
        let gone = head.api(method, "/files/rack7/a.ks", None);
        assert!(
            gone.refusal().starts_with("404 no file \"rack7/a.ks\" in "),
            "{gone:?}"
        );
    }
    assert_eq!(head.api("GET", "/files", None).data(), json!({}));
    assert_eq!(on_disk(&head), [""; 0].map(PathBuf::from));
}

#[test]
fn what_is_stored_is_what_nodes_get_at_once() {
    let head = Head::start();
    head.node("n1", "127.0.0.11", &["attr.rack=7"]);
    for round in 0..5 {
        put(
            &head,
            "a.ks",
            format!("round {round} rack <a[rack]>\n"),
            &[],
        );
        let reply = head.get_from("127.0.0.11", "/kickstart/a.ks");
        assert_eq!(reply.text(), format!("round {round} rack 7\n"));
    }
    assert_eq!(head.api("DELETE", "/files/a.ks", None).status, 200);
    assert_eq!(head.get_from("127.0.0.11", "/kickstart/a.ks").status, 404);
    // What an administrator's `cp` put there is there as well.
    head.put("b.ks", "copied\n");
    assert_eq!(names(&head, ""), ["b.ks"]);
    assert_eq!(head.api("GET", "/files/b.ks", None).body, b"copied\n");
}

#[test]
fn conditions_guard_a_file() {
    let head = Head::start();
    let only_new = ["-H", "If-None-Match: *"];
    assert_eq!(
        put(&head, "a.ks", "one\n", &["-H", "If-Match: *"]).status,
        412
    );
    assert_eq!(put(&head, "a.ks", "one\n", &only_new).status, 201);
    let first = head
        .api("GET", "/files/a.ks", None)
        .header("ETag")
        .unwrap()
        .to_owned();
    let refused = put(&head, "a.ks", "two\n", &only_new);
    assert!(refused.refusal().starts_with("412 "), "{refused:?}");
    let if_first = format!("If-Match: {first}");
    assert_eq!(put(&head, "a.ks", "two\n", &["-H", &if_first]).status, 200);
    assert_eq!(
        put(&head, "a.ks", "three\n", &["-H", &if_first]).status,
        412
    );
    assert_eq!(
        head.api_with("DELETE", "/files/a.ks", &["-H", &if_first])
            .status,
        412
    );
    assert_eq!(head.api("GET", "/files/a.ks", None).body, b"two\n");
    assert_eq!(on_disk(&head), [PathBuf::from("a.ks")]);

    let second = head
        .api("GET", "/files/a.ks", None)
        .header("ETag")
        .unwrap()
        .to_owned();
    let unchanged = head.api_with(
        "GET",
        "/files/a.ks",
        &["-H", &format!("If-None-Match: {second}")],
    );
    assert_eq!(
        (unchanged.status, unchanged.body.as_slice()),
        (304, &b""[..])
    );
    let part = head.api_with("GET", "/files/a.ks", &["-r", "1-2"]);
    assert_eq!(
        (part.status, part.text(), part.header("Content-Range")),
        (206, "wo", Some("bytes 1-2/4"))
    );
    let headers = head.api_with("GET", "/files/a.ks", &["--head"]);
    assert_eq!(
        (
            headers.status,
            headers.header("Content-Length"),
            headers.header("ETag")
        ),
        (200, Some("4"), Some(second.as_str()))
    );
    assert_eq!(
        head.api_with(
            "DELETE",
            "/files/a.ks",
            &["-H", &format!("If-Match: {second}")]
        )
        .status,
        200
    );
}

#[test]
fn no_name_leads_out_of_the_directory() {
    let head = Head::start();
    let secret = head.path("secret");
    fs::write(&secret, "secret\n").unwrap();
    head.put("sub/a.ks", "text\n");
    std::os::unix::fs::symlink(&secret, head.kickstarts().join("link")).unwrap();
    std::os::unix::fs::symlink(head.path(""), head.kickstarts().join("out")).unwrap();
    let before = on_disk(&head);
    for (name, statuses) in [
        ("../secret", &[400][..]),
        ("%2e%2e/secret", &[400]),
        ("sub/%2e%2e/%2e%2e/secret", &[400]),
        ("..%2fsecret", &[400]),
        ("sub/..\\..\\secret", &[400]),
        ("a%00b", &[400]),
        ("a%0ab", &[400]),
        ("%ff", &[400]),
        ("out/secret", &[403]),
        ("link", &[403]),
        ("sub", &[404]),
        ("sub/a.ks/b", &[404, 409]),
        (&"x".repeat(256), &[400]),
        (&"x/".repeat(40), &[400]),
    ] {
        for reply in [
            head.api("GET", &format!("/files/{name}"), None),
            put(&head, name, "mine\n", &[]),
            head.api("DELETE", &format!("/files/{name}"), None),
        ] {
            // A link itself may be replaced and deleted; that changes nothing outside.
            if name != "link" || reply.status != 200 {
                assert!(statuses.contains(&reply.status), "{name}: {reply:?}");
                assert!(reply.refusal().len() > 4);
            }
        }
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret\n", "{name}");
    }
    let mut expected = before;
    expected.retain(|path| path != &PathBuf::from("link"));
    assert_eq!(on_disk(&head), expected);
}

#[test]
fn a_file_too_large_or_empty_is_refused_and_leaves_nothing() {
    let head = Head::start();
    let too_large = put(&head, "big.ks", vec![b'x'; (16 << 20) + 1], &[]);
    assert_eq!(
        too_large.refusal(),
        "413 the body is larger than 16777216 bytes"
    );
    // Nodes would get nothing from it.
    let empty = put(&head, "empty.ks", "", &[]);
    assert_eq!(empty.refusal(), "422 empty.ks would be empty");
    assert_eq!(on_disk(&head), [""; 0].map(PathBuf::from));
    assert_eq!(put(&head, "big.ks", vec![b'x'; 16 << 20], &[]).status, 201);
    assert_eq!(head.api("GET", "/files/big.ks", None).body.len(), 16 << 20);
}

#[test]
fn lists_page_and_filter() {
    let head = Head::start();
    for number in 0..25 {
        head.put(
            &format!("rack{}/n{number:02}.ks", number % 3),
            format!("{number}\n"),
        );
    }
    head.put("top.ks", "text\n");
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = head
            .api("GET", &format!("/files?limit=4{cursor}"), None)
            .json();
        let files = page["data"].as_object().unwrap();
        seen.extend(files.keys().cloned());
        match page["next"].as_str() {
            Some(next) => {
                assert_eq!(files.len(), 4);
                cursor = format!("&cursor={next}");
            }
            None => break,
        }
    }
    assert!(seen.is_sorted() && seen.len() == 26, "{seen:?}");
    assert_eq!(names(&head, "?name=rack0/*").len(), 9);
    assert_eq!(names(&head, "?name=*/n07.ks"), ["rack1/n07.ks"]);
    assert_eq!(names(&head, "?name=t*"), ["top.ks"]);
    let refused = head.api("GET", "/files?size=1", None);
    assert_eq!(
        refused.refusal(),
        "400 there is no filter size; there is name"
    );
}

#[test]
fn of_many_who_store_one_file_each_stores_a_whole_one() {
    let head = Head::start();
    let store = |number: usize| {
        let line: Value = json!({ "number": number, "padding": "x".repeat(50_000) });
        ("PUT", "/files/a.ks".to_owned(), line)
    };
    let stores: Vec<_> = (0..20).map(store).collect();
    let mut statuses = head.at_once(&stores);
    statuses.sort_unstable();
    assert_eq!((&statuses[..19], statuses[19]), (&[200; 19][..], 201));
    let kept = head.api("GET", "/files/a.ks", None).json();
    let number = kept["number"].as_u64().unwrap();
    assert!(number < 20 && kept["padding"].as_str().unwrap().len() == 50_000);
    assert_eq!(on_disk(&head), [PathBuf::from("a.ks")]);
}
