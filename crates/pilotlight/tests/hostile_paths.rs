//! Whatever a path holds, it leads to a boot file inside the kickstarts directory or to nothing.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use head::{Head, Reply, curl, run, skip};

/// What must never be seen outside.
const SECRET: &str = "the-secret-of-the-head";

/// A head with a secret beside its kickstarts directory, and a boot file.
fn head_with_secret() -> Head {
    let head = Head::start();
    fs::write(head.data().join("secret"), SECRET).unwrap();
    head.put("a.ks", "a boot file\n");
    head
}

/// Whether this says no, in one line, and gives nothing away.
fn assert_refused(reply: &Reply, path: &str) {
    assert!(matches!(reply.status, 400 | 403 | 404), "{path}: {reply:?}");
    assert!(
        !String::from_utf8_lossy(&reply.body).contains(SECRET),
        "{path}: {reply:?}"
    );
    assert!(
        !String::from_utf8_lossy(&reply.body).contains("root:"),
        "{path}: {reply:?}"
    );
    assert_eq!(reply.text().lines().count(), 1, "{path}: {reply:?}");
    assert!(!reply.text().trim().is_empty(), "{path}: no reason");
}

/// Asks for a path under `/kickstart/`, which must be refused.
fn refused(head: &Head, path: &str) -> Reply {
    let reply = head.get(&format!("/kickstart/{path}"));
    assert_refused(&reply, path);
    let type_ = reply.header("Content-Type");
    assert_eq!(
        type_,
        Some("text/plain; charset=utf-8"),
        "{path}: {reply:?}"
    );
    reply
}

#[test]
fn no_spelling_of_dot_dot_climbs_out() {
    let head = head_with_secret();
    fs::create_dir(head.kickstarts().join("dir")).unwrap();
    for path in [
        "../secret",
        "dir/../../secret",
        "dir/../a.ks",
        "..",
        "%2e%2e/secret",
        "%2E%2E/secret",
        ".%2e/secret",
        "%2e./secret",
        "..%2fsecret",
        "..%2Fsecret",
        "%2e%2e%2fsecret",
        "%252e%252e/secret",
        "..%252fsecret",
        "dir%2f..%2f..%2fsecret",
        "....//secret",
        "..\\secret",
        "..%5csecret",
        "..;/secret",
        "%c0%ae%c0%ae/secret",
        "%e0%80%ae%e0%80%ae/secret",
        "%uff0e%uff0e/secret",
        "a.ks/../../secret",
        "a.ks/..",
        "../kickstarts/a.ks",
        "../../../../../../../../etc/passwd",
    ] {
        refused(&head, path);
    }
}

#[test]
fn no_path_is_absolute() {
    let head = head_with_secret();
    let secret = head.data().join("secret");
    let secret = secret.to_str().unwrap();
    for path in [
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        "%2f%2fetc/passwd",
        "/%2fetc/passwd",
        "./etc/passwd",
        "file:///etc/passwd",
        secret,
        &secret.replace('/', "%2f"),
    ] {
        refused(&head, path);
    }
}

#[test]
fn a_link_that_leads_out_is_not_followed() {
    let head = head_with_secret();
    let kickstarts = head.kickstarts();
    fs::create_dir_all(kickstarts.join("deep/er")).unwrap();
    fs::create_dir(head.data().join("outside")).unwrap();
    fs::write(head.data().join("outside/secret"), SECRET).unwrap();
    symlink("../secret", kickstarts.join("relative")).unwrap();
    symlink(head.data().join("secret"), kickstarts.join("absolute")).unwrap();
    symlink("/etc/passwd", kickstarts.join("passwd")).unwrap();
    symlink("../../../secret", kickstarts.join("deep/er/link")).unwrap();
    symlink("relative", kickstarts.join("link-to-link")).unwrap();
    symlink("../outside", kickstarts.join("directory")).unwrap();
    symlink("..", kickstarts.join("up")).unwrap();
    symlink("/", kickstarts.join("root")).unwrap();
    symlink("/proc/self/cwd", kickstarts.join("magic")).unwrap();
    symlink("/proc/self/fd/0", kickstarts.join("descriptor")).unwrap();
    symlink("loop", kickstarts.join("loop")).unwrap();
    symlink("nowhere", kickstarts.join("dangling")).unwrap();
    // Even one that comes back in: the kernel would have to leave to follow it.
    symlink("../kickstarts/a.ks", kickstarts.join("out-and-in")).unwrap();
    for path in [
        "relative",
        "absolute",
        "passwd",
        "deep/er/link",
        "link-to-link",
        "directory/secret",
        "directory",
        "up/secret",
        "up/kickstarts/a.ks",
        "root/etc/passwd",
        "magic/secret",
        "descriptor",
        "loop",
        "dangling",
        "out-and-in",
    ] {
        refused(&head, path);
        refused(&head, path);
    }
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    let head = head_with_secret();
    let kickstarts = head.kickstarts();
    let pipe = kickstarts.join("pipe");
    assert!(run(Command::new("mkfifo").arg(&pipe)).status.success());
    let _socket = UnixListener::bind(kickstarts.join("socket")).unwrap();
    fs::create_dir_all(kickstarts.join("dir/sub")).unwrap();
    symlink("pipe", kickstarts.join("link-to-pipe")).unwrap();

    // A pipe that was opened would wait for a writer for ever.
    for (path, what) in [
        ("pipe", "FIFO"),
        ("link-to-pipe", "FIFO"),
        ("socket", "socket"),
        ("dir", "directory"),
        ("dir/sub", "directory"),
    ] {
        let reply = refused(&head, path);
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
        assert!(reply.text().contains(what), "{path}: {reply:?}");
    }
    for path in [
        "dir/",
        "pipe/",
        "a.ks/",
        "a.ks/b.ks",
        "pipe/x",
        "",
        "/",
        ".",
        "./",
    ] {
        refused(&head, path);
    }
}

#[test]
fn a_device_is_not_opened() {
    let head = head_with_secret();
    let device = head.kickstarts().join("zero");
    if !run(Command::new("mknod").arg(&device).args(["c", "1", "5"]))
        .status
        .success()
    {
        skip("a_device_is_not_opened: devices cannot be made here (root can)");
        return;
    }
    let reply = refused(&head, "zero");
    assert!(reply.text().contains("device"), "{reply:?}");
}

#[test]
fn what_cannot_be_a_name_is_refused() {
    let head = head_with_secret();
    let overlong = "a".repeat(256);
    let long_path = "dir/".repeat(2000);
    let deep = "d/".repeat(200) + "a.ks";
    for path in [
        "a.ks%00",
        "a.ks%00.txt",
        "%00",
        "dir/%00/a.ks",
        "%ff",
        "%ff%fe/a.ks",
        "a%c3.ks",
        "%ed%a0%80.ks",
        "a%0d%0aX-Injected:%20yes",
        "a%0a.ks",
        "%1b%5b2J",
        "%7f",
        &overlong,
        &long_path,
        &deep,
    ] {
        let reply = refused(&head, path);
        assert_eq!(reply.header("X-Injected"), None);
    }
}

#[test]
fn an_unfinished_upload_is_no_boot_file_yet() {
    let head = head_with_secret();
    head.put(".pilotlight-upload-1", SECRET);
    refused(&head, ".pilotlight-upload-1");
    assert_eq!(head.get("/kickstart/a.ks").text(), "a boot file\n");
}

#[test]
fn nothing_but_the_api_is_served() {
    let head = head_with_secret();
    let base = format!("http://{}", head.address());
    for path in [
        "/",
        "/kickstart/a.ks",
        "/secret",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/kickstart",
        "/api/v2/kickstart/a.ks",
        "/API/v1/kickstart/a.ks",
        "/api/v1/kickstarts/a.ks",
        "/api/v1/../../secret",
        "/api/v1/ztp/../../secret",
        "/api/v1/ztp/script/x",
    ] {
        let reply = curl([format!("{base}{path}")]);
        assert_refused(&reply, path);
    }
}

#[test]
fn the_management_of_files_is_as_strict() {
    let head = head_with_secret();
    symlink("../secret", head.kickstarts().join("link")).unwrap();
    fs::create_dir(head.kickstarts().join("dir")).unwrap();
    let socket = head.socket();
    for path in [
        "../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "link",
        "/etc/passwd",
        "dir",
        "a.ks%00",
        "%ff",
    ] {
        for method in ["GET", "DELETE"] {
            let url = format!("http://localhost/api/v1/files/{path}");
            let reply = curl([
                "--unix-socket",
                socket.to_str().unwrap(),
                "-X",
                method,
                &url,
            ]);
            if (method, path) == ("DELETE", "link") {
                // The link itself may go; what it points at may not.
                continue;
            }
            assert!(
                (400..500).contains(&reply.status),
                "{method} {path}: {reply:?}"
            );
            assert!(!reply.text().contains(SECRET), "{method} {path}: {reply:?}");
        }
    }
    for path in [
        "../new",
        "%2e%2e/new",
        "..%2fnew",
        "a.ks/new",
        "dir",
        "a%00b",
        "",
    ] {
        let url = format!("http://localhost/api/v1/files/{path}");
        let reply = curl([
            "--unix-socket",
            socket.to_str().unwrap(),
            "-X",
            "PUT",
            "-d",
            "x",
            &url,
        ]);
        assert!((400..500).contains(&reply.status), "PUT {path}: {reply:?}");
    }
    assert!(!head.data().join("new").exists());
    assert_eq!(
        fs::read_to_string(head.data().join("secret")).unwrap(),
        SECRET
    );
    assert_eq!(
        fs::read_to_string(head.kickstarts().join("a.ks")).unwrap(),
        "a boot file\n"
    );
}

#[test]
fn an_attribute_is_no_way_out_either() {
    let head = head_with_secret();
    symlink("../secret", head.kickstarts().join("link")).unwrap();
    for name in [
        "../secret",
        "/etc/passwd",
        "link",
        "..",
        "",
        "a.ks/../../secret",
        "%2e%2e/secret",
    ] {
        let address = "127.0.0.11";
        head.node("n1", address, &[&format!("attr._boot_config=ztp:{name}")]);
        let reply = head.get_from(address, "/ztp/script");
        assert_refused(&reply, name);
        head.cli(["node", "delete", "n1"]);
    }
}
