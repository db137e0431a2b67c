//! What may be asked of `/install/client/installer`, and by which name of the head.
#![allow(clippy::unwrap_used)]

mod head;

use head::{Head, NO_HOSTS, get_request};

const INSTALLER: &str = "/install/client/installer";

#[test]
fn what_a_head_does_not_know_is_refused_with_what_it_does() {
    let head = Head::start();
    let architectures = "expected x86_64, amd64, aarch64 or arm64";
    let kinds = "expected rpm, deb, tar, tgz or tar.gz";
    for (query, reason) in [
        ("cpu=riscv64", format!("cpu=riscv64: {architectures}\n")),
        ("cpu=", format!("cpu=: {architectures}\n")),
        ("pkg=msi&os=rhel", format!("pkg=msi: {kinds}\n")),
        ("pkg=rpm&pkg=deb", format!("pkg=given twice: {kinds}\n")),
        ("pkg=$(reboot)", format!("pkg=$(reboot): {kinds}\n")),
    ] {
        let reply = head.get(&format!("{INSTALLER}?{query}"));
        assert_eq!((reply.status, reply.text()), (400, &*reason), "{query}");
    }
    let reply = head.get(&format!("{INSTALLER}?os=plan9"));
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.text().starts_with("os=plan9: expected "), "{reply:?}");
    for system in ["rhel", "debian", "cumulus", "sonic"] {
        assert!(reply.text().contains(system), "{reply:?}");
    }
}

#[test]
fn a_script_names_the_head_as_the_client_did_and_repeats_nothing_hostile() {
    let head = Head::start();
    for query in ["", "?pkg=rpm", "?pkg=deb", "?pkg=tar"] {
        let path = format!("{INSTALLER}{query}");
        let own = head.get(&path);
        assert!(
            own.text().contains(&format!("\nBASE='{}'\n", head.url(""))),
            "{own:?}"
        );
        for host in NO_HOSTS {
            let target = format!("/api/v1{path}");
            let reply = head.ask_raw(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            match reply.status {
                200 => assert_eq!(reply.text(), own.text(), "{host:?}"),
                400 => assert!(!reply.text().contains("BASE="), "{host:?}: {reply:?}"),
                _ => panic!("{host:?}: {reply:?}"),
            }
        }
        let proxy = "X-Forwarded-Host: a;reboot\r\nForwarded: host=\"a;reboot\"\r\n";
        let reply = head.ask_raw(get_request(&format!("/api/v1{path}"), proxy));
        assert!(
            reply.text().contains("BASE='http://head/api/v1'\n"),
            "{reply:?}"
        );
        assert!(!reply.text().contains("reboot"), "{reply:?}");
        for host in ["head", "head.example:8080", "[fd00::1]:81"] {
            let request = format!("GET /api/v1{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let expected = own.text().replace(&head.address().to_string(), host);
            assert_eq!(head.ask_raw(request).text(), expected);
        }
    }
}
