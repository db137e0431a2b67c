//! `/attribs` and `/attrib/<UID>`: attribute groups, and what they give to nodes.
#![allow(clippy::unwrap_used)]

mod head;

use head::Head;
use serde_json::{Value, json};

const MAC: &str = "52:54:00:aa:00:01";

/// The effective attributes of a node as `NAME=VALUE (FROM)`.
fn effective(head: &Head, node: &str) -> Vec<String> {
    let shown = head.api("GET", &format!("/node/{node}?effective=true"), None);
    let node = shown.data();
    let attributes = node["effective"].as_object().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    attributes
        .map(|(name, is)| format!("{name}={} ({})", text(&is["value"]), text(&is["from"])))
        .collect()
}

#[test]
fn a_group_is_created_read_changed_and_deleted() {
    let head = Head::start();
    let gpu = json!({"name": "gpu", "description": "nodes with GPUs", "attributes": {"driver": "nvidia"}});
    let uid = head.create("/attribs", &gpu);
    let mut shown = head.api("GET", "/attrib/gpu", None).data();
    let revision = shown.as_object_mut().unwrap().remove("revision").unwrap();
    assert!(revision.is_u64(), "{revision}");
    let mut expected = gpu.clone();
    expected["uid"] = uid.as_str().into();
    assert_eq!(shown, expected);

    let list = head.api("GET", "/attribs", None).data();
    let mut names: Vec<&str> = list
        .as_object()
        .unwrap()
        .values()
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        (names, &list[&uid]["name"]),
        (vec!["DefaultAttribs", "gpu"], &json!("gpu"))
    );
    let filtered = head
        .api("GET", "/attribs?attr.driver=nv*&name=g*", None)
        .data();
    assert_eq!(
        filtered.as_object().unwrap().keys().collect::<Vec<_>>(),
        [&uid]
    );

    let again = head.api("POST", "/attribs", Some(&gpu)).refusal();
    assert!(
        again.starts_with("409 ") && again.ends_with("attribute group named gpu"),
        "{again}"
    );
    let refused = head
        .api("POST", "/attribs", Some(&json!({"name": "x", "nodes": []})))
        .refusal();
    assert!(
        refused.starts_with("400 not a valid attribute group: unknown field `nodes`"),
        "{refused}"
    );

    let patch = json!({"description": null, "attributes": {"cuda": "12"}});
    let patched = head
        .api("PATCH", &format!("/attrib/{uid}"), Some(&patch))
        .data();
    assert_eq!(
        patched["attributes"],
        json!({"driver": "nvidia", "cuda": "12"})
    );
    assert_eq!(patched.get("description"), None);
    let stale = [
        "-H",
        "If-Match: \"1\"",
        "-d",
        "{\"attributes\":{\"cuda\":\"13\"}}",
    ];
    assert_eq!(head.api_with("PATCH", "/attrib/gpu", &stale).status, 412);
    let replaced = head
        .api("PUT", "/attrib/gpu", Some(&json!({"name": "gpu"})))
        .data();
    assert_eq!(replaced.get("attributes"), None);

    assert_eq!(
        head.api("DELETE", "/attrib/gpu", None).json(),
        json!({"success": true})
    );
    assert_eq!(
        head.api("GET", "/attrib/gpu", None).refusal(),
        "404 there is no attribute group \"gpu\""
    );
}

#[test]
fn the_single_attributes_of_a_group_are_read_set_replaced_and_removed() {
    let head = Head::start();
    head.create(
        "/attribs",
        &json!({"name": "gpu", "attributes": {"a": "1", "b": "2"}}),
    );
    let path = "/attrib/gpu/attributes";
    let attributes = || head.api("GET", path, None).data();
    let steps = [
        (
            "PATCH",
            json!({"a": null, "c": "3"}),
            json!({"b": "2", "c": "3"}),
        ),
        (
            "PUT",
            json!({"x": "1", "y": "2"}),
            json!({"x": "1", "y": "2"}),
        ),
        ("DELETE", json!(["x"]), json!({"y": "2"})),
        ("DELETE", json!(["y"]), json!({})),
        ("PATCH", json!({"z": "26"}), json!({"z": "26"})),
    ];
    for (method, body, expected) in steps {
        assert_eq!(
            head.api(method, path, Some(&body)).status,
            200,
            "{method} {body}"
        );
        assert_eq!(attributes(), expected, "{method} {body}");
    }
    let refused = head.api("DELETE", path, Some(&json!(["z", "a"])));
    assert_eq!(refused.refusal(), "404 there is no attribute \"a\"");
    assert_eq!(attributes(), json!({"z": "26"}));
}

#[test]
fn effective_attributes_say_who_set_them() {
    let head = Head::start();
    let values = |level: &str, names: &[&str]| -> Value {
        names
            .iter()
            .map(|name| ((*name).to_owned(), Value::from(level)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let default = values("default", &["of_default", "of_rack", "of_gpu", "of_node"]);
    assert_eq!(
        head.api("PUT", "/attrib/DefaultAttribs/attributes", Some(&default))
            .status,
        200
    );
    head.create(
        "/attribs",
        &json!({"name": "rack", "attributes": values("rack", &["of_rack", "of_gpu", "of_node"])}),
    );
    head.create(
        "/attribs",
        &json!({"name": "gpu", "attributes": values("gpu", &["of_gpu", "of_node"])}),
    );
    head.create(
        "/nodes",
        &json!({"name": "n1", "mac": MAC, "groups": ["rack", "gpu"], "attributes": values("node", &["of_node"])}),
    );
    assert_eq!(
        effective(&head, "n1"),
        [
            "of_default=default (default:DefaultAttribs)",
            "of_gpu=gpu (group:gpu)",
            "of_node=node (node)",
            "of_rack=rack (group:rack)",
        ]
    );
    let without = head.api("GET", "/node/n1?effective=false", None).data();
    assert_eq!(without.get("effective"), None);
    assert_eq!(without["attributes"], json!({"of_node": "node"}));
    let refused = head
        .api("GET", "/node/n1?effective=perhaps", None)
        .refusal();
    assert!(refused.starts_with("400 effective=perhaps: "), "{refused}");

    // What was shown can be written back: what is effective is not the node's own because of that.
    let shown = head.api("GET", "/node/n1?effective=true", None).data();
    assert_eq!(head.api("PUT", "/node/n1", Some(&shown)).status, 200);
    assert_eq!(
        head.api("GET", "/node/n1/attributes", None).data(),
        json!({"of_node": "node"})
    );
}

#[test]
fn the_later_group_wins() {
    let head = Head::start();
    for name in ["a", "b", "c"] {
        head.create(
            "/attribs",
            &json!({"name": name, "attributes": {"x": name}}),
        );
    }
    head.create("/nodes", &json!({"name": "n1", "mac": MAC}));
    for (groups, expected) in [
        (json!(["a", "b", "c"]), "x=c (group:c)"),
        (json!(["c", "b", "a"]), "x=a (group:a)"),
        // Named twice, it counts where it stands last.
        (json!(["b", "a", "b"]), "x=b (group:b)"),
    ] {
        let patched = head.api("PATCH", "/node/n1", Some(&json!({"groups": groups})));
        assert_eq!(patched.status, 200, "{groups}: {patched:?}");
        assert_eq!(effective(&head, "n1"), [expected], "{groups}");
    }
    assert_eq!(
        head.api("GET", "/node/n1", None).data()["groups"],
        json!(["a", "b"])
    );
    // Set to nothing is set; removed, the next group's holds.
    assert_eq!(
        head.api("PATCH", "/attrib/b/attributes", Some(&json!({"x": ""})))
            .status,
        200
    );
    assert_eq!(effective(&head, "n1"), ["x= (group:b)"]);
    assert_eq!(
        head.api("DELETE", "/attrib/b/attributes", Some(&json!(["x"])))
            .status,
        200
    );
    assert_eq!(effective(&head, "n1"), ["x=a (group:a)"]);
    let refused = head.api("PATCH", "/node/n1", Some(&json!({"groups": ["a", "d"]})));
    assert_eq!(refused.refusal(), "422 there is no attribute group \"d\"");
}

#[test]
fn a_group_that_is_renamed_keeps_its_members() {
    let head = Head::start();
    let uid = head.create(
        "/attribs",
        &json!({"name": "gpu", "attributes": {"x": "1"}}),
    );
    head.create(
        "/nodes",
        &json!({"name": "n1", "mac": MAC, "groups": [uid]}),
    );
    assert_eq!(
        head.api("GET", "/node/n1", None).data()["groups"],
        json!(["gpu"])
    );
    assert_eq!(
        head.api("PATCH", "/attrib/gpu", Some(&json!({"name": "gpus"})))
            .status,
        200
    );
    assert_eq!(
        head.api("GET", "/node/n1", None).data()["groups"],
        json!(["gpus"])
    );
    assert_eq!(effective(&head, "n1"), ["x=1 (group:gpus)"]);
    assert_eq!(head.api("GET", "/attrib/gpu", None).status, 404);
    assert_eq!(
        head.api("GET", "/attrib/gpus", None).data()["uid"],
        uid.as_str()
    );
    // The old name is free, and means another group.
    head.create(
        "/attribs",
        &json!({"name": "gpu", "attributes": {"x": "2"}}),
    );
    assert_eq!(effective(&head, "n1"), ["x=1 (group:gpus)"]);
}

#[test]
fn a_group_with_members_cannot_be_deleted() {
    let head = Head::start();
    head.create("/attribs", &json!({"name": "gpu"}));
    for number in 1..=7 {
        let mac = format!("52:54:00:aa:00:0{number}");
        head.create(
            "/nodes",
            &json!({"name": format!("n{number}"), "mac": mac, "groups": ["gpu"]}),
        );
    }
    let delete = || head.api("DELETE", "/attrib/gpu", None);
    assert_eq!(
        delete().refusal(),
        "409 7 nodes are in group gpu (n1, n2, n3, n4, n5, …); they must leave it first"
    );
    for number in 1..=7 {
        if number < 6 {
            assert_eq!(
                head.api(
                    "PATCH",
                    &format!("/node/n{number}"),
                    Some(&json!({"groups": []}))
                )
                .status,
                200
            );
        } else {
            assert_eq!(
                head.api("DELETE", &format!("/node/n{number}"), None).status,
                200
            );
        }
        if number == 5 {
            assert_eq!(
                delete().refusal(),
                "409 2 nodes are in group gpu (n6, n7); they must leave it first"
            );
        }
    }
    assert_eq!(delete().status, 200);
}

#[test]
fn the_default_group_cannot_be_deleted() {
    let head = Head::start();
    let default = |expected: &str| {
        let refused = head.api("DELETE", &format!("/attrib/{expected}"), None);
        assert_eq!(
            refused.refusal(),
            format!("409 {expected} is the cluster's default group")
        );
    };
    default("DefaultAttribs");
    // A new name changes nothing about that.
    assert_eq!(
        head.api(
            "PATCH",
            "/attrib/DefaultAttribs",
            Some(&json!({"name": "all"}))
        )
        .status,
        200
    );
    default("all");
    head.create("/nodes", &json!({"name": "n1", "mac": MAC}));
    head.create(
        "/attribs",
        &json!({"name": "site", "attributes": {"x": "1"}}),
    );
    assert_eq!(effective(&head, "n1"), [""; 0]);
    assert_eq!(
        head.api("PATCH", "/cluster", Some(&json!({"default_group": "site"})))
            .status,
        200
    );
    assert_eq!(effective(&head, "n1"), ["x=1 (default:site)"]);
    default("site");
    assert_eq!(head.api("DELETE", "/attrib/all", None).status, 200);
}
