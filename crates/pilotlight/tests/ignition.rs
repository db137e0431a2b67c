//! `GET /ignition/<UID>`: a node's config, from where its `_ignition` says; valid, or not sent at all.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::os::unix::fs::symlink;

use head::{Head, get_request, mac_of, until};
use serde_json::{Value, json};

/// The address of the node n1.
const N1: &str = "127.0.0.11";

/// Written as nothing would write it that had read it.
const CONFIG: &str = "{ \"ignition\" : {\"version\": \"3.3.0\"},\n\t\"storage\": {\"files\": [{\"path\": \"/etc/a\"}]} }\n\n";

/// A head whose node n1 has its config in the file `name`.
fn head_with(name: &str, content: impl AsRef<[u8]>) -> Head {
    let head = Head::start();
    head.put(name, content);
    head.node("n1", N1, &[&format!("attr._ignition={name}")]);
    head
}

/// What n1 gets where its config is a file of this name and content: status and body.
fn served(head: &Head, name: &str, content: impl AsRef<[u8]>) -> (u16, String) {
    head.put(name, content);
    head.cli(["node", "set", "n1", &format!("_ignition={name}")]);
    let reply = head.get("/ignition/n1");
    (reply.status, reply.text().to_owned())
}

/// The contents of the config's only file.
fn contents(config: &Value) -> &str {
    let files = config["storage"]["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{config}");
    files[0]["contents"]["source"].as_str().unwrap()
}

#[test]
fn a_config_is_served_byte_for_byte() {
    let head = head_with("a.ign", CONFIG);
    let reply = head.get("/ignition/n1");
    assert_eq!((reply.status, reply.text()), (200, CONFIG));
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
    let length = CONFIG.len().to_string();
    assert_eq!(reply.header("Content-Length"), Some(&*length));
    let tag = reply.header("ETag").unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");

    let of_head = head.ask_from(N1, "/ignition/n1", &["--head"]);
    assert_eq!((of_head.status, of_head.text()), (200, ""));
    let names = ["Content-Type", "Content-Length", "ETag"];
    for name in names {
        assert_eq!(of_head.header(name), reply.header(name), "{name}");
    }
    let known = format!("If-None-Match: {tag}");
    let unchanged = head.ask_from(N1, "/ignition/n1", &["-H", &known]);
    assert_eq!((unchanged.status, unchanged.text()), (304, ""));
    let other = head.ask_from(N1, "/ignition/n1", &["-H", "If-None-Match: \"other\""]);
    assert_eq!((other.status, other.text()), (200, CONFIG));

    let on_the_wire = head.ask_raw(get_request("/api/v1/ignition/n1", ""));
    for name in names {
        let is_it = |(known, _): &(String, String)| known == name.replace("ETag", "Etag").as_str();
        assert!(on_the_wire.headers.iter().any(is_it), "{on_the_wire:?}");
    }
}

#[test]
fn a_node_is_found_by_all_that_it_is_called() {
    let head = head_with("a.ign", CONFIG);
    let uid = head.api("GET", "/node/n1", None).data()["uid"].take();
    let mac = mac_of(N1);
    for id in [
        uid.as_str().unwrap(),
        "n1",
        &mac,
        &mac.to_uppercase(),
        &mac.replace(':', "-"),
        &mac.replace(':', ""),
        N1,
        "::ffff:127.0.0.11",
    ] {
        // Whoever asks.
        let reply = head.get_from("127.0.0.99", &format!("/ignition/{id}"));
        assert_eq!((reply.status, reply.text()), (200, CONFIG), "{id}");
    }
}

#[test]
fn the_node_its_groups_and_the_default_group_say_where_it_is() {
    let head = Head::start();
    head.cli(["group", "create", "gpu"]);
    head.node("n1", N1, &["groups=gpu"]);
    for (level, command) in [
        ("default", ["group", "set", "DefaultAttribs"]),
        ("group", ["group", "set", "gpu"]),
        ("node", ["node", "set", "n1"]),
    ] {
        let config = format!("{{\"ignition\": {{\"version\": \"3.3.0\"}}, \"{level}\": 1}}");
        head.put(&format!("{level}.ign"), &config);
        let place = format!("_ignition={level}.ign");
        head.cli([&command[..], &[&place]].concat());
        assert_eq!(head.get("/ignition/n1").text(), config);
    }
}

#[test]
fn the_name_of_a_file_says_its_language() {
    let head = head_with("a.ign", CONFIG);
    let butane = "variant: fcos\nversion: 1.4.0\nstorage:\n  files:\n  - path: /etc/a\n    contents:\n      inline: hi\n";
    let translated = json!({
        "ignition": {"version": "3.3.0"},
        "storage": {"files": [{"path": "/etc/a", "contents": {"compression": "", "source": "data:,hi"}}]},
    });
    for (name, content) in [
        ("a.ign", CONFIG),
        ("a.json", CONFIG),
        ("rack7/site.2.ign", CONFIG),
        ("a.bu", butane),
        ("a.butane", butane),
    ] {
        let (status, text) = served(&head, name, content);
        assert_eq!(status, 200, "{name}: {text}");
        if content == butane {
            let config: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(config, translated, "{name}");
        } else {
            assert_eq!(text, content, "{name}");
        }
    }
    for name in ["a.yaml", "a.ks", "ign", "a.IGN"] {
        let (status, text) = served(&head, name, CONFIG);
        assert_eq!(status, 422, "{name}: {text}");
        let advice =
            ": an Ignition config is called .ign or .json, a Butane config .bu or .butane\n";
        assert_eq!(text, format!("{name}{advice}"));
    }
}

#[test]
fn a_local_file_of_butane_is_taken_from_beside_it_as_it_is_now() {
    let butane = "variant: fcos\nversion: 1.4.0\nstorage:\n  files:\n  - path: /etc/a\n    contents:\n      local: motd\n";
    let head = head_with("rack7/a.bu", butane);
    let missing = head.get("/ignition/n1");
    assert_eq!(missing.status, 422, "{missing:?}");
    assert!(
        missing.text().contains("$.storage.files[0].contents.local"),
        "{missing:?}"
    );
    // The files directory comes later than the first who asked.
    for number in 0..20 {
        let text = format!("number-{number:02}");
        head.put("rack7/files/motd", &text);
        let reply = head.get("/ignition/n1");
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(contents(&reply.json()), format!("data:,{text}"));
    }
    let reply = head.get("/ignition/n1");
    fs::remove_file(head.kickstarts().join("rack7/files/motd")).unwrap();
    assert_eq!(head.get("/ignition/n1").status, 422);
    head.put("rack7/files/motd", "number-19");
    assert_eq!(head.get("/ignition/n1"), reply);
}

#[test]
fn a_tree_of_butane_grows_as_its_directory_does() {
    let butane =
        "variant: fcos\nversion: 1.4.0\nstorage:\n  trees:\n  - local: etc\n    path: /etc\n";
    let head = head_with("a.bu", butane);
    head.put("files/etc/a", "1");
    let files = || {
        let config = head.get("/ignition/n1").json();
        let files = config["storage"]["files"].as_array().unwrap();
        let path = |file: &Value| file["path"].as_str().unwrap().to_owned();
        files.iter().map(path).collect::<Vec<_>>()
    };
    assert_eq!(files(), ["/etc/a"]);
    head.put("files/etc/b/c", "2");
    assert_eq!(files(), ["/etc/a", "/etc/b/c"]);
    fs::remove_file(head.kickstarts().join("files/etc/a")).unwrap();
    assert_eq!(files(), ["/etc/b/c"]);
}

#[test]
fn nothing_from_outside_gets_into_a_config() {
    let local = |name: &str| {
        format!(
            "variant: fcos\nversion: 1.4.0\nstorage:\n  files:\n  - path: /etc/a\n    contents:\n      local: {name}\n"
        )
    };
    let head = head_with("a.bu", local("link"));
    let secret = head.path("secret");
    fs::write(&secret, "hunter2").unwrap();
    head.put("files/inside", "inside");
    symlink(&secret, head.kickstarts().join("files/link")).unwrap();
    symlink("inside", head.kickstarts().join("files/near")).unwrap();
    for name in ["link", "../a.bu", "inside/../../a.bu"] {
        let (status, text) = served(&head, "a.bu", local(name));
        assert_eq!(status, 422, "{name}: {text}");
        assert!(text.contains("outside of the files directory"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    // An absolute name means one in the files directory.
    assert_eq!(served(&head, "a.bu", local("/etc/passwd")).0, 422);
    for name in ["near", "/inside"] {
        let (status, text) = served(&head, "a.bu", local(name));
        assert_eq!(status, 200, "{name}: {text}");
    }

    symlink(&secret, head.kickstarts().join("b.ign")).unwrap();
    for (value, status) in [
        ("b.ign", 403),
        ("../secret.ign", 422),
        ("/etc/passwd", 422),
        ("file:///etc/passwd", 403),
    ] {
        head.cli(["node", "set", "n1", &format!("_ignition={value}")]);
        let reply = head.get("/ignition/n1");
        assert_eq!(reply.status, status, "{value}: {reply:?}");
        assert!(!reply.text().contains("hunter2"), "{reply:?}");
    }
}

#[test]
fn what_is_not_there_is_404_with_the_reason() {
    let head = Head::start();
    head.node("n1", N1, &[]);
    let directory = head.kickstarts().display().to_string();
    let refused = |id: &str| {
        let reply = head.get(&format!("/ignition/{id}"));
        let kind = reply.header("Content-Type").map(str::to_owned);
        assert_eq!(kind.as_deref(), Some("text/plain; charset=utf-8"));
        format!("{} {}", reply.status, reply.text())
    };
    assert_eq!(refused("n9"), "404 there is no node \"n9\"\n");
    let without = "404 node n1 has no attribute \"_ignition\"\n";
    assert_eq!(refused("n1"), without);
    head.cli(["node", "set", "n1", "_ignition=gone.ign"]);
    let gone = format!("404 no file \"gone.ign\" in {directory}\n");
    assert_eq!(refused("n1"), gone);
    head.put("gone.ign", CONFIG);
    assert_eq!(head.get("/ignition/n1").text(), CONFIG);
}

#[test]
fn what_no_client_can_use_is_422_with_path_and_place_in_one_line() {
    let head = head_with("a.ign", CONFIG);
    let with = |storage: &str| {
        format!("{{\"ignition\": {{\"version\": \"3.3.0\"}},\n\"storage\": {storage}}}")
    };
    for (name, content, reason) in [
        (
            "a.ign",
            with("{\"files\": [{\"path\": \"/a\"},\n  {\"path\": \"etc/b\"}]}"),
            "a.ign: $.storage.files[1].path: ",
        ),
        (
            "a.ign",
            with("{\"files\": [{\"path\": \"/a\", \"mode\": \"0644\"}]}"),
            "a.ign: $.storage.files[0].mode: ",
        ),
        (
            "a.ign",
            with("{\"files\": [{\"path\": \"/a\"}, {\"path\": \"/a\"}]}"),
            "a.ign: $.storage.files[1]",
        ),
        ("a.ign", "{\"ignition\": ".to_owned(), "a.ign: "),
        ("a.ign", "{}".to_owned(), "not an Ignition config"),
        ("a.ign", "null".to_owned(), "not an Ignition config"),
        ("a.ign", "<html>not found</html>".to_owned(), "a.ign: "),
        (
            "a.ign",
            "{\"ignition\": {\"version\": \"2.3.0\"}}".to_owned(),
            "ign-converter",
        ),
        (
            "a.ign",
            "{\"ignition\": {\"version\": \"3.9.0\"}}".to_owned(),
            "use 3.0.0 to 3.6.0",
        ),
        (
            "a.bu",
            "variant: fcos\nversion: 1.4.0\nstorage:\n  files:\n  - path: etc/b\n".to_owned(),
            "a.bu: $.storage.files[0].path: ",
        ),
        ("a.bu", "variant: [\n".to_owned(), "a.bu: "),
    ] {
        let (status, text) = served(&head, name, &content);
        assert_eq!(status, 422, "{content}: {text}");
        assert!(text.contains(reason), "{content}: {text}");
        assert!(text.starts_with(&format!("{name}: ")), "{content}: {text}");
        assert_eq!(text.lines().count(), 1, "{content}: {text}");
        assert!(text.contains("(line "), "{content}: {text}");
    }
    let (_, text) = served(
        &head,
        "a.ign",
        with("{\"files\": [\n{\"path\": \"etc/b\"}]}"),
    );
    assert!(text.contains("(line 3 column "), "{text}");
    for (name, content) in [
        ("a.ign", ""),
        ("a.bu", ""),
        ("a.bu", "variant: openshift\nversion: 4.12.0\n"),
        ("a.ign", " \n"),
        ("a.bu", "# a\n"),
    ] {
        let (status, text) = served(&head, name, content);
        assert_eq!(status, 422, "{name} {content:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{name} {content:?}: {text}");
    }
    // A warning is none of the client's business.
    let odd = "{\"ignition\": {\"version\": \"3.3.0\"}, \"odd\": true}";
    assert_eq!(served(&head, "a.ign", odd), (200, odd.to_owned()));
}

#[test]
fn of_two_files_alike_each_is_called_by_its_own_name() {
    let head = head_with("a.ign", "{}");
    let (_, of_a) = served(&head, "a.ign", "{}");
    let (_, of_b) = served(&head, "b.json", "{}");
    assert!(of_a.starts_with("a.ign: "), "{of_a}");
    assert_eq!(of_b, of_a.replace("a.ign", "b.json"));
}

#[test]
fn a_client_that_is_too_old_is_told_both_versions() {
    let head = head_with("a.ign", CONFIG);
    let asked = |accept: &str| {
        let accept = format!("Accept: {accept}");
        let reply = head.ask_from(N1, "/ignition/n1", &["-H", &accept]);
        (reply.status, reply.text().to_owned())
    };
    let (status, text) = asked("application/vnd.coreos.ignition+json;version=3.0.0");
    assert_eq!(status, 406, "{text}");
    assert!(text.contains("3.3.0") && text.contains("3.0.0"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for accept in [
        "application/vnd.coreos.ignition+json;version=3.3.0, */*;q=0.1",
        "application/vnd.coreos.ignition+json;version=3.5.0, */*;q=0.1",
        "*/*",
        "text/html",
    ] {
        assert_eq!(asked(accept), (200, CONFIG.to_owned()), "{accept}");
    }
}

#[test]
fn what_was_sent_and_what_was_not_is_in_the_ledger() {
    let head = head_with("a.ign", CONFIG);
    let records = |count: usize| {
        until(&format!("{count} records"), || {
            let records = head.ledger("limit=9");
            (records.len() == count).then_some(records)
        })
    };
    assert_eq!(head.get_from(N1, "/ignition/n1").status, 200);
    let sent = records(1).remove(0);
    let sum =
        head::run(std::process::Command::new("sha256sum").arg(head.kickstarts().join("a.ign")));
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(sent["sha256"], sum[..64]);
    assert_eq!(sent["path"], "/api/v1/ignition/n1");
    assert_eq!(sent["node"], "n1");
    assert_eq!(sent["status"], 200);
    assert_eq!(sent["bytes"], CONFIG.len());
    assert_eq!(sent["complete"], true);
    assert_eq!(sent.get("reason"), None);
    assert!(
        sum.starts_with(sent["file_revision"].as_str().unwrap()),
        "{sent}"
    );

    head.put("a.ign", "{}");
    let reply = head.get_from(N1, "/ignition/n1");
    let refused = records(2).remove(0);
    assert_eq!(refused["status"], 422);
    assert_eq!(refused["reason"], reply.text().trim_end());
    assert_eq!(refused.get("sha256"), None, "{refused}");
    let line = head.log_lines("status=422", 1).remove(0);
    assert!(
        line.contains("reason=\"a.ign: $.ignition.version: "),
        "{line}"
    );
}
