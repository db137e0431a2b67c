//! `GET /ztp/script`: what the asking switch's `_boot_config` names.
#![allow(clippy::unwrap_used)]

mod head;

use head::{Head, Reply};

/// The address of the switch leaf01.
const LEAF: &str = "127.0.0.31";

fn ask(head: &Head) -> Reply {
    let reply = head.get_from(LEAF, "/ztp/script");
    assert!(!reply.body.is_empty(), "an empty answer: {reply:?}");
    reply
}

#[test]
fn a_switch_gets_the_script_that_its_attribute_names() {
    let head = Head::start();
    head.put(
        "switches/leaf.sh",
        "#!/bin/sh\nhostname <n[hostname]>\n# CUMULUS-AUTOPROVISIONING\n",
    );
    head.put("sonic.json", "{\"ztp\": {\"name\": \"<n[name]>\"}}\n");
    head.node("leaf01", LEAF, &["attr._boot_config=ztp:switches/leaf.sh"]);
    let reply = ask(&head);
    assert_eq!(
        (reply.status, reply.text()),
        (
            200,
            "#!/bin/sh\nhostname leaf01\n# CUMULUS-AUTOPROVISIONING\n"
        )
    );
    assert_eq!(
        reply.header("Content-Type"),
        Some("text/plain; charset=utf-8")
    );

    head.cli(["node", "set", "leaf01", "_boot_config=ztp:sonic.json"]);
    let reply = ask(&head);
    assert_eq!(reply.json()["ztp"]["name"], "leaf01");
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
}

#[test]
fn an_unknown_address_gets_404_with_the_reason() {
    let head = Head::start();
    let reply = ask(&head);
    assert_eq!(
        (reply.status, reply.text()),
        (404, "no node has address 127.0.0.31\n")
    );
}

#[test]
fn a_switch_without_the_attribute_is_told_so() {
    let head = Head::start();
    head.node("leaf01", LEAF, &[]);
    let reply = ask(&head);
    assert_eq!(
        (reply.status, reply.text()),
        (404, "node leaf01 has no attribute \"_boot_config\"\n")
    );
}

#[test]
fn an_attribute_that_names_no_script_is_shown_as_it_is() {
    let head = Head::start();
    head.node("leaf01", LEAF, &[]);
    for value in [
        "rocky9",
        "ZTP:cumulus.sh",
        " ztp:cumulus.sh",
        "kickstart:a.ks",
    ] {
        head.cli(["node", "set", "leaf01", &format!("_boot_config={value}")]);
        let reply = ask(&head);
        assert_eq!(reply.status, 404, "{value}");
        assert!(
            reply.text().contains(&format!("{value:?}")),
            "{value}: {reply:?}"
        );
        assert!(reply.text().contains("leaf01"), "{value}: {reply:?}");
    }
}

#[test]
fn a_script_that_is_not_there_is_404_and_named() {
    let head = Head::start();
    head.node("leaf01", LEAF, &["attr._boot_config=ztp:gone.sh"]);
    let reply = ask(&head);
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("gone.sh"), "{reply:?}");
}

#[test]
fn a_missing_value_is_422_with_file_line_and_name() {
    let head = Head::start();
    head.put("leaf.sh", "#!/bin/sh\npasswd '<a[rootpw]>'\n");
    head.node("leaf01", LEAF, &["attr._boot_config=ztp:leaf.sh"]);
    let reply = ask(&head);
    assert_eq!(
        (reply.status, reply.text()),
        (422, "leaf.sh:2: node leaf01 has no attribute \"rootpw\"\n")
    );
}

#[test]
fn an_empty_script_is_an_error() {
    let head = Head::start();
    head.put("leaf.sh", "");
    head.node("leaf01", LEAF, &["attr._boot_config=ztp:leaf.sh"]);
    assert_eq!(ask(&head).status, 422);
}

#[test]
fn the_script_may_be_named_by_a_group() {
    let head = Head::start();
    head.put("leaf.sh", "#!/bin/sh\n# leaf\n");
    head.put("spine.sh", "#!/bin/sh\n# spine\n");
    head.cli(["group", "create", "leaves", "_boot_config=ztp:leaf.sh"]);
    head.cli(["group", "create", "spines", "_boot_config=ztp:spine.sh"]);
    head.node("leaf01", LEAF, &["groups=leaves"]);
    assert_eq!(ask(&head).text(), "#!/bin/sh\n# leaf\n");
    head.cli(["node", "update", "leaf01", "groups=leaves,spines"]);
    assert_eq!(ask(&head).text(), "#!/bin/sh\n# spine\n");
    head.cli(["node", "update", "leaf01", "groups="]);
    assert_eq!(ask(&head).status, 404);
    head.cli(["group", "set", "DefaultAttribs", "_boot_config=ztp:leaf.sh"]);
    assert_eq!(ask(&head).text(), "#!/bin/sh\n# leaf\n");
}

#[test]
fn a_script_without_cumulus_marker_is_served_with_one_warning_per_revision() {
    let head = Head::start();
    let warning = "CUMULUS-AUTOPROVISIONING";
    head.node("leaf01", LEAF, &["attr._boot_config=ztp:leaf.sh"]);
    head.put("leaf.sh", "#!/bin/sh\necho <n[name]>\n");
    for _ in 0..3 {
        assert_eq!(ask(&head).status, 200);
    }
    // The fetch lines come after the warning of their request.
    head.log_lines("path=/api/v1/ztp/script", 3);
    let warnings = head.log_lines(warning, 1);
    assert!(
        warnings[0].contains("WARN") && warnings[0].contains("leaf.sh"),
        "{warnings:?}"
    );

    head.put("leaf.sh", "#!/bin/sh\necho again <n[name]>\n");
    for _ in 0..3 {
        assert_eq!(ask(&head).status, 200);
    }
    head.log_lines("path=/api/v1/ztp/script", 6);
    head.log_lines(warning, 2);

    head.put(
        "leaf.sh",
        "#!/bin/sh\necho <n[name]>\n# CUMULUS-AUTOPROVISIONING\n",
    );
    assert_eq!(ask(&head).status, 200);
    head.log_lines("path=/api/v1/ztp/script", 7);
    head.log_lines(warning, 2);
}
