//! What nodes report: who may, what becomes of it, and what it costs.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;

use head::{Head, Reply, until};
use serde_json::{Value, json};

/// The address of the node n1.
const N1: &str = "127.0.0.11";
/// The address of the node n2.
const N2: &str = "127.0.0.12";

/// A head with two nodes, which stay up for a while after a report, however slow the machine is.
fn head_with_nodes() -> Head {
    let head = Head::start();
    head.done("group set DefaultAttribs _status_secs=86400");
    head.node("n1", N1, &[]);
    head.node("n2", N2, &[]);
    head
}

fn report(head: &Head, from: &str, node: &str, body: &Value) -> Reply {
    let path = format!("/node/{node}/status");
    head.ask_from(from, &path, &["-d", &body.to_string()])
}

/// A report that is taken: what the head answers.
fn taken(head: &Head, from: &str, node: &str, body: &Value) -> Value {
    let reply = report(head, from, node, body);
    assert_eq!(reply.status, 200, "{body}: {reply:?}");
    reply.data()
}

/// A node as the API shows it.
fn shown(head: &Head, node: &str) -> Value {
    head.api("GET", &format!("/node/{node}"), None).data()
}

/// A node's status without the time of its last report, which is none of a test's making.
fn status(head: &Head, node: &str) -> Value {
    let mut status = shown(head, node)["status"].take();
    let last_seen = status.as_object_mut().unwrap().remove("last_seen");
    if let Some(last_seen) = last_seen {
        let time: jiff::Timestamp = last_seen.as_str().unwrap().parse().unwrap();
        assert!(time <= jiff::Timestamp::now(), "{last_seen}");
    }
    status
}

#[test]
fn a_report_is_shown_listed_and_filtered_by() {
    let head = head_with_nodes();
    assert_eq!(shown(&head, "n1")["status"], json!({"state": "unknown"}));
    taken(
        &head,
        N1,
        "n1",
        &json!({"status": {"install": "done", "load": 0.5}}),
    );
    taken(
        &head,
        N1,
        "n1",
        &json!({"status": {"load": 1, "gpu": true}}),
    );

    let expected = json!({"install": "done", "load": "1", "gpu": "true", "state": "up"});
    assert_eq!(status(&head, "n1"), expected);
    let node = shown(&head, "n1");
    let listed = head.api("GET", "/nodes?name=n1", None).data();
    assert_eq!(listed[node["uid"].as_str().unwrap()], node);
    for (filter, names) in [
        ("status.state=up", "n1"),
        ("status.state=unknown", "n2"),
        ("status.state=down", ""),
        ("status.install=d*", "n1"),
        ("status.last_seen=2*", "n1"),
        ("status.other=*", ""),
    ] {
        let list = head.api("GET", &format!("/nodes?{filter}"), None).data();
        let found: Vec<_> = (list.as_object().unwrap().values())
            .map(|node| node["name"].as_str().unwrap())
            .collect();
        assert_eq!(found.join(" "), names, "{filter}");
    }
    let last_seen = node["status"]["last_seen"].as_str().unwrap();
    assert_eq!(
        head.done("node list"),
        format!(
            "NAME\tSTATE\tLAST_SEEN\tMAC\tIP\tINDEX\tTYPE\tGROUPS\tDESCRIPTION\n\
             n1\tup\t{last_seen}\t{}\t{N1}\t\tcompute\t\t\n\
             n2\tunknown\t\t{}\t{N2}\t\tcompute\t\t\n",
            head::mac_of(N1),
            head::mac_of(N2)
        )
    );
    let json: Value = serde_json::from_str(&head.done("node list --json name=n1")).unwrap();
    assert_eq!(json, listed);
}

#[test]
fn nobody_reports_for_another() {
    let head = head_with_nodes();
    let body = json!({"status": {"x": "1"}, "hardware": {"x": "1"}});
    let foreign = format!("X-RHN-Provisioning-MAC-0: eth0 {}", head::mac_of(N1));
    for (from, node) in [
        (N2, "n1"),
        ("127.0.0.99", "n1"),
        (N1, "n9"),
        ("127.0.0.99", "n9"),
    ] {
        let options = ["-H", &foreign, "-d", &body.to_string()];
        let refused = head.ask_from(from, &format!("/node/{node}/status"), &options);
        assert_eq!(
            refused.refusal(),
            "403 only a node itself reports its status, from its own address",
            "{from} {node}"
        );
    }
    for node in ["n1", "n2"] {
        assert_eq!(status(&head, node), json!({"state": "unknown"}));
        assert_eq!(shown(&head, node)["hardware"], json!({}));
    }
}

#[test]
fn what_is_no_report_or_too_much_is_refused_whole() {
    let head = head_with_nodes();
    let long = "x".repeat(33_000);
    for (body, reason) in [
        (
            json!({"status": {"a": long}}),
            "status: 33001 bytes in all, at most 32768",
        ),
        (
            json!({"status": {"b": "1"}, "hardware": {"a": long}}),
            "hardware: 33001 bytes in all",
        ),
        (
            json!({"status": {"a": ["b"]}}),
            "a text, a number, or true or false",
        ),
        (json!({"status": {"a": "b\u{0}"}}), "NUL"),
        (json!({"state": "up"}), "unknown field `state`"),
        (json!([]), "the body is not what was expected"),
    ] {
        let refused = report(&head, N1, "n1", &body).refusal();
        assert!(
            refused.starts_with("400 ") && refused.contains(reason),
            "{refused}"
        );
    }
    assert_eq!(status(&head, "n1"), json!({"state": "unknown"}));
}

#[test]
fn a_node_that_is_silent_for_three_periods_is_down() {
    let head = head_with_nodes();
    head.done("group set DefaultAttribs _status_secs=1");
    head.done("node set n2 _status_secs=86400");
    head.put("s.ks", "<s[state]>\n");
    for (address, node, secs) in [(N1, "n1", 1), (N2, "n2", 86_400)] {
        assert_eq!(
            head.get_from(address, "/kickstart/s.ks").text(),
            "unknown\n"
        );
        assert_eq!(taken(&head, address, node, &json!({}))["status_secs"], secs);
    }
    until("n1 counts as down", || {
        (status(&head, "n1") == json!({"state": "down"})).then_some(())
    });
    assert_eq!(status(&head, "n2"), json!({"state": "up"}));
    assert_eq!(head.get_from(N1, "/kickstart/s.ks").text(), "down\n");
    // The period is the one that holds now.
    head.done("node set n1 _status_secs=86400");
    assert_eq!(status(&head, "n1"), json!({"state": "up"}));
    assert_eq!(head.get_from(N1, "/kickstart/s.ks").text(), "up\n");
}

#[test]
fn a_period_that_is_none_is_a_warning_and_counts_as_ten_seconds() {
    let head = head_with_nodes();
    head.done("group set DefaultAttribs _status_secs=soon");
    assert_eq!(taken(&head, N1, "n1", &json!({}))["status_secs"], 10);
    let warning = "_status_secs \"soon\" (set by default:DefaultAttribs) is no number from 1 to 86400; 10 is used";
    let found = head.api("GET", "/check", None).data();
    // Both nodes have it from there; it is said once.
    assert_eq!(found["warnings"], json!([warning]));
    let said = head.try_cli(["check"]);
    let (code, _, stderr) = head::ended(&said);
    assert_eq!(
        (code, stderr),
        (0, &*format!("pilotlight: warning: {warning}\n"))
    );
}

#[test]
fn boot_files_and_configs_follow_what_is_reported() {
    let head = head_with_nodes();
    head.put("s.ks", "<s[step]|none> <n[name]>\n");
    head.put("outer.ks", "<include(s.ks)>");
    let config = json!({
        "ignition": {"version": "3.4.0"},
        "storage": {"files": [{"path": "/etc/step", "contents": {"source": "data:,<s[step]|none>"}}]},
    });
    head.put("s.ign", config.to_string());
    head.done("node set n1 _ignition=s.ign");
    for step in ["none", "1", "2", "3"] {
        if step != "none" {
            taken(&head, N1, "n1", &json!({"status": {"step": step}}));
        }
        // The second time it would come from memory.
        for _ in 0..2 {
            let expected = format!("{step} n1\n");
            assert_eq!(head.get_from(N1, "/kickstart/s.ks").text(), expected);
            assert_eq!(head.get_from(N1, "/kickstart/outer.ks").text(), expected);
            let config = head.get_from(N1, "/ignition/n1").json();
            let source = &config["storage"]["files"][0]["contents"]["source"];
            assert_eq!(*source, format!("data:,{step}"));
        }
        assert_eq!(head.get_from(N2, "/kickstart/s.ks").text(), "none n2\n");
    }
}

/// Renderings are kept for a revision of the cluster's state: a report that leaves it alone leaves them alone.
#[test]
fn a_report_writes_to_the_cluster_only_what_is_new_of_the_hardware() {
    let head = head_with_nodes();
    let before = (
        head.state_revision(),
        shown(&head, "n1")["revision"].clone(),
    );
    let revisions = || {
        (
            head.state_revision(),
            shown(&head, "n1")["revision"].clone(),
        )
    };
    for load in 0..20 {
        taken(&head, N1, "n1", &json!({"status": {"load": load}}));
    }
    assert_eq!(revisions(), before);

    let hardware = json!({"hardware": {"cpus": 64, "vendor": "Acme"}, "status": {"load": 1}});
    taken(&head, N1, "n1", &hardware);
    let written = revisions();
    assert!(written.0 > before.0, "{written:?}");
    taken(&head, N1, "n1", &hardware);
    taken(&head, N1, "n1", &json!({"hardware": {"cpus": "64"}}));
    assert_eq!(revisions(), written);
    let expected = json!({"cpus": "64", "vendor": "Acme"});
    assert_eq!(shown(&head, "n1")["hardware"], expected);
    taken(&head, N1, "n1", &json!({"hardware": {"cpus": 128}}));
    assert!(revisions().0 > written.0);

    let metrics = head.get("/metrics");
    let count = "pilotlight_status_reports_total 24\n";
    assert!(metrics.text().contains(count), "{}", metrics.text());
}

#[test]
fn a_restart_forgets_nothing() {
    let mut head = head_with_nodes();
    taken(&head, N1, "n1", &json!({"status": {"install": "done"}}));
    taken(&head, N2, "n2", &json!({"status": {"install": "done"}}));
    let before = shown(&head, "n1");
    head.done("node delete n2");
    assert!(head.stop().success());
    head.start_again();
    assert_eq!(shown(&head, "n1"), before);
    let kept: Value =
        serde_json::from_slice(&fs::read(head.data().join("status.json")).unwrap()).unwrap();
    let nodes: Vec<_> = kept.as_object().unwrap().keys().collect();
    assert_eq!(nodes, [before["uid"].as_str().unwrap()]);

    assert!(head.stop().success());
    fs::write(head.data().join("status.json"), "{\"n1\": ").unwrap();
    head.start_again();
    head.log_lines("what nodes reported before cannot be read", 1);
    assert_eq!(status(&head, "n1"), json!({"state": "unknown"}));
    taken(&head, N1, "n1", &json!({"status": {"install": "again"}}));
    assert!(head.stop().success());
    head.start_again();
    assert_eq!(
        status(&head, "n1"),
        json!({"install": "again", "state": "up"})
    );
}

#[test]
fn an_administrator_reads_status_and_does_not_set_it() {
    let head = head_with_nodes();
    taken(
        &head,
        N1,
        "n1",
        &json!({"status": {"load": "1"}, "hardware": {"cpus": "64"}}),
    );
    let read = shown(&head, "n1");
    let refusal = "400 status: it is what the node itself reports (POST /node/<UID>/status), and cannot be set";
    let own = json!({"status": {"state": "down"}});
    assert_eq!(head.api("PATCH", "/node/n1", Some(&own)).refusal(), refusal);
    let new = json!({"name": "n3", "mac": "52:54:00:aa:00:03", "status": {"load": "1"}});
    assert_eq!(head.api("POST", "/nodes", Some(&new)).refusal(), refusal);

    // What was read is written back, also when the node has reported anew meanwhile.
    let put = head.api("PUT", "/node/n1", Some(&read));
    assert_eq!(
        (put.status, &put.data()["revision"]),
        (200, &read["revision"])
    );
    taken(&head, N1, "n1", &json!({"status": {"load": "2"}}));
    let mut changed = read;
    changed["description"] = "changed".into();
    let put = head.api("PUT", "/node/n1", Some(&changed));
    assert_eq!(put.status, 200, "{put:?}");
    let now = shown(&head, "n1");
    assert_eq!(now["description"], "changed");
    assert_eq!(now["hardware"], json!({"cpus": "64"}));
    assert_eq!(status(&head, "n1"), json!({"load": "2", "state": "up"}));
}

#[test]
fn a_node_gets_its_attributes_and_learns_when_they_change() {
    let head = head_with_nodes();
    let path = "/install/client/attributes";
    head.done("group set DefaultAttribs rack=7 disk=sda");
    head.cli([
        "node",
        "set",
        "n1",
        "disk=sdb",
        "motd=two\nlines",
        "pad= x ",
        "quoted=\"q\"",
        "empty=",
    ]);
    let reply = head.get_from(N1, path);
    let uid = shown(&head, "n1")["uid"].as_str().unwrap().to_owned();
    let expected = format!(
        "[Node]\nUID = {uid}\nName = n1\n\n[Attributes]\n_status_secs = 86400\ndisk = sdb\nempty = \nmotd = \"two\\nlines\"\npad = \" x \"\n\
         quoted = \"\\\"q\\\"\"\nrack = 7\n"
    );
    assert_eq!((reply.status, reply.text()), (200, &*expected));
    assert_eq!(
        reply.header("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    let tag = reply.header("ETag").unwrap().to_owned();
    let told = taken(&head, N1, "n1", &json!({"status": {"load": "1"}}));
    assert_eq!(format!("\"{}\"", told["attributes"].as_str().unwrap()), tag);
    assert_eq!(told["status_secs"], 86_400);
    let condition = format!("If-None-Match: {tag}");
    let unchanged = head.ask_from(N1, path, &["-H", &condition]);
    assert_eq!((unchanged.status, unchanged.text()), (304, ""));

    // Of a group, and of another node.
    head.done("node set n2 rack=9");
    assert_eq!(
        taken(&head, N1, "n1", &json!({}))["attributes"],
        told["attributes"]
    );
    head.done("group set DefaultAttribs rack=8");
    assert_ne!(
        taken(&head, N1, "n1", &json!({}))["attributes"],
        told["attributes"]
    );
    let changed = head.ask_from(N1, path, &["-H", &condition]);
    assert_eq!(changed.status, 200);
    assert!(changed.text().ends_with("\nrack = 8\n"), "{changed:?}");

    let stranger = head.get_from("127.0.0.99", path);
    assert_eq!(
        (stranger.status, stranger.text()),
        (404, "no node has address 127.0.0.99\n")
    );
    let to_head = head.ask_from(N1, path, &["--head"]);
    assert_eq!(
        to_head.header("Content-Length"),
        changed.header("Content-Length")
    );
    // None of this is a fetch of a boot file.
    head.put("last.ks", "x\n");
    assert_eq!(head.get_from(N1, "/kickstart/last.ks").status, 200);
    let fetches = until("the kickstart is in the ledger", || {
        let fetches = head.ledger("");
        (!fetches.is_empty()).then_some(fetches)
    });
    let paths: Vec<_> = fetches.iter().map(|fetch| fetch["path"].clone()).collect();
    assert_eq!(paths, ["/api/v1/kickstart/last.ks"]);
}
