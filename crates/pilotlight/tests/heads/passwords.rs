//! Who guesses the password is held up and seen, and who knows it does not spread it.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::cluster::Cluster;
use crate::head::{curl, said};

#[test]
fn whoever_guesses_is_held_up_and_seen() {
    let Some(cluster) = Cluster::begin() else {
        return;
    };
    let head = &cluster.heads[0];
    let guess = |number: usize| {
        let body = json!({"admin_pass": format!("guess{number}")}).to_string();
        curl(["-d", &body, &head.url("/install/password")])
    };
    let statuses: Vec<_> = (0..20).map(|number| guess(number).status).collect();
    assert!(
        statuses.contains(&403) && statuses.contains(&429),
        "{statuses:?}"
    );
    assert!(
        statuses.iter().all(|status| [403, 429].contains(status)),
        "{statuses:?}"
    );
    assert!(guess(20).header("Retry-After").is_some());
    let audit = fs::read_to_string(head.data().join("audit.log")).unwrap();
    for status in [403, 429] {
        assert!(
            audit
                .lines()
                .any(|line| line.contains(&format!("\"status\":{status}"))),
            "{audit}"
        );
    }
    assert!(!audit.contains("guess1"), "{audit}");
}

#[test]
fn a_join_spreads_the_password_nowhere() {
    let Some(mut cluster) = Cluster::begin() else {
        return;
    };
    let password = fs::read_to_string(cluster.password_file()).unwrap();
    let password = password.trim();
    let newcomer = cluster.newcomer();
    let mut join = cluster.joining(&newcomer).command(&[]);
    join.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = thread::scope(|scope| {
        let joining = scope.spawn(|| join.output().unwrap());
        while !joining.is_finished() {
            assert_eq!(arguments_with(password), [""; 0]);
            thread::sleep(Duration::from_millis(2));
        }
        joining.join().unwrap()
    });
    assert!(output.status.success(), "{}", said(&output));
    assert!(!said(&output).contains(password));
    cluster.add(newcomer);
    assert_eq!(arguments_with(password), [""; 0]);
    for head in &cluster.heads {
        assert!(!head.log().contains(password));
        let audit = fs::read_to_string(head.data().join("audit.log")).unwrap_or_default();
        assert!(!audit.contains(password), "{audit}");
    }
}

/// The command lines and environments of all processes that hold this, without it.
fn arguments_with(secret: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap();
    let processes = processes.filter_map(|entry| Some(entry.ok()?.path()));
    let files = processes.flat_map(|process| ["cmdline", "environ"].map(|file| process.join(file)));
    let texts =
        files.filter_map(|file| Some(String::from_utf8_lossy(&fs::read(file).ok()?).into_owned()));
    texts
        .filter(|text| text.contains(secret))
        .map(|text| text.replace(secret, "…"))
        .collect()
}
