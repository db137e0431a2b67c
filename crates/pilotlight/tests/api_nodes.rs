//! `/nodes` and `/node/<UID>`: what the API makes of a node, and what it refuses.
#![allow(clippy::unwrap_used)]

mod head;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

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

fn names(list: &Value) -> Vec<String> {
    let nodes = list.as_object().unwrap().values();
    let mut names: Vec<String> = nodes
        .map(|node| node["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
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
        ("status", json!({})),
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
        (
            json!({"name": "n1"}),
            "409 there is already a node named n1",
        ),
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

#[test]
fn patch_merges_and_put_replaces() {
    let (head, uid) = head_with_n1();
    let created = head.api("GET", "/node/n1", None).data();
    let patch = json!({"description": null, "index": 2, "attributes": {"disk": null, "raid": "5", "rack": "8"}});
    let patched = head.api("PATCH", "/node/n1", Some(&patch));
    let node = patched.data();
    assert_eq!(node["attributes"], json!({"rack": "8", "raid": "5"}));
    assert_eq!((&node["index"], node.get("description")), (&json!(2), None));
    for untouched in ["uid", "name", "mac", "ip", "interfaces", "type"] {
        assert_eq!(node[untouched], created[untouched], "{untouched}");
    }
    assert!(node["revision"].as_u64() > created["revision"].as_u64());
    assert_eq!(
        patched.header("ETag"),
        Some(format!("\"{}\"", node["revision"]).as_str())
    );
    assert_eq!(head.api("GET", "/node/n1", None).data(), node);

    // What GET gave can be PUT back as it is, and says the same.
    let put = head.api("PUT", "/node/n1", Some(&node));
    let mut again = put.data();
    again["revision"] = node["revision"].clone();
    assert_eq!(again, node);

    let bare = json!({"name": "m1", "mac": "52:54:00:aa:00:01"});
    let node = head.api("PUT", "/node/n1", Some(&bare)).data();
    assert_eq!(node["attributes"], json!({}));
    assert_eq!(
        (node.get("ip"), node.get("index"), node.get("interfaces")),
        (None, None, None)
    );
    assert_eq!((&node["uid"], &node["name"]), (&json!(uid), &json!("m1")));
    for gone in ["n1", "10.0.0.1", "fd00::1", "52:54:00:bb:00:01"] {
        assert_eq!(
            head.api("GET", &format!("/node/{gone}"), None).status,
            404,
            "{gone}"
        );
    }
    for missing in ["PATCH", "PUT"] {
        let refused = head.api(missing, "/node/n1", Some(&bare));
        assert_eq!(refused.refusal(), "404 there is no node \"n1\"");
    }
}

#[test]
fn if_match_lets_a_change_pass_only_on_the_revision_it_names() {
    let (head, _) = head_with_n1();
    let etag = |head: &Head| {
        let shown = head.api("GET", "/node/n1", None);
        shown.header("ETag").unwrap().to_owned()
    };
    let change = |method: &str, path: &str, if_match: &str, body: &Value| {
        let condition = format!("If-Match: {if_match}");
        head.api_with(method, path, &["-H", &condition, "-d", &body.to_string()])
    };
    let first = etag(&head);
    let body = json!({"index": 2});
    assert_eq!(change("PATCH", "/node/n1", &first, &body).status, 200);
    let second = etag(&head);
    assert_ne!(first, second);

    let other = json!({"name": "n1", "mac": "52:54:00:aa:00:01", "index": 3});
    for stale in [first.as_str(), "\"0\"", "\"\"", "nonsense", "W/\"1\""] {
        for (method, path, body) in [
            ("PATCH", "/node/n1", &json!({"index": 3})),
            ("PUT", "/node/n1", &other),
            ("DELETE", "/node/n1", &Value::Null),
            ("PATCH", "/node/n1/attributes", &json!({"rack": "9"})),
            ("PUT", "/node/n1/attributes", &json!({"rack": "9"})),
            ("DELETE", "/node/n1/attributes", &json!(["rack"])),
        ] {
            let refused = change(method, path, stale, body);
            let revision = second.trim_matches('"');
            assert_eq!(
                refused.refusal(),
                format!("412 it was changed since you read it: its revision is now {revision}"),
                "{method} {path} {stale}"
            );
        }
    }
    assert_eq!(etag(&head), second);

    for good in ["*", &format!("\"0\", {second}")] {
        let current = good.replace(&second, &etag(&head));
        assert_eq!(
            change("PATCH", "/node/n1", &current, &json!({"index": 4})).status,
            200,
            "{good}"
        );
    }
    // Attributes are the node's: their ETag is its own.
    let attributes = head.api("GET", "/node/n1/attributes", None);
    assert_eq!(attributes.header("ETag").unwrap(), etag(&head));
    assert_eq!(
        change("DELETE", "/node/n1", &etag(&head), &Value::Null).status,
        200
    );
}

#[test]
fn concurrent_patches_lose_nothing() {
    let (head, _) = head_with_n1();
    let patch = |number: usize| {
        let name = format!("a{number}");
        let body = json!({"attributes": {name: number.to_string()}});
        ("PATCH", "/node/n1".to_owned(), body)
    };
    let patches: Vec<_> = (0..40).map(patch).collect();
    let statuses = head.at_once(&patches);
    assert_eq!(statuses, [200; 40]);
    let mut expected = json!({"rack": "7", "disk": "sda"});
    for number in 0..40 {
        expected[format!("a{number}")] = number.to_string().into();
    }
    assert_eq!(
        head.api("GET", "/node/n1/attributes", None).data(),
        expected
    );
}

#[test]
fn of_many_claims_of_one_mac_exactly_one_wins() {
    let head = Head::start();
    let claim = |number: usize| {
        let node = json!({"name": format!("n{number}"), "mac": "52:54:00:aa:00:01"});
        ("POST", "/nodes".to_owned(), node)
    };
    let claims: Vec<_> = (0..500).map(claim).collect();
    let mut statuses = head.at_once(&claims);
    statuses.sort_unstable();
    assert_eq!(statuses[0], 201);
    assert_eq!(statuses[1..], [409; 499]);
    assert_eq!(
        head.api("GET", "/nodes", None)
            .data()
            .as_object()
            .unwrap()
            .len(),
        1
    );
}

/// The names of all pages, each page in order.
fn walk(head: &Head, query: &str) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = head
            .api("GET", &format!("/nodes?{query}{cursor}"), None)
            .json();
        assert_eq!(page["success"], true, "{page}");
        pages.push(names(&page["data"]));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[test]
fn pages_hold_every_node_once_while_others_come_and_go() {
    let head = Head::start();
    let create = |name: String, number: usize| {
        (
            "POST",
            "/nodes".to_owned(),
            json!({"name": name, "mac": mac(number)}),
        )
    };
    let stay: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    let creations: Vec<_> = stay
        .iter()
        .cloned()
        .enumerate()
        .map(|(i, name)| create(name, i))
        .collect();
    assert_eq!(head.at_once(&creations), [201; 100]);

    let done = AtomicBool::new(false);
    let walks = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 1000;
            while !done.load(Ordering::Relaxed) {
                let passing: Vec<String> = (number..number + 10)
                    .map(|n| format!("n{}x{n}", n % 100))
                    .collect();
                let creations = passing.iter().cloned().enumerate();
                let creations: Vec<_> = creations
                    .map(|(i, name)| create(name, number + i))
                    .collect();
                assert_eq!(head.at_once(&creations), [201; 10]);
                let deletion = |name: &String| ("DELETE", format!("/node/{name}"), Value::Null);
                let deletions: Vec<_> = passing.iter().map(deletion).collect();
                assert_eq!(head.at_once(&deletions), [200; 10]);
                number += 10;
            }
        });
        let walks: Vec<_> = (0..3).map(|_| walk(&head, "limit=7")).collect();
        done.store(true, Ordering::Relaxed);
        walks
    });
    for pages in walks {
        let (last, others) = pages.split_last().unwrap();
        assert!(
            others.iter().all(|page| page.len() == 7) && !last.is_empty(),
            "{pages:?}"
        );
        // In order, so none comes twice.
        let all = pages.concat();
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        let seen: BTreeSet<_> = all.iter().collect();
        let missing: Vec<_> = stay.iter().filter(|name| !seen.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?} of {all:?}");
    }
    assert_eq!(walk(&head, "limit=1000").len(), 1);
    assert_eq!(walk(&head, "limit=50").concat().len(), 100);
    for (limit, reason) in [
        ("0", "400 limit=0: from 1 to 10000"),
        ("10001", "400 limit=10001: from 1 to 10000"),
    ] {
        let refused = head.api("GET", &format!("/nodes?limit={limit}"), None);
        assert_eq!(refused.refusal(), reason);
    }
    for query in ["limit=many", "limit=-1", "cursor=", "cursor=4n"] {
        let refused = head.api("GET", &format!("/nodes?{query}"), None).refusal();
        assert!(refused.starts_with(&format!("400 {query}: ")), "{refused}");
    }
}

#[test]
fn filters_select_nodes() {
    let head = Head::start();
    for (name, attributes) in [
        ("gpu", json!({"driver": "nvidia"})),
        ("boot", json!({"_boot_config": "rocky9"})),
    ] {
        head.create("/attribs", &json!({"name": name, "attributes": attributes}));
    }
    head.create("/nodes", &n1());
    for node in [
        json!({"name": "n2", "mac": "52:54:00:aa:00:02", "ip": "10.0.0.2", "groups": ["gpu", "boot"]}),
        json!({"name": "n3.example", "mac": "52:54:00:aa:00:03", "groups": ["boot"], "attributes": {"_boot_config": "ztp:a.sh"}}),
        json!({"name": "leaf1", "mac": "52:54:00:aa:01:01", "ip": "10.0.1.1", "type": "switch"}),
    ] {
        head.create("/nodes", &node);
    }
    let hardware = json!({"hardware": {"cpu": "EPYC 9"}, "status": {"up": "yes"}});
    assert_eq!(head.api("PATCH", "/node/n2", Some(&hardware)).status, 200);
    for (query, expected) in [
        ("", &["leaf1", "n1", "n2", "n3.example"][..]),
        ("name=n*", &["n1", "n2", "n3.example"]),
        ("name=n?", &["n1", "n2"]),
        ("name=n1", &["n1"]),
        ("name=N1", &[]),
        ("type=switch", &["leaf1"]),
        ("type=comp*", &["n1", "n2", "n3.example"]),
        ("index=1", &["n1"]),
        ("description=the%20first", &["n1"]),
        ("group=gpu", &["n2"]),
        ("group=*o*", &["n2", "n3.example"]),
        ("ip=10.0.0.*", &["n1", "n2"]),
        ("ip=::ffff:10.0.1.1", &["leaf1"]),
        ("ip=fd00:0::1", &["n1"]),
        ("mac=525400AA0002", &["n2"]),
        ("mac=52:54:00:aa:01:*", &["leaf1"]),
        ("mac=52-54-00-BB-00-01", &["n1"]),
        ("hostname=n3", &["n3.example"]),
        ("domain=example", &["n3.example"]),
        ("attr._boot_config=rocky9", &["n2"]),
        ("attr._boot_config=*", &["n2", "n3.example"]),
        ("attr.driver=nvidia&attr._boot_config=rocky9", &["n2"]),
        ("attr.rack=7", &["n1"]),
        ("attr.none=*", &[]),
        ("hardware.cpu=EPYC*", &["n2"]),
        ("status.up=yes", &["n2"]),
        ("name=n*&type=switch", &[]),
        ("name=n*&name=*2", &["n2"]),
    ] {
        let list = head.api("GET", &format!("/nodes?{query}"), None);
        assert_eq!(names(&list.data()), expected, "{query}");
    }
    assert_eq!(
        walk(&head, "name=n*&limit=2"),
        [&["n1", "n2"][..], &["n3.example"]]
    );
    for unknown in ["colour", "names", "attr", "attributes", "Name", ""] {
        let refused = head
            .api("GET", &format!("/nodes?{unknown}=x"), None)
            .refusal();
        assert!(
            refused.starts_with(&format!(
                "400 there is no filter {unknown}; there are name, mac, ip, "
            )),
            "{refused}"
        );
    }
}

#[test]
fn single_attributes_are_read_set_replaced_and_removed() {
    let (head, uid) = head_with_n1();
    let path = "/node/n1/attributes";
    let attributes = || head.api("GET", path, None).data();
    assert_eq!(attributes(), json!({"rack": "7", "disk": "sda"}));

    let set = json!({"raid": "5", "rack": "", "disk": null});
    let patched = head.api("PATCH", path, Some(&set)).data();
    assert_eq!(
        (&patched["uid"], &patched["attributes"]),
        (&json!(uid), &json!({"raid": "5", "rack": ""}))
    );
    assert_eq!(attributes(), json!({"raid": "5", "rack": ""}));

    let all = json!({"one": "1", "two": "<a[one]>", "three": "ü\n\"\\", "four": "4"});
    assert_eq!(head.api("PUT", path, Some(&all)).status, 200);
    assert_eq!(attributes(), all);

    assert_eq!(
        head.api("DELETE", path, Some(&json!(["one", "three"])))
            .status,
        200
    );
    assert_eq!(head.api("DELETE", path, Some(&json!("four"))).status, 200);
    assert_eq!(attributes(), json!({"two": "<a[one]>"}));
    let refused = head.api("DELETE", path, Some(&json!(["two", "three"])));
    assert_eq!(refused.refusal(), "404 there is no attribute \"three\"");
    for bad in [json!({"two": null}), json!([2]), json!(null)] {
        let refused = head.api("DELETE", path, Some(&bad));
        assert_eq!(
            refused.refusal(),
            "400 the body is not a list of attribute names",
            "{bad}"
        );
    }
    let refused = head.api("PATCH", path, Some(&json!({"2x": "1"}))).refusal();
    assert!(
        refused.starts_with("400 ") && refused.contains("\"2x\" is not an attribute name"),
        "{refused}"
    );
    assert_eq!(attributes(), json!({"two": "<a[one]>"}));
    assert_eq!(head.api("PUT", path, Some(&json!({}))).status, 200);
    assert_eq!(attributes(), json!({}));
    assert_eq!(
        head.api("GET", "/node/n2/attributes", None).refusal(),
        "404 there is no node \"n2\""
    );
}
