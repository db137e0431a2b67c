//! Values of nodes in Ignition configs: they go into its texts, and change nothing else.
#![allow(clippy::unwrap_used)]

mod head;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use head::Head;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// The address of the node n1.
const N1: &str = "127.0.0.11";

/// A head with the nodes n1 and n2, whose config is `a.ign`, and what n1 has otherwise.
fn head_with(config: &Value, words: &[&str]) -> Head {
    let head = Head::start();
    head.put("a.ign", config.to_string());
    head.node("n1", N1, &[&["attr._ignition=a.ign"], words].concat());
    head.node("n2", "127.0.0.12", &["attr._ignition=a.ign"]);
    head
}

/// A config with one file, of these contents.
fn with_contents(contents: &Value) -> Value {
    json!({
        "ignition": {"version": "3.3.0"},
        "storage": {"files": [{"path": "/etc/a", "contents": contents}]},
    })
}

/// A config with one file, of this text with forms in it.
fn with_text(text: &str) -> Value {
    with_contents(&json!({"source": data_url(text)}))
}

fn data_url(text: &str) -> String {
    let escaped = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
    format!("data:,{escaped}")
}

/// The text that a `data:` URL holds.
fn decoded(url: &Value) -> String {
    let url = url.as_str().unwrap();
    let bytes = match url.strip_prefix("data:;base64,") {
        Some(text) => BASE64_STANDARD.decode(text).unwrap(),
        None => percent_decode_str(url.strip_prefix("data:,").unwrap()).collect(),
    };
    String::from_utf8(bytes).unwrap()
}

/// What a node gets, with the text of its only file.
fn served(head: &Head, node: &str) -> (Value, String) {
    let reply = head.get(&format!("/ignition/{node}"));
    assert_eq!(reply.status, 200, "{reply:?}");
    let config = reply.json();
    let text = decoded(&config["storage"]["files"][0]["contents"]["source"]);
    (config, text)
}

/// The status and reason of what n1 does not get.
fn refused(head: &Head, config: &Value) -> (u16, String) {
    head.put("a.ign", config.to_string());
    let reply = head.get("/ignition/n1");
    assert_eq!(reply.text().lines().count(), 1, "{reply:?}");
    (reply.status, reply.text().trim_end().to_owned())
}

#[test]
fn contents_get_the_values_of_the_node_that_the_config_is_of() {
    let config = with_text("name <n[name]> rack <a[rack]|none>\n");
    let head = head_with(&config, &["attr.rack=7"]);
    // Not of the one that asks.
    for from in [N1, "127.0.0.12", "127.0.0.99"] {
        for (node, expected) in [("n1", "name n1 rack 7\n"), ("n2", "name n2 rack none\n")] {
            let reply = head.get_from(from, &format!("/ignition/{node}"));
            let text = decoded(&reply.json()["storage"]["files"][0]["contents"]["source"]);
            assert_eq!(text, expected, "{node} from {from}");
        }
    }
    head.cli(["node", "set", "n1", "rack=8"]);
    assert_eq!(served(&head, "n1").1, "name n1 rack 8\n");
    head.cli(["group", "set", "DefaultAttribs", "rack=9"]);
    assert_eq!(served(&head, "n1").1, "name n1 rack 8\n");
    assert_eq!(served(&head, "n2").1, "name n2 rack 9\n");
}

#[test]
fn base64_and_butane_hold_forms_as_well() {
    // `<n[name]>` in base64.
    let config = with_contents(&json!({"source": "data:;base64,PG5bbmFtZV0+"}));
    let head = head_with(&config, &["attr.rack=7"]);
    assert_eq!(served(&head, "n1").1, "n1");
    head.put("files/motd", "local <a[rack]>\n");
    for (contents, expected) in [
        ("inline: name <n[name]>", "name n1"),
        ("local: motd", "local 7\n"),
    ] {
        head.put("a.bu", format!("variant: fcos\nversion: 1.4.0\nstorage:\n  files:\n  - path: /etc/a\n    contents:\n      {contents}\n"));
        head.cli(["node", "set", "n1", "_ignition=a.bu"]);
        assert_eq!(served(&head, "n1").1, expected);
    }
}

#[test]
fn every_text_takes_values_but_a_key_takes_none() {
    let config = json!({
        "ignition": {"version": "3.3.0", "config": {"merge": [{"source": "<base_url()>/kickstart/<a[role]>.ign"}]}},
        "passwd": {"users": [{"name": "<a[user]>", "sshAuthorizedKeys": ["ssh-ed25519 <a[key]>"]}]},
        "storage": {"files": [{"path": "/etc/<a[file]>", "mode": 420}]},
        "systemd": {"units": [{"name": "a.service", "contents": "[Service]\nExecStart=/bin/echo <n[name]>\n"}]},
        "<n[name]>": "\\<n[name]>",
    });
    let words = [
        "attr.role=web",
        "attr.user=ada",
        "attr.key=AAAA",
        "attr.file=x/y",
    ];
    let head = head_with(&config, &words);
    let expected = json!({
        "ignition": {"version": "3.3.0", "config": {"merge": [{"source": head.url("/kickstart/web.ign")}]}},
        "passwd": {"users": [{"name": "ada", "sshAuthorizedKeys": ["ssh-ed25519 AAAA"]}]},
        "storage": {"files": [{"path": "/etc/x/y", "mode": 420}]},
        "systemd": {"units": [{"name": "a.service", "contents": "[Service]\nExecStart=/bin/echo n1\n"}]},
        "<n[name]>": "<n[name]>",
    });
    assert_eq!(head.get("/ignition/n1").json(), expected);
    // As the client used it, which is not always the same.
    let reply = head.ask_from(N1, "/ignition/n1", &["-H", "Host: head-b"]);
    let merged = &reply.json()["ignition"]["config"]["merge"][0]["source"];
    assert_eq!(merged, "http://head-b/api/v1/kickstart/web.ign");
}

#[test]
fn no_value_gets_out_of_its_text() {
    let config = json!({
        "ignition": {"version": "3.3.0"},
        "storage": {"files": [{"path": "/etc/a", "contents": {"source": data_url("a long line with <a[v]> in it\n")}}]},
        "systemd": {"units": [{"name": "a.service", "contents": "# <a[v]>\n[Service]\nExecStart=/bin/true\n"}]},
    });
    let head = head_with(&config, &[]);
    for value in [
        "\"",
        "\\",
        "\\\"}]}}",
        "a\nb\r\n\tc",
        "\"}], \"mode\": 511, \"x\": [{\"y\": \"",
        "</script>{{}}[]#%00%22&;,",
        "<a[v]> <n[name]>",
        "\u{1}\u{7f}\u{2028}\u{fffd}é☃\u{1f525}",
        " ",
        "",
    ] {
        let attributes = json!({"v": value});
        let path = "/node/n1/attributes";
        assert_eq!(head.api("PATCH", path, Some(&attributes)).status, 200);
        let (served, text) = served(&head, "n1");
        assert_eq!(text, format!("a long line with {value} in it\n"));
        let mut expected = config.clone();
        expected["systemd"]["units"][0]["contents"] =
            format!("# {value}\n[Service]\nExecStart=/bin/true\n").into();
        // The contents were compared already, however they are written.
        let source = "/storage/files/0/contents/source";
        *expected.pointer_mut(source).unwrap() = served.pointer(source).unwrap().clone();
        assert_eq!(served, expected, "{value:?}");
    }
}

#[test]
fn a_config_within_a_config_keeps_its_structure_too() {
    let inner = json!({
        "ignition": {"version": "3.3.0"},
        "systemd": {"units": [{"name": "a.service", "contents": "# <a[v]>\n"}]},
    });
    let config = json!({
        "ignition": {"version": "3.3.0", "config": {"merge": [{"source": data_url(&inner.to_string())}]}},
    });
    let head = head_with(&config, &[]);
    let value = "\"}]}, \"storage\": {\"x\": [{\"y\": \"\n";
    assert_eq!(
        head.api("PATCH", "/node/n1/attributes", Some(&json!({"v": value})))
            .status,
        200
    );
    let served = head.get("/ignition/n1").json();
    let merged = decoded(&served["ignition"]["config"]["merge"][0]["source"]);
    let mut expected = inner;
    expected["systemd"]["units"][0]["contents"] = format!("# {value}\n").into();
    assert_eq!(serde_json::from_str::<Value>(&merged).unwrap(), expected);
}

#[test]
fn an_included_file_is_included_as_it_is_now() {
    let head = head_with(&with_text("<include(parts/motd)>"), &["attr.rack=7"]);
    for number in 0..20 {
        head.put("parts/motd", format!("{number:02} rack <a[rack]>\n"));
        assert_eq!(served(&head, "n1").1, format!("{number:02} rack 7\n"));
    }
    std::fs::remove_file(head.kickstarts().join("parts/motd")).unwrap();
    let reply = head.get("/ignition/n1");
    assert_eq!(reply.status, 422, "{reply:?}");
    assert!(reply.text().contains("parts/motd"), "{reply:?}");
}

#[test]
fn a_missing_value_is_422_with_its_name_and_place() {
    let head = head_with(&with_text("x"), &[]);
    let unit = json!({
        "ignition": {"version": "3.3.0"},
        "systemd": {"units": [{"name": "a.service", "contents": "[Service]\n# <a[token]>\n"}]},
    });
    for (config, place, name) in [
        (
            with_text("one\n<a[rootpw]>\n"),
            "$.storage.files[0].contents.source:2",
            "rootpw",
        ),
        (unit, "$.systemd.units[0].contents:2", "token"),
    ] {
        let (status, reason) = refused(&head, &config);
        assert_eq!(status, 422, "{reason}");
        let expected = format!("a.ign: {place}: node n1 has no attribute \"{name}\"");
        assert_eq!(reason, expected);
    }
}

#[test]
fn values_that_spoil_the_config_are_422() {
    let config = json!({
        "ignition": {"version": "3.3.0"},
        "storage": {"files": [{"path": "<a[path]>"}, {"path": "/etc/b"}]},
    });
    let head = head_with(&config, &["attr.path=/etc/a"]);
    assert_eq!(head.get("/ignition/n1").status, 200);
    for (path, about) in [("etc/a", "files[0].path"), ("/etc/b", "files[")] {
        head.cli(["node", "set", "n1", &format!("path={path}")]);
        let (status, reason) = refused(&head, &config);
        assert_eq!(status, 422, "{reason}");
        assert!(
            reason.starts_with("with the values of node n1, a.ign: "),
            "{reason}"
        );
        assert!(reason.contains(about), "{reason}");
    }
    head.cli(["node", "set", "n1", "path=/etc/a"]);
    assert_eq!(head.get("/ignition/n1").status, 200);
}

#[test]
fn a_hash_of_what_differs_from_node_to_node_is_422_with_advice() {
    let hash = format!("sha256-{}", "0".repeat(64));
    let with_hash = |text: &str| {
        with_contents(&json!({"source": data_url(text), "verification": {"hash": hash}}))
    };
    let head = head_with(&with_hash("<n[name]>"), &[]);
    let (status, reason) = refused(&head, &with_hash("<n[name]>"));
    assert_eq!(status, 422);
    assert!(
        reason.starts_with("a.ign: $.storage.files[0].contents.verification.hash: "),
        "{reason}"
    );
    assert!(reason.contains("leave it out"), "{reason}");
    head.put("a.ign", with_hash("the same").to_string());
    assert_eq!(head.get("/ignition/n1").status, 200);
}

#[test]
fn the_entity_tag_changes_with_the_values() {
    let head = head_with(&with_text("rack <a[rack]>"), &["attr.rack=7"]);
    let tag = |head: &Head| head.get("/ignition/n1").header("ETag").unwrap().to_owned();
    let before = tag(&head);
    assert_eq!(tag(&head), before);
    head.cli(["node", "set", "n1", "description=whatever"]);
    assert_eq!(tag(&head), before);
    head.cli(["node", "set", "n1", "rack=8"]);
    let known = format!("If-None-Match: {before}");
    let reply = head.ask_from(N1, "/ignition/n1", &["-H", &known]);
    assert_eq!(reply.status, 200);
    assert_ne!(reply.header("ETag"), Some(&*before));
}
