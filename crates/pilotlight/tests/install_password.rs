//! Whether a password is the cluster database password: who may ask that how often, and what is left behind of it.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use head::{Head, Reply, curl};
use serde_json::{Value, json};

const PATH: &str = "/install/password";

/// Nothing else that a head writes holds these.
const GUESS: &str = "guess-xyzzy-plugh";

fn password(head: &Head) -> String {
    let file = head.data().join("admin_pass");
    fs::read_to_string(file).unwrap().trim().to_owned()
}

/// Sends a body from this address, by a file that no list of processes shows.
fn post(head: &Head, address: &str, body: &str) -> Reply {
    let file = head.path("body");
    fs::write(&file, body).unwrap();
    let from = format!("host!{address}");
    let data = format!("@{}", file.display());
    curl([
        "--interface",
        &from,
        "--data-binary",
        &data,
        &head.url(PATH),
    ])
}

fn try_password(head: &Head, address: &str, password: &str) -> Reply {
    post(head, address, &json!({"admin_pass": password}).to_string())
}

/// Address and status of each try in the audit log.
fn audited(head: &Head) -> Vec<String> {
    let log = fs::read_to_string(head.data().join("audit.log")).unwrap();
    let events = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let tries = events.filter(|event| event["action"] == "POST /api/v1/install/password");
    let told = tries.map(|event| {
        assert_eq!(event["who"], "nobody", "{event}");
        format!("{} {}", event["from"].as_str().unwrap(), event["status"])
    });
    told.collect()
}

/// All files below `directory` that hold `text`.
fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            found.extend(files_with(&path, text));
        } else if kind.is_file() {
            let content = fs::read(&path).unwrap();
            if content
                .windows(text.len())
                .any(|part| part == text.as_bytes())
            {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn the_password_is_right_another_wrong_and_everything_else_malformed() {
    let head = Head::start();
    let right = try_password(&head, "127.0.0.1", &password(&head));
    assert_eq!(
        (right.status, right.json()),
        (200, json!({"success": true}))
    );
    for wrong in ["", "wrong", &format!("{} ", password(&head))] {
        let reply = try_password(&head, "127.0.0.1", wrong);
        assert_eq!(
            reply.refusal(),
            "403 this is not the cluster database password"
        );
    }
    for body in [
        "",
        GUESS,
        "\"guess-xyzzy-plugh\"",
        "[\"guess-xyzzy-plugh\"]",
        "{}",
        "{\"admin_pass\": null}",
        "{\"admin_pass\": 7}",
        "{\"guess-xyzzy-plugh\": \"x\"}",
        "{\"admin_pass\": \"guess-xyzzy-plugh\", \"user\": \"admin\"}",
    ] {
        let reply = post(&head, "127.0.0.1", body);
        // It repeats nothing of what it was sent.
        assert_eq!(
            reply.refusal(),
            "400 the body is not {\"admin_pass\": \"…\"}",
            "{body}"
        );
    }
    let long = json!({"admin_pass": "x".repeat(10_000)}).to_string();
    assert_eq!(post(&head, "127.0.0.1", &long).status, 413);
}

#[test]
fn a_guesser_must_wait_and_each_try_is_in_the_audit_log() {
    let head = Head::with_config("[auth]\ntries_per_minute = 3\n");
    let right = password(&head);
    for _ in 0..5 {
        assert_eq!(try_password(&head, "127.0.0.1", &right).status, 200);
    }
    for _ in 0..3 {
        assert_eq!(try_password(&head, "127.0.0.1", GUESS).status, 403);
    }
    // From now on not even the right one is looked at.
    for password in [GUESS, &right] {
        let refused = try_password(&head, "127.0.0.1", password);
        let seconds: u32 = refused.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert_eq!(
            refused.refusal(),
            format!("429 too many tries; wait {seconds} seconds")
        );
    }
    assert_eq!(try_password(&head, "127.0.0.2", &right).status, 200);

    let mut expected = vec!["127.0.0.1 200"; 5];
    expected.extend(["127.0.0.1 403"; 3]);
    expected.extend(["127.0.0.1 429", "127.0.0.1 429", "127.0.0.2 200"]);
    assert_eq!(audited(&head), expected);
}

#[test]
fn guessers_at_many_addresses_must_wait_together() {
    let head = Head::with_config("[auth]\ntries_per_minute = 1\n");
    let guesses = (1..=12).map(|last| try_password(&head, &format!("127.0.7.{last}"), GUESS));
    let statuses: Vec<u16> = guesses.map(|reply| reply.status).collect();
    // Ten times as many as one address.
    assert_eq!(statuses[..10], [403; 10]);
    assert_eq!(statuses[10..], [429; 2]);
}

#[test]
fn a_password_that_was_tried_is_nowhere_afterwards() {
    let mut head = Head::with_config("[log]\nlevel = \"trace\"\n[auth]\ntries_per_minute = 100\n");
    let right = password(&head);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for process in command_lines() {
                    assert!(!process.contains(GUESS), "{process}");
                }
            }
        });
        for _ in 0..10 {
            assert_eq!(try_password(&head, "127.0.0.1", GUESS).status, 403);
            assert_eq!(try_password(&head, "127.0.0.1", &right).status, 200);
        }
        fs::remove_file(head.path("body")).unwrap();
        done.store(true, Ordering::Relaxed);
        watch.join().unwrap();
    });
    // So that everything is written.
    assert!(head.stop().success());
    let directory = head.path("");
    assert_eq!(files_with(&directory, GUESS), [""; 0]);
    let kept = head.data().join("admin_pass").display().to_string();
    assert_eq!(files_with(&directory, &right), [kept]);
}

/// The command lines of all processes.
fn command_lines() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect()
}
