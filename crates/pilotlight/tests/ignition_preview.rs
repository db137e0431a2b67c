//! What an administrator learns of Ignition configs before the nodes do: `render`, `check` and `file put`.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;

use head::{Head, ended, until};
use serde_json::{Value, json};

/// The address of the node n1.
const N1: &str = "127.0.0.11";

const BUTANE: &str = "variant: fcos
version: 1.4.0
storage:
  files:
  - path: /etc/motd
    contents:
      inline: |
        This is <n[name]>
        in rack <a[rack]>
";

fn head_with(name: &str, content: &str) -> Head {
    let head = Head::start();
    head.put(name, content);
    let place = format!("attr._ignition={name}");
    head.node("n1", N1, &[&place, "attr.rack=7"]);
    head
}

#[test]
fn a_rendering_is_byte_for_byte_what_the_node_gets() {
    let head = head_with("a.bu", BUTANE);
    let got = head.get_from(N1, "/ignition/n1");
    assert_eq!(got.status, 200, "{got:?}");
    let shown = head.api("GET", "/render/ignition?node=n1", None).data();
    assert_eq!(shown["text"], got.text());
    let record = until("the fetch is in the ledger", || {
        head.ledger("limit=1").pop()
    });
    assert_eq!(shown["sha256"], record["sha256"]);
    assert_eq!(head.done("render ignition --node n1"), got.text());
    let json: Value = serde_json::from_str(&head.done("--json render ignition --node n1")).unwrap();
    assert_eq!(json, shown);
    // Looking is no fetching.
    assert_eq!(head.ledger("limit=9").len(), 1);
}

#[test]
fn a_rendering_says_where_each_value_comes_from() {
    let head = head_with("a.bu", BUTANE);
    head.done("group set DefaultAttribs rack=8");
    let rendered = head.done("render ignition --node n1");
    let with_provenance = head.done("render ignition --node n1 --provenance");
    let table = with_provenance.strip_prefix(&rendered).unwrap();
    let file = "a.bu: $.storage.files[0].contents.inline";
    let expected = [
        "".to_owned(),
        "LINE\tFORM\tVALUE\tFROM".to_owned(),
        format!("{file}:1\t<n[name]>\tn1\tnode"),
        format!("{file}:2\t<a[rack]>\t7\tnode"),
    ];
    assert_eq!(table.lines().collect::<Vec<_>>(), expected);
    head.done("node clear n1 rack");
    let shown = head.api("GET", "/render/ignition?node=n1", None).data();
    assert_eq!(shown["values"][1]["value"], "8");
    assert_eq!(shown["values"][1]["from"], "default:DefaultAttribs");
}

#[test]
fn warnings_go_where_people_see_them_and_programs_do_not() {
    let config = "{\"ignition\": {\"version\": \"3.3.0\"},\n \"odd\": true}";
    let head = head_with("a.ign", config);
    let output = head.try_cli(["render", "ignition", "--node", "n1"]);
    let (code, stdout, stderr) = ended(&output);
    assert_eq!((code, stdout), (0, config));
    assert!(
        stderr.starts_with("pilotlight: warning: $.odd: "),
        "{stderr}"
    );
    assert!(stderr.contains("(line 2 column "), "{stderr}");
    let shown = head.api("GET", "/render/ignition?node=n1", None).data();
    assert_eq!(shown["warnings"].as_array().unwrap().len(), 1, "{shown}");
}

#[test]
fn what_cannot_be_rendered_says_why() {
    let head = head_with("a.ign", "{}");
    head.node("n2", "127.0.0.12", &[]);
    let refusals = [
        ("n1", "a.ign: $.ignition.version: not an Ignition config"),
        ("n2", "node n2 has no attribute \"_ignition\""),
        ("n9", "there is no node \"n9\""),
    ];
    for (node, reason) in refusals {
        let said = head.failed(&format!("render ignition --node {node}"));
        assert!(
            said.starts_with(&format!("1 pilotlight: {reason}")),
            "{said}"
        );
    }
}

#[test]
fn a_check_names_the_nodes_whose_config_would_fail_and_why() {
    let head = head_with("a.bu", BUTANE);
    head.put("bad.ign", "{\"ignition\": {\"version\": \"2.3.0\"}}");
    head.put("a.yaml", BUTANE);
    let node = |name: &str, number: u8, words: &[&str]| {
        head.node(name, &format!("127.0.1.{number}"), words);
    };
    node("n2", 2, &[]);
    node("n3", 3, &["attr._ignition=a.bu", "attr.rack=8"]);
    let sound = json!({"checked": 2, "without": ["n2"], "problems": [], "warnings": []});
    assert_eq!(head.api("GET", "/check", None).data(), sound);
    node("n4", 4, &["attr._ignition=a.bu"]);
    node("n5", 5, &["attr._ignition=bad.ign"]);
    node("n6", 6, &["attr._ignition=gone.ign"]);
    node("n7", 7, &["attr._ignition=a.yaml"]);
    node("n8", 8, &["attr._ignition=http://127.0.0.1/a.ign"]);
    node("n9", 9, &["attr._ignition=gitrepo:site//a.ign"]);

    let output = head.try_cli(["check"]);
    let (code, stdout, stderr) = ended(&output);
    assert_eq!(code, 1);
    let summary = "pilotlight: 8 nodes checked, 6 would not get their boot file\n";
    assert_eq!(stderr, summary);
    let rows: Vec<&str> = stdout.lines().skip(1).collect();
    assert_eq!(rows.len(), 6, "{stdout}");
    for (node, row) in ["n4", "n5", "n6", "n7", "n8", "n9"].iter().zip(rows) {
        let (named, rest) = row.split_once('\t').unwrap();
        let (_, reason) = rest.split_once('\t').unwrap();
        assert_eq!(named, *node);
        // The very line that the node gets.
        let reply = head.get(&format!("/ignition/{node}"));
        assert_ne!(reply.status, 200);
        assert_eq!(reason, reply.text().trim_end());
    }
    for node in ["n4", "n5", "n6", "n7", "n8", "n9"] {
        head.done(&format!("node delete {node}"));
    }
    head.done("check");
}

#[test]
fn a_faulty_config_is_stored_with_a_warning() {
    let head = Head::start();
    let local = head.path("local");
    let put = |name: &str, content: &str| {
        fs::write(&local, content).unwrap();
        let output = head.try_cli(["file", "put", name, local.to_str().unwrap()]);
        let (code, stdout, stderr) = ended(&output);
        assert_eq!((code, stdout), (0, &*format!("file {name} stored\n")));
        assert_eq!(
            fs::read_to_string(head.kickstarts().join(name)).unwrap(),
            content
        );
        stderr.to_owned()
    };
    assert_eq!(put("a.bu", BUTANE), "");
    let faulty = BUTANE.replace("/etc/motd", "etc/motd");
    let said = put("a.bu", &faulty);
    let expected = "pilotlight: warning: a.bu: error: $.storage.files[0].path: ";
    assert!(said.starts_with(expected), "{said}");
    assert!(said.contains("(line 5 column "), "{said}");
    let said = put("a.ign", "{\"ignition\": {\"version\": \"2.3.0\"}}");
    assert!(said.contains("ign-converter"), "{said}");
    let said = put("b.bu", &BUTANE.replace("inline: |", "locale: |"));
    assert!(
        said.contains("b.bu: warning: $.storage.files[0].contents.locale"),
        "{said}"
    );
    // Of these nobody knows whether they are meant for one.
    assert_eq!(put("a.json", "{}"), "");
    assert_eq!(put("a.ks", "{}"), "");
    let shown = head.api("GET", "/files", None).data();
    assert_eq!(shown.as_object().unwrap().len(), 5, "{shown}");
}
