//! Tars made of rpms: each once, whole or not at all, and of the rpm that is the newest now.

use std::fs;
use std::io::{Read, Write as _};
use std::net::Shutdown;
use std::process::Command;
use std::thread;

use rustix::process::{Signal, kill_process};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::built::{have, noise, package, succeed};
use crate::files_below;
use crate::forge;
use crate::head::{Head, Reply, get_request, until};

/// Logged when a conversion begins.
const BEGUN: &str = "making a tar of it";

/// So much takes long enough to be met on the way.
const SLOW: usize = if cfg!(debug_assertions) {
    1_500_000
} else {
    30_000_000
};

/// The package `large`.
const LARGE: &str = "rpm/large-1-1.noarch.rpm";
const LARGE_TAR: &str = "tar/large-1-1.noarch.tar.gz";
const ASK_FOR_LARGE: &str = "/download/tar/large";

/// A head with the package `large`; none where that cannot be built.
fn head_with_large(config: &str, size: usize) -> Option<Head> {
    if !have(&["rpmbuild"]) {
        return None;
    }
    let mut head = Head::stopped(config);
    let content = noise(size);
    package("large", "1-1", "noarch")
        .with_content(&content)
        .rpm(&head.packages("rpm"));
    head.start_again();
    head.wait_for_packages(&[LARGE]);
    Some(head)
}

/// How many bytes of `large` are read for its tar; `None` when that is there.
fn progress(head: &Head) -> Option<u64> {
    let conversion = head.package(LARGE).unwrap()["conversion"].take();
    match conversion["state"].as_str().unwrap() {
        "idle" => Some(0),
        "running" => Some(conversion["read"].as_u64().unwrap()),
        "done" => None,
        _ => panic!("{conversion}"),
    }
}

#[test]
fn two_hundred_clients_at_once_cause_one_conversion() {
    let Some(head) = head_with_large("", 1_000_000) else {
        return;
    };
    let request = get_request(&format!("/api/v1{ASK_FOR_LARGE}"), "");
    // All have asked before the head answers any.
    kill_process(head.pid(), Signal::STOP).unwrap();
    let ask = || {
        let mut client = head.connect();
        client.write_all(request.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client
    };
    let asked: Vec<_> = std::iter::repeat_with(ask).take(200).collect();
    kill_process(head.pid(), Signal::CONT).unwrap();
    let readers = asked.into_iter().map(|mut client| {
        thread::spawn(move || {
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            let (Reply { status, body, .. }, rest) = Reply::parse(&answer, false);
            assert!(rest.is_empty());
            (status, body.len(), Sha256::digest(&body).to_vec())
        })
    });
    let readers: Vec<_> = readers.collect();
    let answers: Vec<_> = readers
        .into_iter()
        .map(|reader| reader.join().unwrap())
        .collect();

    let tar = fs::read(head.packages(LARGE_TAR)).unwrap();
    let whole = (200, tar.len(), Sha256::digest(&tar).to_vec());
    assert!(answers.iter().all(|answer| *answer == whole), "{answers:?}");
    head.log_lines(BEGUN, 1);
    assert_eq!(progress(&head), None);
}

#[test]
fn a_head_that_is_killed_leaves_no_half_tar() {
    let Some(mut head) = head_with_large("", SLOW) else {
        return;
    };
    let size = fs::metadata(head.packages(LARGE)).unwrap().len();
    let whole = head.get(ASK_FOR_LARGE).body;
    let request = get_request(&format!("/api/v1{ASK_FOR_LARGE}"), "");
    let (mut on_the_way, mut random) = (0, noise(50 * 8).into_iter());
    for round in 0..50 {
        let path = format!("/packages/{LARGE_TAR}");
        assert_eq!(head.api("DELETE", &path, None).status, 200);
        // Anywhere on the way; at the end of the rpm, when the tar gets its name; and when it has it.
        let eight = std::array::from_fn(|_| random.next().unwrap());
        let goal = u64::from_be_bytes(eight) % (size * 5 / 4);
        let mut asking = head.connect();
        asking.write_all(request.as_bytes()).unwrap();
        until("the conversion comes so far", || match progress(&head) {
            Some(read) => (read >= goal.min(size) && goal < size * 9 / 8).then_some(()),
            None => Some(()),
        });
        head.kill();

        let left = files_below(&head.packages("tar"));
        let tars: Vec<_> = left.iter().filter(|name| !name.starts_with('.')).collect();
        on_the_way += usize::from(tars.is_empty());
        for tar in tars {
            let left = fs::read(head.packages("tar").join(tar)).unwrap();
            assert!(left == whole, "round {round}: {tar} is not whole");
        }
        head.start_again();
        let reply = head.get(ASK_FOR_LARGE);
        assert_eq!(reply.status, 200, "round {round}: {reply:?}");
        assert!(reply.body == whole, "round {round}: another tar");
    }
    assert!(on_the_way >= 25, "only {on_the_way} were met on the way");
    // What they left is swept away.
    until("only the tar is there", || {
        let left = files_below(&head.packages("tar"));
        (left == ["large-1-1.noarch.tar.gz"]).then_some(())
    });
}

#[test]
fn one_who_cannot_wait_is_told_to_come_again() {
    let Some(head) = head_with_large("[packages]\nconvert_wait = \"10ms\"\n", SLOW) else {
        return;
    };
    let reply = head.get(ASK_FOR_LARGE);
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.header("Retry-After").is_some(), "{reply:?}");
    assert!(reply.text().contains("being made"), "{reply:?}");
    // The command waits for as long as it takes.
    let said = head.done(&format!("package convert {LARGE}"));
    assert_eq!(said, format!("made {LARGE_TAR}\n"));
    assert_eq!(head.get(ASK_FOR_LARGE).status, 200);
    head.log_lines(BEGUN, 1);
}

#[test]
fn tars_are_made_on_arrival_where_that_is_wanted() {
    let config = "[packages]\nconvert = \"on-arrival\"\n";
    let Some(head) = head_with_large(config, 100_000) else {
        return;
    };
    until("the tar is made", || head.package(LARGE_TAR));
    // One that comes later, too.
    package("late", "1-1", "noarch").rpm(&head.packages("rpm"));
    until("the other tar is made", || {
        head.package("tar/late-1-1.noarch.tar.gz")
    });
    assert_eq!(head.ledger("limit=9").len(), 0);
}

#[test]
fn an_administrators_tar_wins() {
    if !have(&["rpmbuild", "tar"]) {
        return;
    }
    let head = Head::start();
    package("tool", "2-1", "noarch").rpm(&head.packages("rpm"));
    let given = head.path("tool-1-1.noarch.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(&given).arg("-C").arg(head.path(""));
    succeed(tar.arg("config.toml"));
    head.cli(["package", "add", given.to_str().unwrap()]);
    let given = fs::read(given).unwrap();
    head.wait_for_packages(&["rpm/tool-2-1.noarch.rpm"]);
    // Though it is older than the rpm.
    assert!(head.get("/download/tar/tool").body == given);

    // Where one has the very name that the tar of the rpm would have, it stays what it is.
    head.done("package rm tar/tool-1-1.noarch.tar.gz");
    let in_the_way = head.packages("tar/tool-2-1.noarch.tar.gz");
    fs::write(&in_the_way, &given).unwrap();
    head.wait_for_packages(&["tar/tool-2-1.noarch.tar.gz"]);
    assert!(head.get("/download/tar/tool").body == given);
    assert!(fs::read(&in_the_way).unwrap() == given);
    assert!(!head.log().contains(BEGUN));

    // Without it, the rpm is made one.
    head.done("package rm tar/tool-2-1.noarch.tar.gz");
    let made = head.get("/download/tar/tool");
    assert_eq!(made.status, 200, "{made:?}");
    assert!(made.body == fs::read(&in_the_way).unwrap());
    assert!(made.body != given);
}

#[test]
fn a_tar_is_of_the_newest_rpm() {
    if !have(&["rpmbuild", "tar"]) {
        return;
    }
    let head = Head::start();
    let built = head.path("built");
    let add = |version: &str, content: &str| {
        let rpm = package("tool", version, "noarch").with_content(content.as_bytes());
        head.cli(["package", "add", rpm.rpm(&built).to_str().unwrap()]);
    };
    let content_of_tar = || {
        let tar = head.path("got.tar.gz");
        let reply = head.get("/download/tar/tool");
        assert_eq!(reply.status, 200, "{reply:?}");
        fs::write(&tar, reply.body).unwrap();
        let mut unpack = Command::new("tar");
        unpack.arg("-xzOf").arg(&tar).arg("usr/share/tool/content");
        succeed(&mut unpack)
    };
    let tars = || {
        let tars = files_below(&head.packages("tar")).into_iter();
        tars.filter(|file| file.starts_with("tool"))
            .collect::<Vec<_>>()
    };
    add("1-1", "one");
    assert_eq!(content_of_tar(), "one");
    add("2-1", "two");
    assert_eq!(content_of_tar(), "two");
    // That of the older rpm is gone.
    assert_eq!(tars(), ["tool-2-1.noarch.tar.gz"]);
    // The same version, built again.
    add("2-1", "two again");
    assert_eq!(content_of_tar(), "two again");
    assert_eq!(tars(), ["tool-2-1.noarch.tar.gz"]);
    // The newest is no more.
    head.done("package rm rpm/tool-2-1.noarch.rpm");
    assert_eq!(content_of_tar(), "one");
}

#[test]
fn a_hostile_rpm_is_refused_by_name_and_not_tried_again() {
    let mut head = Head::stopped("");
    let hostile = forge::rpm([
        forge::file("/opt/harmless", "harmless"),
        forge::file("/opt/../../etc/passwd", "root::0:0:::/bin/sh"),
    ]);
    fs::create_dir_all(head.packages("rpm")).unwrap();
    fs::create_dir_all(head.packages("tar")).unwrap();
    fs::write(head.packages("rpm/forged.rpm"), hostile.bytes()).unwrap();
    head.start_again();
    head.wait_for_packages(&["rpm/forged.rpm"]);
    let before = files_below(&head.packages("tar"));
    let reply = head.get("/download/tar/forged");
    assert_eq!(reply.status, 422, "{reply:?}");
    for word in ["rpm/forged.rpm", "/opt/../../etc/passwd", "\"..\""] {
        assert!(reply.text().contains(word), "no {word}: {reply:?}");
    }
    assert_eq!(head.get("/download/tar/forged"), reply);
    let said = head.failed("package convert rpm/forged.rpm");
    assert!(said.contains("/opt/../../etc/passwd"), "{said}");
    let conversion = head.package("rpm/forged.rpm").unwrap()["conversion"].take();
    assert_eq!(conversion["state"], json!("failed"));
    let reason = conversion["reason"].as_str().unwrap();
    assert!(reply.text().contains(reason), "{conversion}");
    head.log_lines(BEGUN, 1);
    assert_eq!(files_below(&head.packages("tar")), before);

    // Another rpm of that name is another matter.
    let harmless = forge::rpm([forge::file("/opt/harmless", "harmless")]);
    let upload = head.path("forged.rpm");
    fs::write(&upload, harmless.bytes()).unwrap();
    head.cli(["package", "add", upload.to_str().unwrap()]);
    assert_eq!(head.get("/download/tar/forged").status, 200);
}
