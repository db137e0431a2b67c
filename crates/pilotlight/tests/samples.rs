//! The sample boot files, as the head gives them to a node: each passes the check of those it is made for.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use head::{Head, repository, run, skip, skipped};

const NODE: &str = "127.0.0.11";

/// A head with the sample `name`, and a node with these attributes that boots from it.
fn head_with(name: &str, words: &[&str]) -> Head {
    let head = Head::start();
    let sample = fs::read(repository().join("assets/kickstarts").join(name)).unwrap();
    head.put(name, sample);
    head.cli([
        "bootconfig",
        "create",
        "rocky9",
        "repo=http://mirror.example/rocky/9/BaseOS/x86_64/os/",
    ]);
    head.node("n1.cluster.example", NODE, words);
    head
}

/// What the node gets from this endpoint, in a file of this name.
fn fetched(head: &Head, path: &str, name: &str) -> PathBuf {
    let reply = head.get_from(NODE, path);
    assert_eq!(reply.status, 200, "{reply:?}");
    let file = head.path(name);
    fs::write(&file, reply.body).unwrap();
    file
}

fn assert_success(output: &Output) {
    let said = [&output.stdout[..], &output.stderr].concat();
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&said)
    );
}

fn pykickstart(arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command
        .arg(repository().join("tests/clients/pykickstart.sh"))
        .args(arguments);
    run(&mut command)
}

#[test]
fn basic_ks_is_a_valid_kickstart_of_rhel_9() {
    let head = head_with(
        "basic.ks",
        &["attr.rootpw=$6$salt$hash", "attr._boot_config=rocky9"],
    );
    let file = fetched(&head, "/kickstart/basic.ks", "basic.ks");
    let text = fs::read_to_string(&file).unwrap();
    for line in [
        "url --url \"http://mirror.example/rocky/9/BaseOS/x86_64/os/\"",
        "rootpw --iscrypted $6$salt$hash",
        "clearpart --all --initlabel --drives=sda",
    ] {
        assert!(
            text.lines().any(|known| known == line),
            "{line} is not in:\n{text}"
        );
    }
    assert!(text.contains("--hostname=n1 "), "{text}");
    let output = pykickstart(&["ksvalidator", "-v", "RHEL9", file.to_str().unwrap()]);
    if !skipped(&output) {
        assert_success(&output);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn basic_ks_is_valid_with_every_attribute_that_it_knows() {
    let head = head_with(
        "basic.ks",
        &[
            "attr.rootpw=$6$salt$hash",
            "attr._boot_config=rocky9",
            "attr.ssh_key=ssh-ed25519 AAAA admin@head",
            "attr.disk=disk/by-id/wwn-0x5000c500a1b2c3d4",
            "attr.partitioning=plain",
            "attr.cmdline=console=ttyS0,115200 nomodeset",
            "attr.after_install=poweroff",
        ],
    );
    let file = fetched(&head, "/kickstart/basic.ks", "basic.ks");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.ends_with("poweroff\n"), "{text}");
    assert!(text.contains("ssh-ed25519 AAAA admin@head"), "{text}");
    let output = pykickstart(&["ksvalidator", "-v", "RHEL9", file.to_str().unwrap()]);
    if !skipped(&output) {
        assert_success(&output);
    }
}

#[test]
fn basic_ks_says_what_a_node_lacks() {
    let head = head_with("basic.ks", &["attr._boot_config=rocky9"]);
    let reply = head.get_from(NODE, "/kickstart/basic.ks");
    assert_eq!(reply.status, 422);
    assert!(
        reply
            .text()
            .ends_with("node n1.cluster.example has no attribute \"rootpw\"\n"),
        "{reply:?}"
    );

    head.cli(["node", "set", "n1.cluster.example", "rootpw=$6$salt$hash"]);
    head.cli(["node", "clear", "n1.cluster.example", "_boot_config"]);
    assert_eq!(head.get_from(NODE, "/kickstart/basic.ks").status, 422);
}

#[test]
fn cumulus_sh_is_a_script_whose_last_line_is_the_marker() {
    let words = [
        "attr.rootpw=$6$salt$hash",
        "attr._boot_config=ztp:cumulus.sh",
    ];
    let head = head_with("cumulus.sh", &words);
    let file = fetched(&head, "/ztp/script", "cumulus.sh");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("#!/bin/bash\n"), "{text}");
    assert_eq!(text.lines().last(), Some("# CUMULUS-AUTOPROVISIONING"));
    assert!(text.contains(&format!("'{}'", head.url(""))), "{text}");
    assert_success(&run(Command::new("bash").arg("-n").arg(&file)));
    match Command::new("shellcheck").arg(&file).output() {
        Ok(output) => assert_success(&output),
        Err(error) => skip(&format!("shellcheck of cumulus.sh: {error}")),
    }
    // No warning about the marker.
    head.log_lines("path=/api/v1/ztp/script", 1);
    assert!(!head.log().contains("AUTOPROVISIONING"), "{}", head.log());
}

#[test]
fn sonic_json_is_json_with_the_nodes_own_plan() {
    let words = [
        "attr._boot_config=ztp:sonic.json",
        "attr.config_db=switches/leaf.json",
    ];
    let head = head_with("sonic.json", &words);
    let reply = head.get_from(NODE, "/ztp/script");
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
    let plan = reply.json();
    let source = &plan["ztp"]["01-configdb-json"]["url"]["source"];
    assert_eq!(*source, head.url("/kickstart/switches/leaf.json"));
    assert_eq!(
        plan["ztp"]["02-connectivity-check"]["ping-hosts"][0],
        "127.0.0.1"
    );
}
