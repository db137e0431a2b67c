#![allow(clippy::unwrap_used)]

use super::*;

/// The findings of a document, without files.
fn findings(text: &str) -> Vec<(Severity, String, u32)> {
    let found = translate(text.as_bytes(), None).diagnostics;
    let summary = found.into_iter().map(|found| {
        let path = found.path.map(|path| path.to_string()).unwrap_or_default();
        (
            found.severity,
            path,
            found.position.map_or(0, |position| position.line),
        )
    });
    summary.collect()
}

/// The config that a document without faults becomes.
fn json(text: &str) -> serde_json::Value {
    let Translation {
        config,
        diagnostics,
        ..
    } = translate(text.as_bytes(), None);
    assert_eq!(diagnostics, []);
    serde_json::from_slice(&config.unwrap().to_json()).unwrap()
}

fn fcos(version: &str, rest: &str) -> String {
    format!("variant: fcos\nversion: {version}\n{rest}")
}

#[test]
fn the_same_document_gives_the_same_bytes() {
    let text = fcos(
        "1.5.0",
        "storage: {files: [{path: /a, mode: 0600, contents: {inline: x}}]}\n",
    );
    let config = translate(text.as_bytes(), None).config.unwrap();
    assert_eq!(
        String::from_utf8(config.to_json()).unwrap(),
        r#"{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/a","mode":384,"contents":{"compression":"","source":"data:,x"}}]}}"#
    );
}

#[test]
fn what_came_with_1_6_0_is_unknown_before() {
    let rest = "storage: {luks: [{name: a, device: /dev/a, cex: {enabled: true}}]}\n";
    let warning = (Severity::Warning, "$.storage.luks[0].cex".into(), 3);
    assert_eq!(findings(&fcos("1.5.0", rest)), [warning]);
    assert_eq!(
        json(&fcos("1.6.0", rest))["storage"]["luks"][0]["cex"]["enabled"],
        true
    );
}

#[test]
fn a_boot_device_of_s390x() {
    let config = json(&fcos(
        "1.6.0",
        "boot_device: {layout: s390x-eckd, luks: {device: /dev/dasda, cex: {enabled: true}}}\n",
    ));
    let expected = serde_json::json!({
        "device": "/dev/dasda2",
        "label": "luks-root",
        "name": "root",
        "wipeVolume": true,
        "cex": {"enabled": true},
    });
    assert_eq!(config["storage"]["luks"], serde_json::json!([expected]));
    assert_eq!(
        config["storage"]["filesystems"][0]["device"],
        "/dev/mapper/root"
    );
}

#[test]
fn boot_devices_that_cannot_be() {
    for (boot_device, path) in [
        ("{layout: s390x-eckd}", "$.boot_device.layout"),
        (
            "{layout: s390x-eckd, luks: {device: /dev/sda, tpm2: true}}",
            "$.boot_device.layout",
        ),
        (
            "{layout: s390x-eckd, luks: {device: /dev/dasd, tpm2: true}}",
            "$.boot_device.layout",
        ),
        (
            "{layout: s390x-zfcp, luks: {device: /dev/sda, tpm2: true}, mirror: {devices: [a, b]}}",
            "$.boot_device.layout",
        ),
        ("{luks: {cex: {enabled: true}}}", "$.boot_device.luks.cex"),
        (
            "{layout: x86_64, luks: {cex: {enabled: true}}}",
            "$.boot_device.layout",
        ),
        (
            "{layout: s390x-virt, luks: {tpm2: true, cex: {enabled: true}}}",
            "$.boot_device.luks",
        ),
        ("{layout: sparc}", "$.boot_device.layout"),
        (
            "{mirror: {devices: [/dev/sda]}}",
            "$.boot_device.mirror.devices",
        ),
    ] {
        let found = findings(&fcos("1.6.0", &format!("boot_device: {boot_device}\n")));
        assert_eq!(found, [(Severity::Error, path.into(), 3)], "{boot_device}");
    }
}

#[test]
fn mount_points_and_reused_partitions_from_1_6_0() {
    for (path, found) in [("/var/x", 0), ("/etc", 0), ("/varnish", 1), ("/boot", 1)] {
        let rest = format!(
            "storage: {{filesystems: [{{device: /dev/a, path: {path}, format: xfs, with_mount_unit: true}}]}}\n"
        );
        assert_eq!(findings(&fcos("1.6.0", &rest)).len(), found, "{path}");
        assert_eq!(findings(&fcos("1.5.0", &rest)), []);
    }
    let rest = "storage: {disks: [{device: /dev/a, partitions: [{label: x}]}]}\n";
    let warning = (
        Severity::Warning,
        "$.storage.disks[0].partitions[0].number".into(),
        3,
    );
    assert_eq!(findings(&fcos("1.6.0", rest)), [warning]);
}

#[test]
fn what_is_brought_in_is_found_where_that_happens() {
    let text = fcos(
        "1.5.0",
        "x: &x {path: relative, unknown: 1}\nstorage:\n  files:\n    - *x\n    - <<: *x\n",
    );
    assert_eq!(
        findings(&text),
        [
            (Severity::Warning, "$.x".into(), 3),
            (Severity::Warning, "$.storage.files[0]".into(), 6),
            (Severity::Warning, "$.storage.files[1].<<".into(), 7),
            (Severity::Error, "$.storage.files[0].path".into(), 6),
            (Severity::Error, "$.storage.files[1].path".into(), 7),
            (Severity::Error, "$.storage.files[1]".into(), 7),
        ]
    );
}

#[test]
fn growth_through_aliases_ends() {
    let many = |alias: &str| vec![alias; 2000].join(", ");
    let files = format!(
        "x:\n  - &r {{inline: {}}}\n  - &f {{path: /a, append: [{}]}}\nstorage: {{files: [{}]}}\n",
        "x".repeat(1000),
        many("*r"),
        many("*f")
    );
    let found = translate(fcos("1.5.0", &files).as_bytes(), None);
    assert_eq!(found.config, None);
    assert!(
        found
            .diagnostics
            .iter()
            .any(|found| found.message.contains("grows too large"))
    );

    let mut merges = String::from("x:\n  - &m0 {a: b}\n");
    for level in 1..15 {
        let sources = vec![format!("*m{}", level - 1); 9].join(", ");
        merges += &format!("  - &m{level} {{<<: [{sources}]}}\n");
    }
    let text = fcos("1.5.0", &format!("{merges}storage: {{<<: *m14}}\n"));
    assert!(translate(text.as_bytes(), None).config.is_none());
}

#[test]
fn a_mapping_that_merges_itself_is_refused() {
    let text = fcos("1.5.0", "storage: &s {<<: *s}\n");
    assert!(translate(text.as_bytes(), None).config.is_none());
}

#[test]
fn findings_have_an_end_and_errors_are_among_them() {
    let unknown: String = (0..2000).map(|number| format!("k{number}: 1\n")).collect();
    let found = translate(
        fcos("1.5.0", &format!("{unknown}systemd: off\n")).as_bytes(),
        None,
    );
    assert_eq!(found.config, None);
    assert_eq!(found.diagnostics.len(), MAX_FOUND + 1);
}

#[test]
fn a_text_that_is_too_long_is_refused() {
    let text = vec![b'#'; MAX_TEXT + 1];
    assert!(translate(&text, None).config.is_none());
}

#[test]
fn a_generated_file_gives_way_to_a_link() {
    let config = json(&fcos(
        "1.5.0",
        "grub: {users: [{name: a, password_hash: b}]}\nstorage: {links: [{path: /boot/grub2/user.cfg, target: /x}]}\n",
    ));
    assert_eq!(config["storage"].get("files"), None);
}
