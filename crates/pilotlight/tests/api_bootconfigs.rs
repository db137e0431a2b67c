//! `/bootconfigs` and `/bootconfig/<UID>`: what nodes boot.
#![allow(clippy::unwrap_used)]

mod head;

use head::Head;
use serde_json::{Value, json};

fn rocky9() -> Value {
    json!({"name": "rocky9", "description": "Rocky Linux 9", "kernel": "rocky9/vmlinuz", "initramfs": "rocky9/initrd.img",
           "cmdline": "console=ttyS0", "kickstart": "basic.ks", "repo": "repo/rocky9", "boot_style": "disked"})
}

#[test]
fn a_boot_configuration_is_created_read_changed_and_deleted() {
    let head = Head::start();
    let uid = head.create("/bootconfigs", &rocky9());
    let mut shown = head.api("GET", "/bootconfig/rocky9", None).data();
    assert_eq!(
        head.api("GET", "/bootconfigs", None).data(),
        json!({&uid: shown})
    );
    let revision = shown.as_object_mut().unwrap().remove("revision").unwrap();
    assert!(revision.is_u64(), "{revision}");
    let mut expected = rocky9();
    expected["uid"] = uid.as_str().into();
    assert_eq!(shown, expected);

    let again = head.api("POST", "/bootconfigs", Some(&rocky9()));
    assert_eq!(
        again.refusal(),
        "409 there is another boot configuration named rocky9"
    );
    for (body, words) in [
        (
            json!({"name": "x", "arch": "x86_64"}),
            "400 not a valid boot configuration: unknown field `arch`",
        ),
        (
            json!({"kernel": "vmlinuz"}),
            "400 not a valid boot configuration: missing field `name`",
        ),
        (
            json!({"name": "x", "kernel": 7}),
            "400 not a valid boot configuration: invalid type",
        ),
        (
            json!({"name": "x", "cmdline": "a\0b"}),
            "400 cmdline: holds a NUL",
        ),
    ] {
        let refused = head.api("POST", "/bootconfigs", Some(&body)).refusal();
        assert!(refused.starts_with(words), "{body}: {refused}");
    }

    let patch = json!({"cmdline": null, "kickstart": "gpu.ks"});
    let patched = head
        .api("PATCH", &format!("/bootconfig/{uid}"), Some(&patch))
        .data();
    assert_eq!(
        (patched.get("cmdline"), &patched["kickstart"]),
        (None, &json!("gpu.ks"))
    );
    assert_eq!(patched["kernel"], "rocky9/vmlinuz");
    let stale = ["-H", "If-Match: \"1\""];
    assert_eq!(
        head.api_with("DELETE", "/bootconfig/rocky9", &stale).status,
        412
    );
    let replaced = head
        .api("PUT", "/bootconfig/rocky9", Some(&json!({"name": "rocky"})))
        .data();
    assert_eq!(replaced.get("kernel"), None);
    assert_eq!(
        head.api("DELETE", "/bootconfig/rocky", None).json(),
        json!({"success": true})
    );
    let gone = head.api("GET", &format!("/bootconfig/{uid}"), None);
    assert_eq!(
        gone.refusal(),
        format!("404 there is no boot configuration \"{uid}\"")
    );
}

#[test]
fn filters_select_boot_configurations() {
    let head = Head::start();
    head.create("/bootconfigs", &rocky9());
    head.create(
        "/bootconfigs",
        &json!({"name": "rocky8", "kickstart": "basic.ks"}),
    );
    head.create(
        "/bootconfigs",
        &json!({"name": "diskless", "boot_style": "rwram"}),
    );
    for (query, expected) in [
        ("name=rocky*", &["rocky8", "rocky9"][..]),
        ("kickstart=basic.ks", &["rocky8", "rocky9"]),
        ("kickstart=basic.ks&boot_style=disked", &["rocky9"]),
        ("boot_style=rw*", &["diskless"]),
        ("kernel=*", &["rocky9"]),
    ] {
        let list = head
            .api("GET", &format!("/bootconfigs?{query}"), None)
            .data();
        let found = list.as_object().unwrap().values();
        let mut names: Vec<&str> = found.map(|one| one["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{query}");
    }
    let refused = head.api("GET", "/bootconfigs?attr.x=1", None).refusal();
    assert!(
        refused.starts_with("400 there is no filter attr.x; there are name, "),
        "{refused}"
    );
}

#[test]
fn a_change_reaches_the_nodes_that_boot_it() {
    let head = Head::start();
    head.put("where.ks", "url --url=<root_url()>\n");
    let uid = head.create("/bootconfigs", &rocky9());
    head.node("n1", "127.0.0.11", &["attr._boot_config=rocky9"]);
    head.node("n2", "127.0.0.12", &[&format!("attr._boot_config={uid}")]);
    let where_from = |node: &str| head.get_from(node, "/kickstart/where.ks");
    for node in ["127.0.0.11", "127.0.0.12"] {
        let expected = format!("url --url={}\n", head.url("/repo/rocky9"));
        assert_eq!(where_from(node).text(), expected);
    }
    let repo = json!({"repo": "https://mirror.example/rocky/9"});
    assert_eq!(
        head.api("PATCH", "/bootconfig/rocky9", Some(&repo)).status,
        200
    );
    assert_eq!(
        where_from("127.0.0.11").text(),
        "url --url=https://mirror.example/rocky/9\n"
    );
    // By UID a node boots it under any name, by name only under that one.
    assert_eq!(
        head.api(
            "PATCH",
            "/bootconfig/rocky9",
            Some(&json!({"name": "rocky"}))
        )
        .status,
        200
    );
    assert_eq!(where_from("127.0.0.12").status, 200);
    let refused = where_from("127.0.0.11");
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(
        refused.text().starts_with("where.ks:1: node n1 has no "),
        "{refused:?}"
    );
}
