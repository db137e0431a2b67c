//! What lets a client keep, check and resume what it has: `ETag`, dates, `Range`, `HEAD`.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs::File;
use std::time::{Duration, SystemTime};

use head::{Head, Reply};

/// The address of the node n1.
const N1: &str = "127.0.0.11";

/// A head with a plain file, a file for n1, and n1.
fn head_with_files() -> Head {
    let head = Head::start();
    head.node("n1", N1, &["attr.rack=7"]);
    head.put("plain.ks", "0123456789\n");
    head.put("form.ks", "<n[name]> <a[rack]> 789\n");
    let date = SystemTime::now() - Duration::from_secs(3600);
    let plain = File::options()
        .write(true)
        .open(head.kickstarts().join("plain.ks"));
    plain.unwrap().set_modified(date).unwrap();
    head
}

fn tag(reply: &Reply) -> String {
    let tag = reply.header("ETag").expect("an ETag").to_owned();
    assert!(
        tag.starts_with('"') && tag.ends_with('"'),
        "{tag} is not strong"
    );
    tag
}

#[test]
fn head_has_the_header_of_get() {
    let head = head_with_files();
    for path in [
        "/kickstart/plain.ks",
        "/kickstart/form.ks",
        "/kickstart/gone.ks",
        "/ztp/script",
        "/healthz",
        "/nodes",
    ] {
        let mut get = head.get_from(N1, path);
        let mut answer = head.ask_from(N1, path, &["--head"]);
        for reply in [&mut get, &mut answer] {
            reply.headers.retain(|(name, _)| name != "Date");
        }
        assert_eq!(
            (answer.status, &answer.headers),
            (get.status, &get.headers),
            "{path}"
        );
        assert_eq!(
            answer.header("Content-Length"),
            Some(&*get.body.len().to_string()),
            "{path}"
        );
    }
}

#[test]
fn who_has_the_current_content_is_told_so() {
    let head = head_with_files();
    for path in ["/kickstart/plain.ks", "/kickstart/form.ks"] {
        let tag = tag(&head.get_from(N1, path));
        for condition in [
            tag.clone(),
            format!("\"other\", {tag}"),
            format!("W/{tag}"),
            "*".into(),
        ] {
            let field = format!("If-None-Match: {condition}");
            let reply = head.ask_from(N1, path, &["-H", &field]);
            assert_eq!(reply.status, 304, "{path} {condition}");
            assert_eq!(reply.header("ETag"), Some(&*tag), "{path} {condition}");
            assert!(reply.body.is_empty());
        }
        let reply = head.ask_from(N1, path, &["-H", "If-None-Match: \"other\""]);
        assert_eq!(reply.status, 200, "{path}");
    }
}

#[test]
fn a_tag_changes_with_the_file_the_node_and_its_values() {
    let head = head_with_files();
    head.node("n2", "127.0.0.12", &["attr.rack=7"]);
    let now = || tag(&head.get_from(N1, "/kickstart/form.ks"));
    let first = now();
    assert_eq!(now(), first);
    assert_ne!(
        tag(&head.get_from("127.0.0.12", "/kickstart/form.ks")),
        first
    );
    head.cli(["node", "set", "n1", "rack=8"]);
    let second = now();
    assert_ne!(second, first);
    head.put("form.ks", "<n[name]> <a[rack]> 780\n");
    assert_ne!(now(), second);
    head.put("form.ks", "<n[name]> <a[rack]> 789\n");
    head.cli(["node", "set", "n1", "rack=7"]);
    assert_eq!(now(), first, "a tag depends on the bytes alone");
}

#[test]
fn a_plain_file_has_a_date_to_ask_by() {
    let head = head_with_files();
    let reply = head.get("/kickstart/plain.ks");
    let date = reply.header("Last-Modified").expect("a date");
    let since = |date: &str| {
        head.ask_from(
            N1,
            "/kickstart/plain.ks",
            &["-H", &format!("If-Modified-Since: {date}")],
        )
    };
    assert_eq!(since(date).status, 304);
    assert_eq!(since("Thu, 01 Jan 1998 00:00:00 GMT").status, 200);
    // When the values last changed is not known.
    let rendered = head.get_from(N1, "/kickstart/form.ks");
    assert_eq!(rendered.header("Last-Modified"), None);
}

#[test]
fn a_part_is_sent_where_a_part_is_asked_for() {
    let head = head_with_files();
    for (path, whole) in [
        ("/kickstart/plain.ks", "0123456789\n"),
        ("/kickstart/form.ks", "n1 7 789\n"),
    ] {
        let length = whole.len();
        for (range, from, to) in [
            ("2-4", 2, 5),
            ("3-", 3, length),
            ("-4", length - 4, length),
            ("2-9999", 2, length),
        ] {
            let reply = head.ask_from(N1, path, &["--range", range]);
            assert_eq!(
                (reply.status, reply.text()),
                (206, &whole[from..to]),
                "{path} {range}"
            );
            let said = format!("bytes {from}-{}/{length}", to - 1);
            assert_eq!(
                reply.header("Content-Range"),
                Some(&*said),
                "{path} {range}"
            );
        }
        let reply = head.ask_from(N1, path, &["--range", &format!("{length}-")]);
        assert_eq!(reply.status, 416, "{path}");
        let said = format!("bytes */{length}");
        assert_eq!(reply.header("Content-Range"), Some(&*said), "{path}");
    }
}

#[test]
fn what_changed_meanwhile_is_sent_whole() {
    let head = head_with_files();
    let resume = |path: &str, field: &str| head.ask_from(N1, path, &["--range", "5-", "-H", field]);

    let before = tag(&head.get_from(N1, "/kickstart/form.ks"));
    let field = format!("If-Range: {before}");
    assert_eq!(resume("/kickstart/form.ks", &field).status, 206);
    head.cli(["node", "set", "n1", "rack=8"]);
    let reply = resume("/kickstart/form.ks", &field);
    assert_eq!((reply.status, reply.text()), (200, "n1 8 789\n"));

    let before = head.get("/kickstart/plain.ks");
    let by_date = format!("If-Range: {}", before.header("Last-Modified").unwrap());
    let by_tag = format!("If-Range: {}", tag(&before));
    assert_eq!(resume("/kickstart/plain.ks", &by_date).status, 206);
    assert_eq!(resume("/kickstart/plain.ks", &by_tag).status, 206);
    head.put("plain.ks", "a newer file\n");
    for field in [by_date, by_tag] {
        let reply = resume("/kickstart/plain.ks", &field);
        assert_eq!(
            (reply.status, reply.text()),
            (200, "a newer file\n"),
            "{field}"
        );
    }
}

#[test]
fn an_error_is_not_what_a_condition_is_about() {
    let head = head_with_files();
    for field in [
        "If-None-Match: *",
        "Range: bytes=0-3",
        "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT",
    ] {
        let reply = head.ask_from(N1, "/kickstart/gone.ks", &["-H", field]);
        assert_eq!(reply.status, 404, "{field}");
        assert!(reply.text().contains("gone.ks"), "{field}: {reply:?}");
    }
}
