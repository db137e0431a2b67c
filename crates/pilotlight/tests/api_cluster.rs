//! `/cluster`: what holds for the whole cluster.
#![allow(clippy::unwrap_used)]

mod head;

use head::Head;
use serde_json::{Value, json};

fn cluster(head: &Head) -> Value {
    head.api("GET", "/cluster", None).data()
}

#[test]
fn the_cluster_counts_its_objects() {
    let head = Head::with_config("[head]\nname = \"head1\"\n");
    let new = cluster(&head);
    assert_eq!(
        new["counts"],
        json!({"nodes": 0, "attribs": 1, "bootconfigs": 0, "gitrepos": 0, "admins": 1})
    );
    assert_eq!(
        (&new["default_group"], &new["head"]),
        (&json!("DefaultAttribs"), &json!("head1"))
    );
    head.create("/nodes", &json!({"name": "n1", "mac": "52:54:00:aa:00:01"}));
    head.create("/attribs", &json!({"name": "gpu"}));
    head.create("/bootconfigs", &json!({"name": "rocky9"}));
    head.create(
        "/gitrepos",
        &json!({"name": "site", "url": "https://git.example/site.git"}),
    );
    head.create(
        "/admins",
        &json!({"name": "ada", "password": "correct horse"}),
    );
    let now = cluster(&head);
    assert_eq!(
        now["counts"],
        json!({"nodes": 1, "attribs": 2, "bootconfigs": 1, "gitrepos": 1, "admins": 2})
    );
    assert_eq!(now["revision"], new["revision"]);
    assert!(now["state_revision"].as_u64() > new["state_revision"].as_u64());
    assert_eq!(head.api("DELETE", "/node/n1", None).status, 200);
    assert_eq!(cluster(&head)["counts"]["nodes"], 0);
}

#[test]
fn its_settings_can_be_changed() {
    let head = Head::start();
    let before = cluster(&head);
    let patch = json!({"name": "weather", "domain": "cluster.example"});
    let patched = head.api("PATCH", "/cluster", Some(&patch));
    let after = patched.data();
    assert_eq!(
        (&after["name"], &after["domain"]),
        (&json!("weather"), &json!("cluster.example"))
    );
    assert_eq!(after["default_group"], before["default_group"]);
    assert_eq!(cluster(&head), after);
    let etag = head
        .api("GET", "/cluster", None)
        .header("ETag")
        .unwrap()
        .to_owned();
    assert_eq!(etag, format!("\"{}\"", after["revision"]));
    assert_eq!(patched.header("ETag"), Some(etag.as_str()));

    let conditional = |etag: &str| {
        let condition = format!("If-Match: {etag}");
        head.api_with(
            "PATCH",
            "/cluster",
            &["-H", &condition, "-d", "{\"domain\":null}"],
        )
        .status
    };
    assert_eq!(conditional(&format!("\"{}\"", before["revision"])), 412);
    assert_eq!(cluster(&head), after);
    assert_eq!(conditional(&etag), 200);
    assert_eq!(cluster(&head).get("domain"), None);
}

#[test]
fn what_it_cannot_be_is_refused_and_changes_nothing() {
    let head = Head::start();
    let before = cluster(&head);
    for (body, words) in [
        (
            json!({"colour": "red"}),
            "400 the body is not what was expected: unknown field `colour`",
        ),
        (
            json!({"name": "4u"}),
            "400 the body is not what was expected: \"4u\" is not a usable name",
        ),
        (
            json!({"domain": "not a domain"}),
            "400 the body is not what was expected: \"not a domain\" is not",
        ),
        (
            json!({"default_group": "gpu"}),
            "422 there is no attribute group \"gpu\"",
        ),
        (json!([1]), "400 the body is not what was expected"),
        // There must be both.
        (json!({"name": null}), "400 "),
        (json!({"default_group": null}), "400 "),
    ] {
        let refused = head.api("PATCH", "/cluster", Some(&body));
        assert_ne!(refused.status, 200, "{body}: {refused:?}");
        let refused = refused.refusal();
        assert!(refused.starts_with(words), "{body}: {refused}");
    }
    assert_eq!(cluster(&head), before);
}

#[test]
fn concurrent_changes_lose_nothing() {
    let head = Head::start();
    let patches = [
        json!({"name": "weather"}),
        json!({"domain": "cluster.example"}),
    ];
    let requests: Vec<_> = (0..20)
        .map(|i| ("PATCH", "/cluster".to_owned(), patches[i % 2].clone()))
        .collect();
    assert_eq!(head.at_once(&requests), [200; 20]);
    let after = cluster(&head);
    assert_eq!(
        (&after["name"], &after["domain"]),
        (&json!("weather"), &json!("cluster.example"))
    );
}

#[test]
fn its_domain_is_that_of_nodes_without_one() {
    let head = Head::start();
    head.put("name.ks", "<n[hostname]> <n[domain]>\n");
    head.node("n1", "127.0.0.11", &[]);
    head.node("n2.lab.example", "127.0.0.12", &[]);
    let name = |node: &str| head.get_from(node, "/kickstart/name.ks");
    assert_eq!(name("127.0.0.11").status, 422);
    assert_eq!(
        head.api(
            "PATCH",
            "/cluster",
            Some(&json!({"domain": "cluster.example"}))
        )
        .status,
        200
    );
    assert_eq!(name("127.0.0.11").text(), "n1 cluster.example\n");
    assert_eq!(name("127.0.0.12").text(), "n2 lab.example\n");
    let found = head
        .api("GET", "/nodes?domain=cluster.example", None)
        .data();
    assert_eq!(found.as_object().unwrap().len(), 1);
}
