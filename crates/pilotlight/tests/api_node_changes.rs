//! PATCH and PUT of a node and of its attributes; conditions, and many changes at the same time.
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
