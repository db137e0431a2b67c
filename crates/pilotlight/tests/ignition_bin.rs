//! `GET /ignition/bin`: the program for the node's architecture, whatever its size.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use head::{Head, curl, get_request, run, skip, until};

/// ELF numbers of machines.
const X86_64: u16 = 62;
const AARCH64: u16 = 183;

/// The architecture that this machine has not: whatever is installed here, it is not for that.
const OTHER: &str = if cfg!(target_arch = "aarch64") {
    "x86_64"
} else {
    "aarch64"
};

/// A program for a machine, as far as anybody looks: of `length` bytes, of which no two parts are alike.
fn program(machine: u16, length: usize) -> Vec<u8> {
    let mut program: Vec<u8> = (0..length)
        .map(|at| (at % 251) as u8 ^ (at >> 16) as u8)
        .collect();
    program[..20].fill(0);
    program[..6].copy_from_slice(b"\x7fELF\x02\x01");
    program[18..20].copy_from_slice(&machine.to_le_bytes());
    program
}

/// Where a head looks first, unless told otherwise.
fn default_place(head: &Head, architecture: &str) -> PathBuf {
    head.data()
        .join("ignition")
        .join(architecture)
        .join("ignition")
}

/// Puts a file to where a head looks first.
fn put(head: &Head, architecture: &str, bytes: &[u8]) -> PathBuf {
    let path = default_place(head, architecture);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// Downloads to a file as a boot script would, with more options of curl. A busy head may ask to come back.
fn download(url: &str, to: &Path, options: &[&str]) {
    let mut curl = Command::new("curl");
    curl.args(["-fsS", "--noproxy", "*", "--retry", "10", "-o"])
        .arg(to)
        .args(options)
        .arg(url);
    let output = run(&mut curl);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{curl:?}: {}: {said}",
        output.status
    );
}

#[test]
fn each_architecture_gets_its_own_program_byte_for_byte() {
    let head = Head::start();
    // Neither is a whole number of the chunks that are read.
    let x86 = program(X86_64, 1_000_003);
    let arm = program(AARCH64, 700_001);
    put(&head, "x86_64", &x86);
    put(&head, "aarch64", &arm);
    for (query, expected) in [
        ("", &x86),
        ("?arch=x86_64", &x86),
        ("?arch=amd64", &x86),
        ("?arch=aarch64", &arm),
        ("?arch=arm64", &arm),
        ("?arch=x86_64&arch=arm64&more=1", &arm),
    ] {
        let reply = head.get(&format!("/ignition/bin{query}"));
        assert_eq!(reply.status, 200, "{query}");
        assert!(reply.body == *expected, "{query}");
        let length = expected.len().to_string();
        let names: Vec<_> = reply.headers.iter().map(|(name, _)| &**name).collect();
        for (name, value) in [
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", &length),
            ("Accept-Ranges", "bytes"),
        ] {
            assert!(names.contains(&name), "{names:?}");
            assert_eq!(reply.header(name), Some(value), "{query}");
        }
        assert!(reply.header("ETag").is_some());
    }
}

#[test]
fn head_tells_what_get_would() {
    let head = Head::start();
    let path = put(&head, "x86_64", &program(X86_64, 300_000));
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(long_ago).unwrap();
    let url = head.url("/ignition/bin");
    let (get, head) = (curl([&url]), curl(["--head", &url]));
    assert_eq!(head.status, 200);
    assert_eq!(head.header("Content-Length"), Some("300000"));
    assert_eq!(
        head.header("Last-Modified"),
        Some("Tue, 14 Nov 2023 22:13:20 GMT")
    );
    for name in ["Content-Type", "ETag", "Last-Modified", "Accept-Ranges"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    let tag = format!("If-None-Match: {}", get.header("ETag").unwrap());
    assert_eq!(curl(["-H", &tag, &url]).status, 304);
}

#[test]
fn a_part_is_what_was_asked_for() {
    let head = Head::start();
    let whole = program(X86_64, 600_000);
    put(&head, "x86_64", &whole);
    let url = head.url("/ignition/bin");
    for (range, expected) in [
        ("0-0", 0..1),
        ("262143-262144", 262_143..262_145),
        ("100-", 100..600_000),
        ("-17", 599_983..600_000),
        ("599999-9999999", 599_999..600_000),
    ] {
        let reply = curl(["--range", range, &url]);
        assert_eq!(reply.status, 206, "{range}");
        let (first, last) = (expected.start, expected.end - 1);
        let content_range = format!("bytes {first}-{last}/600000");
        assert_eq!(reply.header("Content-Range"), Some(&*content_range));
        assert!(reply.body == whole[expected], "{range}");
    }
    let outside = curl(["--range", "600000-", &url]);
    assert_eq!(outside.status, 416);
    assert_eq!(outside.header("Content-Range"), Some("bytes */600000"));
}

#[test]
fn a_download_that_broke_off_is_resumed() {
    let head = Head::start();
    let whole = program(X86_64, 1_500_000);
    put(&head, "x86_64", &whole);
    let begun = head.path("ignition");
    fs::write(&begun, &whole[..400_000]).unwrap();
    download(&head.url("/ignition/bin"), &begun, &["--continue-at", "-"]);
    assert!(fs::read(&begun).unwrap() == whole);
    let record = until("the fetch is recorded", || head.ledger("status=206").pop());
    assert_eq!(record["sent"], 1_100_000, "{record}");
    assert_eq!(record["complete"], true, "{record}");
}

#[test]
fn a_file_that_was_replaced_is_not_resumed_but_sent_whole() {
    let head = Head::start();
    let (old, new) = (program(X86_64, 500_000), program(X86_64, 400_000));
    let path = put(&head, "x86_64", &old);
    let url = head.url("/ignition/bin");
    let tag = curl([&url]).header("ETag").unwrap().to_owned();
    let resume = ["--range", "1000-", "-H", &format!("If-Range: {tag}"), &url];
    assert_eq!(curl(resume).status, 206);

    let next = path.with_extension("next");
    fs::write(&next, &new).unwrap();
    fs::rename(&next, &path).unwrap();
    let reply = curl(resume);
    assert_eq!(reply.status, 200);
    assert!(reply.body == new);
    assert_ne!(reply.header("ETag"), Some(&*tag));
}

#[test]
fn the_tag_is_that_of_the_content_on_every_head() {
    let program = program(X86_64, 100_000);
    let tags = [(); 2].map(|()| {
        let head = Head::start();
        put(&head, "x86_64", &program);
        let reply = head.get("/ignition/bin");
        reply.header("ETag").unwrap().to_owned()
    });
    assert_eq!(tags[0], tags[1]);
}

#[test]
fn an_architecture_that_nobody_knows_is_refused_with_those_that_are() {
    let head = Head::start();
    for name in ["riscv64", "", "X86_64"] {
        let reply = head.get(&format!("/ignition/bin?arch={name}"));
        assert_eq!(reply.status, 400, "{name}");
        let expected = format!("arch={name}: expected x86_64, amd64, aarch64 or arm64\n");
        assert_eq!(reply.text(), expected);
    }
}

#[test]
fn where_there_is_none_the_reason_says_where_it_looked() {
    let head = Head::start();
    let reply = head.get(&format!("/ignition/bin?arch={OTHER}"));
    assert_eq!(reply.status, 404);
    let default = default_place(&head, OTHER);
    let expected = format!(
        "no ignition binary for {OTHER}: looked at {} (not there), /usr/lib/dracut/modules.d/30ignition/ignition (",
        default.display()
    );
    assert!(reply.text().starts_with(&expected), "{reply:?}");
    assert!(reply.text().contains(" /usr/bin/ignition ("), "{reply:?}");
    assert_eq!(reply.text().lines().count(), 1, "{reply:?}");
    let path = format!("/ignition/bin?arch={OTHER}");
    let head_reply = curl(["--head", &head.url(&path)]);
    assert_eq!(head_reply.status, 404);
    let record = until("the fetch is recorded", || head.ledger("status=404").pop());
    assert_eq!(record["path"], "/api/v1/ignition/bin");
    assert_eq!(record["reason"], reply.text().trim_end());
}

#[test]
fn what_is_no_program_for_the_architecture_is_never_sent() {
    let head = Head::start();
    let no_program = "not an ELF program for a 64-bit little-endian machine\n";
    for (bytes, reason) in [
        (program(X86_64, 1000), "a program for x86_64\n"),
        (b"#!/bin/sh\nexec ignition \"$@\"\n".to_vec(), no_program),
        (Vec::new(), no_program),
    ] {
        let path = put(&head, "aarch64", &bytes);
        let reply = head.get("/ignition/bin?arch=arm64");
        assert_eq!(reply.status, 422, "{reply:?}");
        assert_eq!(reply.text(), format!("{}: {reason}", path.display()));
    }
}

#[test]
fn a_configured_path_is_the_only_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ignition-arm");
    let head = Head::with_config(&format!("[ignition.bin]\naarch64 = {path:?}\n"));
    // Not fallen back to.
    put(&head, "aarch64", &program(AARCH64, 1000));
    let reply = head.get("/ignition/bin?arch=aarch64");
    assert_eq!(reply.status, 404);
    let expected = format!("ignition.bin.aarch64: {}: not there\n", path.display());
    assert_eq!(reply.text(), expected);

    // Seen at once, and by way of a link, too.
    let configured = program(AARCH64, 2000);
    fs::write(directory.path().join("2.22"), &configured).unwrap();
    std::os::unix::fs::symlink("2.22", &path).unwrap();
    assert!(head.get("/ignition/bin?arch=aarch64").body == configured);
}

#[test]
fn the_program_of_this_system_is_found_without_being_told() {
    let installed = Path::new("/usr/lib/dracut/modules.d/30ignition/ignition");
    let Ok(installed) = fs::read(installed) else {
        return skip("no ignition is installed here");
    };
    let head = Head::start();
    let to = head.path("ignition");
    let path = format!("/ignition/bin?arch={}", std::env::consts::ARCH);
    download(&head.url(&path), &to, &[]);
    assert!(fs::read(&to).unwrap() == installed);
}

#[test]
fn the_ledger_says_which_program_a_node_got() {
    let head = Head::start();
    head.node("n1", "127.0.0.11", &[]);
    let path = put(&head, "x86_64", &program(X86_64, 300_000));
    head.get_from("127.0.0.11", "/ignition/bin");
    let record = until("the fetch is recorded", || head.ledger("node=n1").pop());
    let sum = run(Command::new("sha256sum").arg(path)).stdout;
    assert_eq!(record["sha256"], str::from_utf8(&sum[..64]).unwrap());
    assert_eq!(record["status"], 200);
    assert_eq!(record["sent"], 300_000);
    assert_eq!(record["complete"], true);
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_cuts_the_connection() {
    const LENGTH: u64 = 64 << 20;

    let head = Head::start();
    let path = put(&head, "x86_64", &program(X86_64, 1000));
    let file = File::options().write(true).open(path).unwrap();
    // Far more than the connection holds on its way.
    file.set_len(LENGTH).unwrap();
    let mut connection = head.connect();
    let request = get_request("/api/v1/ignition/bin", "");
    std::io::Write::write_all(&mut connection, request.as_bytes()).unwrap();
    let mut begun = [0; 1000];
    connection.read_exact(&mut begun).unwrap();
    assert!(begun.starts_with(b"HTTP/1.1 200 OK\r\n"));
    file.set_len(2000).unwrap();
    let mut rest = Vec::new();
    // Closed or reset: either way nobody takes it for whole.
    let _ = connection.read_to_end(&mut rest);
    assert!((rest.len() as u64) < LENGTH - 1000);
    let record = until("the fetch is recorded", || head.ledger("status=200").pop());
    assert_eq!(record["bytes"], LENGTH, "{record}");
    assert_eq!(record["complete"], false, "{record}");
    let lines = head.log_lines("changed while it was read", 1);
    assert!(lines[0].contains("ignition/x86_64/ignition"), "{lines:?}");
}

#[test]
fn a_large_program_is_never_in_memory() {
    const LENGTH: u64 = 200 << 20;
    const MORE: u64 = 32 << 10;

    /// The most memory that the head ever took, in KiB.
    fn most_memory(head: &Head) -> u64 {
        let pid = head.pid().as_raw_nonzero();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kib.parse().unwrap()
    }

    let head = Head::start();
    let path = put(&head, "x86_64", &program(X86_64, 1_000_000));
    let to = head.path("ignition");
    let url = head.url("/ignition/bin");
    download(&url, &to, &[]);
    let before = most_memory(&head);

    // Mostly a hole, which takes no room on the disk; with an end of its own.
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"the end", LENGTH - 7).unwrap();
    download(&url, &to, &[]);
    let compared = run(Command::new("cmp").arg(&path).arg(&to));
    assert!(compared.status.success(), "{compared:?}");
    let grown = most_memory(&head) - before;
    assert!(grown < MORE, "{grown} KiB");
}
