//! `/nodes` and `/node/<UID>`: what the API makes of a node, and what it refuses.
#![allow(clippy::unwrap_used)]

mod head;

use head::Head;
use serde_json::{Value, json};

/// A head with one node, which has everything a node can have.
fn head_with_n1() -> (Head, String) {
    let head = Head::start();
    let uid = head.create("/nodes", &n1());
    (head, uid)
}

fn n1() -> Value {
    json!({"name": "n1", "mac": "52:54:00:aa:00:01", "ip": "10.0.0.1", "index": 1, "description": "the first",
           "interfaces": [{"name": "ib0", "mac": "52:54:00:bb:00:01", "ip": "fd00::1"}],
           "attributes": {"rack": "7", "disk": "sda"}})
}

/// A MAC of one's own for each number.
fn mac(number: usize) -> String {
    format!("52:54:00:cc:{:02x}:{:02x}", number / 256, number % 256)
}

#[test]
fn a_node_is_created_read_listed_and_deleted() {
    let head = Head::start();
    let created = head.api("POST", "/nodes", Some(&n1()));
    assert_eq!(created.status, 201);
    assert_eq!(created.header("Content-Type"), Some("application/json"));
    let uid = created.data().as_str().unwrap().to_owned();
    assert!(
        uid.len() == 32 && uid.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')),
        "{uid}"
    );

    let shown = head.api("GET", &format!("/node/{uid}"), None);
    assert_eq!(shown.status, 200);
    let mut node = shown.data();
    assert_eq!(
        shown.header("ETag"),
        Some(format!("\"{}\"", node["revision"]).as_str())
    );
    let list = head.api("GET", "/nodes", None).json();
    assert_eq!(list, json!({"success": true, "data": {&uid: node}}));

    let mut expected = n1();
    expected["type"] = "compute".into();
    expected["uid"] = uid.as_str().into();
    for empty in [
        ("groups", json!([])),
        ("hardware", json!({})),
        ("status", json!({"state": "unknown"})),
    ] {
        expected[empty.0] = empty.1;
    }
    assert!(node["revision"].is_u64(), "{node}");
    node.as_object_mut().unwrap().remove("revision");
    assert_eq!(node, expected);

    let deleted = head.api("DELETE", &format!("/node/{uid}"), None);
    assert_eq!(
        (deleted.status, deleted.json()),
        (200, json!({"success": true}))
    );
    for method in ["GET", "DELETE"] {
        let gone = head.api(method, &format!("/node/{uid}"), None);
        assert_eq!(gone.refusal(), format!("404 there is no node \"{uid}\""));
    }
    assert_eq!(head.api("GET", "/nodes", None).data(), json!({}));
}

#[test]
fn a_node_is_found_by_uid_name_mac_and_address_in_every_spelling() {
    let (head, uid) = head_with_n1();
    for id in [
        uid.as_str(),
        "n1",
        "52:54:00:aa:00:01",
        "52:54:00:AA:00:01",
        "52-54-00-aa-00-01",
        "52-54-00-AA-00-01",
        "525400aa0001",
        "525400AA0001",
        "52%3A54%3A00%3Aaa%3A00%3A01",
        "52:54:00:bb:00:01",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "::FFFF:0a00:0001",
        "fd00::1",
        "FD00:0:0:0:0:0:0:1",
    ] {
        let node = head.api("GET", &format!("/node/{id}"), None);
        assert_eq!(node.status, 200, "{id}: {node:?}");
        assert_eq!(node.data()["uid"], uid.as_str(), "{id}");
    }
    for id in [
        "N1",
        "n",
        "n1.example",
        "52:54:00:aa:00:02",
        "10.0.0.2",
        "fd00::2",
        "%20n1",
    ] {
        let none = head.api("GET", &format!("/node/{id}"), None);
        assert_eq!(none.status, 404, "{id}: {none:?}");
    }
    // What finds a node also changes and deletes it.
    let changed = head.api("PATCH", "/node/525400BB0001", Some(&json!({"index": 9})));
    assert_eq!(changed.data()["index"], 9);
    assert_eq!(
        head.api("DELETE", "/node/::ffff:10.0.0.1", None).status,
        200
    );
    assert_eq!(head.api("GET", "/nodes", None).data(), json!({}));
}

#[test]
fn a_second_claim_is_refused_and_names_the_owner() {
    let (head, _) = head_with_n1();
    head.create("/nodes", &json!({"name": "n2", "mac": "52:54:00:aa:00:02"}));
    let before = head.state_revision();
    for (claim, reason) in [
        (json!({"name": "n1"}), "409 there is another node named n1"),
        (
            json!({"mac": "525400AA0001"}),
            "409 MAC 52:54:00:aa:00:01 belongs to node n1",
        ),
        (
            json!({"mac": "52:54:00:bb:00:01"}),
            "409 MAC 52:54:00:bb:00:01 belongs to node n1",
        ),
        (
            json!({"ip": "::ffff:10.0.0.1"}),
            "409 address 10.0.0.1 belongs to node n1",
        ),
        (
            json!({"interfaces": [{"mac": "52:54:00:aa:00:01"}]}),
            "409 MAC 52:54:00:aa:00:01 belongs to node n1",
        ),
        (
            json!({"interfaces": [{"mac": "52:54:00:aa:00:99", "ip": "fd00:0::1"}]}),
            "409 address fd00::1 belongs to node n1",
        ),
    ] {
        let patch = head.api("PATCH", "/node/n2", Some(&claim));
        assert_eq!(patch.refusal(), reason, "PATCH {claim}");
        let mut node = json!({"name": "n3", "mac": "52:54:00:aa:00:03"});
        for (field, value) in claim.as_object().unwrap() {
            node[field] = value.clone();
        }
        let create = head.api("POST", "/nodes", Some(&node));
        assert_eq!(create.refusal(), reason, "POST {node}");
        let put = head.api("PUT", "/node/n2", Some(&node));
        assert_eq!(put.refusal(), reason, "PUT {node}");
    }
    assert_eq!(head.state_revision(), before);
    // What n1 gives up is free.
    let given_up = json!({"ip": null, "interfaces": []});
    assert_eq!(head.api("PATCH", "/node/n1", Some(&given_up)).status, 200);
    let taken = json!({"mac": "52:54:00:bb:00:01", "ip": "10.0.0.1"});
    assert_eq!(head.api("PATCH", "/node/n2", Some(&taken)).status, 200);
    assert_eq!(head.api("GET", "/node/10.0.0.1", None).data()["name"], "n2");
}

#[test]
fn one_node_cannot_hold_an_address_twice() {
    let (head, _) = head_with_n1();
    let interfaces = |interfaces: Value| json!({"interfaces": interfaces});
    for (patch, reason) in [
        (
            interfaces(json!([{"mac": "52:54:00:bb:00:01", "ip": "10.0.0.1"}])),
            "400 address 10.0.0.1 stands on two interfaces",
        ),
        (
            interfaces(json!([{"mac": "52:54:00:aa:00:01", "ip": "10.0.0.9"}])),
            "400 interface 52:54:00:aa:00:01 has both 10.0.0.1 and 10.0.0.9 as its address",
        ),
    ] {
        assert_eq!(
            head.api("PATCH", "/node/n1", Some(&patch)).refusal(),
            reason
        );
    }
    // The boot interface may stand among the interfaces, to have a name.
    let named = interfaces(json!([{"name": "eth0", "mac": "52:54:00:aa:00:01"}]));
    assert_eq!(head.api("PATCH", "/node/n1", Some(&named)).status, 200);
}

#[test]
fn names_that_could_mean_something_else_are_refused() {
    let head = Head::start();
    let (longest, too_long) = ("a".repeat(253), "a".repeat(254));
    for name in [
        "",
        "4n",
        "-n",
        "n 4",
        "n/4",
        "nœud",
        "n4\n",
        "aabbccddeeff",
        "AABBCCDDEEFF",
        "aa-bb-cc-dd-ee-ff",
        "deadbeefdeadbeefdeadbeefdeadbeef",
        "10.0.0.1",
        "fe80::1",
        &too_long,
    ] {
        let node = json!({"name": name, "mac": "52:54:00:aa:00:01"});
        let refused = head.api("POST", "/nodes", Some(&node)).refusal();
        assert!(
            refused.starts_with("400 ") && refused.contains("is not a usable name"),
            "{name:?}: {refused}"
        );
    }
    for (number, name) in [
        "n4",
        "gpu-17.rack_3.example.org",
        "fe80",
        "abcdef",
        &longest,
    ]
    .iter()
    .enumerate()
    {
        head.create("/nodes", &json!({"name": name, "mac": mac(number)}));
        let found = head.api("GET", &format!("/node/{name}"), None);
        assert_eq!(found.data()["name"], *name);
    }
}

#[test]
fn addresses_no_machine_can_own_are_refused() {
    let head = Head::start();
    for (field, values) in [
        (
            "mac",
            &[
                "",
                "n1",
                "52:54:00:aa:00",
                "52:54:00-aa:00:01",
                "00:00:00:00:00:00",
                "01:00:5e:00:00:01",
                "ff:ff:ff:ff:ff:ff",
            ][..],
        ),
        (
            "ip",
            &[
                "",
                "10.0.0",
                "10.0.0.256",
                "10.0.0.1/24",
                "0.0.0.0",
                "224.0.0.1",
                "255.255.255.255",
                "::",
                "ff02::1",
            ],
        ),
    ] {
        for value in values {
            let mut node = json!({"name": "n1", "mac": "52:54:00:aa:00:01"});
            node[field] = (*value).into();
            let refused = head.api("POST", "/nodes", Some(&node)).refusal();
            assert!(
                refused.starts_with("400 ")
                    && refused.contains(&format!("{value:?} is not a usable")),
                "{field} {value:?}: {refused}"
            );
        }
    }
}

#[test]
fn what_a_node_cannot_be_is_refused_and_changes_nothing() {
    let (head, _) = head_with_n1();
    let before = head.state_revision();
    let with = |field: &str, value: Value| {
        let mut node = json!({"name": "n2", "mac": "52:54:00:aa:00:02"});
        node[field] = value;
        node
    };
    for (body, words) in [
        (
            json!({"name": "n2"}),
            "400 not a valid node: missing field `mac`",
        ),
        (
            json!({"mac": "52:54:00:aa:00:02"}),
            "400 not a valid node: missing field `name`",
        ),
        (
            with("colour", "red".into()),
            "400 not a valid node: unknown field `colour`",
        ),
        (
            with("uid", "0".repeat(32).into()),
            "400 uid: it is given by the head",
        ),
        (with("index", (-1).into()), "400 not a valid node"),
        (with("attributes", json!({"a": 1})), "400 not a valid node"),
        (
            with("attributes", json!({"a-b": "1"})),
            "400 not a valid node: \"a-b\" is not an attribute name",
        ),
        (
            with("attributes", json!({"a": "x\0y"})),
            "400 a: holds a NUL",
        ),
        (
            with("attributes", json!({"a": "x".repeat(64 * 1024 + 1)})),
            "400 a: 65537 bytes, at most 65536",
        ),
        (
            with(
                "interfaces",
                json!([{"mac": "52:54:00:aa:00:09", "speed": 1}]),
            ),
            "400 not a valid node: unknown field `speed`",
        ),
        (
            with("groups", "gpu".into()),
            "400 groups: it is a list of group names",
        ),
        (
            with("groups", json!([7])),
            "400 groups: it is a list of group names",
        ),
        (
            with("groups", json!(["gpu"])),
            "422 there is no attribute group \"gpu\"",
        ),
    ] {
        let refused = head.api("POST", "/nodes", Some(&body)).refusal();
        assert!(refused.starts_with(words), "POST {body}: {refused}");
    }
    for (body, words) in [
        (
            json!({"colour": "red"}),
            "400 not a valid node: unknown field `colour`",
        ),
        (
            json!({"mac": null}),
            "400 not a valid node: missing field `mac`",
        ),
        (
            json!({"uid": "0".repeat(32)}),
            "400 uid: it cannot be changed",
        ),
        (json!({"attributes": "none"}), "400 not a valid node"),
        (
            json!({"attributes": {"a": {"b": "c"}}}),
            "400 not a valid node",
        ),
    ] {
        let refused = head.api("PATCH", "/node/n1", Some(&body)).refusal();
        assert!(refused.starts_with(words), "PATCH {body}: {refused}");
    }
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"n1\"",
        "{\"name\":\"n2\"} x",
        "{\"name\":\"\u{feff}\"",
        "name=n2",
    ] {
        for (method, path) in [
            ("POST", "/nodes"),
            ("PATCH", "/node/n1"),
            ("PUT", "/node/n1"),
            ("PATCH", "/node/n1/attributes"),
            ("PUT", "/node/n1/attributes"),
        ] {
            let refused = head
                .api_with(method, path, &["--data-binary", body])
                .refusal();
            assert!(
                refused.starts_with("400 the body is not what was expected: "),
                "{method} {path} {body:?}: {refused}"
            );
        }
    }
    let not_text = head.path("not-text");
    std::fs::write(&not_text, b"{\"name\": \"n\xff\"}").unwrap();
    let body = format!("@{}", not_text.display());
    let refused = head.api_with("POST", "/nodes", &["--data-binary", &body]);
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(head.state_revision(), before);
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let head = Head::with_config("[limits]\nbody = \"4KiB\"\n");
    let node = |description: usize| {
        let spec = json!({"name": "n1", "mac": "52:54:00:aa:00:01", "description": "d".repeat(description)});
        spec.to_string()
    };
    let limit = 4096 - node(0).len();
    for chunked in [false, true] {
        let mut options = vec!["-H", "Expect:"];
        options.extend(
            chunked
                .then_some(["-H", "Transfer-Encoding: chunked"])
                .into_iter()
                .flatten(),
        );
        for (length, status) in [(limit + 1, 413), (1 << 20, 413), (limit, 201)] {
            let file = head.path("body");
            std::fs::write(&file, node(length)).unwrap();
            let body = format!("@{}", file.display());
            let options = [&options[..], &["--data-binary", &body]].concat();
            let reply = head.api_with("POST", "/nodes", &options);
            assert_eq!(
                reply.status, status,
                "{length} chunked={chunked}: {reply:?}"
            );
            if status == 413 {
                assert_eq!(reply.refusal(), "413 the body is larger than 4096 bytes");
            }
        }
        assert_eq!(head.api("DELETE", "/node/n1", None).status, 200);
    }
}

#[test]
fn other_methods_are_refused_with_those_that_do() {
    let (head, _) = head_with_n1();
    for (method, path, allowed) in [
        ("PUT", "/nodes", "GET, HEAD, POST"),
        ("DELETE", "/nodes", "GET, HEAD, POST"),
        ("POST", "/node/n1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("OPTIONS", "/node/n1", "DELETE, GET, HEAD, PATCH, PUT"),
        (
            "POST",
            "/node/n1/attributes",
            "DELETE, GET, HEAD, PATCH, PUT",
        ),
        ("POST", "/cluster", "GET, HEAD, PATCH"),
        ("GET", "/auth/login", "POST"),
        ("PUT", "/healthz", "GET, HEAD"),
    ] {
        let refused = head.api(method, path, None);
        assert_eq!(refused.status, 405, "{method} {path}: {refused:?}");
        let mut methods: Vec<&str> = refused.header("Allow").unwrap().split(", ").collect();
        methods.sort_unstable();
        assert_eq!(methods.join(", "), allowed, "{method} {path}");
        assert!(refused.refusal().starts_with("405 this path takes "));
    }
    for path in [
        "/",
        "/node",
        "/node/",
        "/node/n1/",
        "/node/n1/attributes/rack",
        "/nodes/n1",
    ] {
        let refused = head.api("GET", path, None);
        assert!(refused.refusal().starts_with("404 "), "{path}: {refused:?}");
    }
}
