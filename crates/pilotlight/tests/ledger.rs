//! What is recorded of each boot request: in the ledger, and as one line of the log.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::io::{Read, Write};
use std::process::Command;

use head::{Head, run, until};
use serde_json::Value;

/// The address of the node n1.
const N1: &str = "127.0.0.11";

/// The records, newest first, as soon as there are `count`.
fn records(head: &Head, count: usize) -> Vec<Value> {
    until(&format!("{count} records are in the ledger"), || {
        let records = head.ledger("limit=1000");
        assert!(records.len() <= count, "{records:#?}");
        (records.len() == count).then_some(records)
    })
}

/// The one record.
fn record(head: &Head) -> Value {
    records(head, 1).remove(0)
}

#[test]
fn a_good_fetch_is_recorded_with_what_was_sent() {
    let head = Head::start();
    head.node("n1", N1, &["attr.rack=7"]);
    head.put("a.ks", "name <n[name]> rack <a[rack]>\n");
    let fetched = head.path("fetched");
    let url = head.url("/kickstart/a.ks");
    let interface = format!("host!{N1}");
    let curl = run(Command::new("curl")
        .args(["-sSf", "--interface", &interface, &url, "-o"])
        .arg(&fetched));
    assert!(curl.status.success());
    let sum = run(Command::new("sha256sum").arg(&fetched));
    let sum = String::from_utf8(sum.stdout).unwrap();

    let record = record(&head);
    let node = head.api("GET", "/node/n1", None).data();
    assert_eq!(record["sha256"], sum[..64]);
    assert_eq!(record["node"], "n1");
    assert_eq!(record["node_uid"], node["uid"]);
    assert_eq!(record["node_revision"], node["revision"]);
    assert_eq!(record["address"], N1);
    assert_eq!(record["how"], "address");
    assert_eq!(record["path"], "/api/v1/kickstart/a.ks");
    assert_eq!(record["status"], 200);
    assert_eq!(record["bytes"], fs::metadata(&fetched).unwrap().len());
    assert_eq!(record["sent"], record["bytes"]);
    assert_eq!(record["complete"], true);
    assert_eq!(record.get("reason"), None);
    assert!(record["ms"].as_f64().unwrap() > 0.0);
    let cluster = head.api("GET", "/cluster", None).data();
    assert_eq!(record["head"], cluster["head"]);
    let time: jiff::Timestamp = record["time"].as_str().unwrap().parse().unwrap();
    assert!(time <= jiff::Timestamp::now());

    // The revision of the file is the one that it is listed with.
    let revision = record["file_revision"].as_str().unwrap();
    let files = head.api("GET", "/files", None).data();
    assert!(
        files["a.ks"]["sha256"]
            .as_str()
            .unwrap()
            .starts_with(revision),
        "{files} {revision}"
    );
}

#[test]
fn a_failed_fetch_is_recorded_with_the_line_the_client_got() {
    let head = Head::start();
    head.node("n1", N1, &[]);
    head.put("a.ks", "<a[rootpw]>\n");
    for (from, path, status) in [
        (N1, "/kickstart/a.ks", 422),
        ("127.0.0.99", "/kickstart/a.ks", 404),
        (N1, "/kickstart/gone.ks", 404),
        (N1, "/ztp/script", 404),
        (N1, "/kickstart/../secret", 400),
        (N1, "/kickstart", 404),
    ] {
        let before = head.ledger("limit=1000").len();
        let reply = head.get_from(from, path);
        let record = records(&head, before + 1).remove(0);
        assert_eq!(record["status"], status, "{path}: {record}");
        assert_eq!(reply.status, status, "{path}: {reply:?}");
        assert_eq!(
            record["reason"],
            reply.text().trim_end(),
            "{path}: {record}"
        );
        assert_eq!(record["address"], from, "{path}: {record}");
        assert_eq!(record["bytes"], reply.body.len(), "{path}: {record}");
        assert_eq!(record["complete"], true, "{path}: {record}");
    }
    let failed = head.ledger("status=422");
    assert_eq!((failed.len(), &failed[0]["node"]), (1, &"n1".into()));
}

#[test]
fn a_fetch_that_was_cut_off_is_recorded_as_such() {
    let head = Head::start();
    let size = 16 << 20;
    head.put("big.img", vec![b'x'; size]);
    let mut stream = head.connect();
    stream
        .write_all(b"GET /api/v1/kickstart/big.img HTTP/1.1\r\nHost: head\r\n\r\n")
        .unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    drop(stream);
    let record = record(&head);
    assert_eq!(record["status"], 200);
    assert_eq!(record["bytes"], size);
    assert_eq!(record["complete"], false);
    let sent = record["sent"].as_u64().unwrap();
    assert!(sent > 0 && sent < size as u64, "{record}");
    head.log_lines("cut-off", 1);
}

#[test]
fn a_head_request_is_recorded_as_one_that_sent_nothing() {
    let head = Head::start();
    head.put("a.ks", "a boot file\n");
    assert_eq!(
        head.ask_from(N1, "/kickstart/a.ks", &["--head"]).status,
        200
    );
    let record = record(&head);
    assert_eq!(
        (&record["status"], &record["sent"], &record["complete"]),
        (&200.into(), &0.into(), &true.into())
    );
}

#[test]
fn parts_and_what_was_not_modified_are_recorded_with_their_own_lengths() {
    let head = Head::start();
    head.put("a.ks", "0123456789\n");
    let tag = head
        .get("/kickstart/a.ks")
        .header("ETag")
        .unwrap()
        .to_owned();
    head.ask_from(N1, "/kickstart/a.ks", &["--range", "2-5"]);
    head.ask_from(
        N1,
        "/kickstart/a.ks",
        &["-H", &format!("If-None-Match: {tag}")],
    );
    let records = records(&head, 3);
    let facts: Vec<_> = records
        .iter()
        .map(|record| {
            (
                record["status"].as_u64().unwrap(),
                record["sent"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(facts, [(304, 0), (206, 4), (200, 11)]);
    // All of the same content.
    assert_eq!(records[0]["sha256"], records[2]["sha256"]);
    assert_eq!(records[1]["sha256"], records[2]["sha256"]);
}

#[test]
fn the_ledger_is_asked_by_node_status_and_time() {
    let head = Head::start();
    head.node("n1", N1, &[]);
    head.node("n2", "127.0.0.12", &[]);
    head.put("a.ks", "<n[name]>\n");
    for from in [N1, "127.0.0.12", N1, "127.0.0.99"] {
        head.get_from(from, "/kickstart/a.ks");
    }
    let all = records(&head, 4);
    let count = |query: &str| head.ledger(query).len();
    assert_eq!(count("node=n1"), 2);
    assert_eq!(count(&format!("node={N1}")), 2);
    assert_eq!(count("node=n2"), 1);
    assert_eq!(count("status=404"), 1);
    assert_eq!(count("node=n1&status=404"), 0);
    assert_eq!(count("limit=3"), 3);
    let newest = all[0]["time"].as_str().unwrap();
    assert_eq!(
        count(&format!("until={newest}")) + count(&format!("since={newest}")),
        4
    );
    assert_eq!(count("since=2001-01-01T00:00:00Z"), 4);
    assert_eq!(count("until=2001-01-01T00:00:00Z"), 0);
    for query in [
        "node=n9",
        "status=x",
        "since=yesterday-ish",
        "limit=0",
        "limit=x",
    ] {
        let reply = head.api("GET", &format!("/ledger?{query}"), None);
        assert!(matches!(reply.status, 400 | 404), "{query}: {reply:?}");
    }
    // Times go down.
    let times: Vec<_> = all
        .iter()
        .map(|record| record["id"].as_i64().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a > b), "{times:?}");
}

#[test]
fn records_survive_a_restart_and_a_node_that_is_deleted() {
    let mut head = Head::start();
    head.node("n1", N1, &[]);
    head.put("a.ks", "<n[name]>\n");
    head.get_from(N1, "/kickstart/a.ks");
    let before = record(&head);
    head.cli(["node", "delete", "n1"]);
    assert!(head.stop().success());
    head.start_again();
    assert_eq!(record(&head), before);
}

#[test]
fn each_boot_request_is_one_line_for_people() {
    let head = Head::start();
    head.node("n1", N1, &[]);
    head.put("a.ks", "<n[name]>\n");
    head.get_from(N1, "/kickstart/a.ks");
    head.get_from("127.0.0.99", "/kickstart/a.ks");
    head.get_from(N1, "/kickstart/a%0aWARN%20forged");
    let lines = head.log_lines(" fetch ", 3);
    for part in [
        "node=n1",
        "how=address",
        "from=127.0.0.11",
        "path=/api/v1/kickstart/a.ks",
        "status=200",
        "bytes=3",
        "ms=",
    ] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    assert!(lines[0].contains(" INFO "), "{}", lines[0]);
    for part in [
        "node=- ",
        "from=127.0.0.99",
        "status=404",
        "reason=\"no node has address 127.0.0.99",
    ] {
        assert!(lines[1].contains(part), "{part}: {}", lines[1]);
    }
    assert!(lines[1].contains(" WARN "), "{}", lines[1]);
    assert!(
        !head.log().lines().any(|line| line.starts_with("WARN")),
        "{}",
        head.log()
    );
}

#[test]
fn each_boot_request_is_one_line_for_programs() {
    let head = Head::with_config("[log]\nformat = \"json\"\n");
    head.node("n1", N1, &[]);
    head.put("a.ks", "<n[name]>\n");
    head.get_from(N1, "/kickstart/a.ks");
    head.get_from("127.0.0.99", "/kickstart/a.ks");
    let lines = head.log_lines("\"path\"", 2);
    // Every line of the log is an object, not just these.
    let log = head.log();
    for line in log.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line.is_object());
    }
    let [good, failed] =
        [&lines[0], &lines[1]].map(|line| serde_json::from_str::<Value>(line).unwrap());
    let recorded = records(&head, 2);
    for (line, record, level) in [(good, &recorded[1], "INFO"), (failed, &recorded[0], "WARN")] {
        assert_eq!(line["level"], level);
        for (field, value) in record.as_object().unwrap() {
            assert_eq!(line[field], *value, "{field}: {line}");
        }
    }
}

#[test]
fn no_log_holds_a_secret() {
    let head = Head::with_config("[log]\nlevel = \"trace\"\n");
    let secret = "hunter2-the-root-password";
    head.node("n1", N1, &[&format!("attr.rootpw={secret}")]);
    head.put("a.ks", "rootpw <a[rootpw]>\n");
    head.put("b.ks", "rootpw <a[rootpw]> <a[gone]>\n");
    let password = fs::read_to_string(head.data().join("admin_pass"))
        .unwrap()
        .trim()
        .to_owned();
    let token = head.token();
    let bearer = format!("Authorization: Bearer {token}");
    let uri_secret = "in-the-query-string";

    assert_eq!(
        head.get_from(N1, "/kickstart/a.ks").text(),
        format!("rootpw {secret}\n")
    );
    assert_eq!(head.get_from(N1, "/kickstart/b.ks").status, 422);
    head.ask_from(
        N1,
        &format!("/kickstart/a.ks?node=n1&password={uri_secret}"),
        &["-H", &bearer],
    );
    head.ask_from(
        N1,
        "/kickstart/a.ks?node=n1",
        &["-H", "Authorization: Bearer wrong-but-nearly-secret"],
    );
    head.ask_from(N1, "/nodes", &["-H", &bearer]);
    let login = serde_json::json!({"user": "admin", "password": format!("{password}x")});
    assert_eq!(head.api("POST", "/auth/login", Some(&login)).status, 401);
    let admin = serde_json::json!({"name": "eve", "password": "eves-own-password"});
    assert_eq!(head.api("POST", "/admins", Some(&admin)).status, 201);
    head.cli(["node", "set", "n1", "other=another-secret-value"]);
    records(&head, 4);

    let mut head = head;
    assert!(head.stop().success());
    let mut logs = vec![("log", head.log().into_bytes())];
    for name in ["audit.log", "ledger.db", "ledger.db-wal"] {
        if let Ok(bytes) = fs::read(head.data().join(name)) {
            logs.push((name, bytes));
        }
    }
    assert!(logs.len() >= 3, "logs are missing");
    for (name, bytes) in logs {
        let text = String::from_utf8_lossy(&bytes);
        for secret in [
            secret,
            &password,
            &token,
            uri_secret,
            "wrong-but-nearly-secret",
            "eves-own-password",
            "another-secret-value",
        ] {
            assert!(!text.contains(secret), "{secret} is in {name}");
        }
    }
}
