//! What a head does with a damaged data directory: it names the fault, and never begins anew by itself.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use head::{Head, run, until};

const N1: &str = "127.0.0.11";

/// A stopped head that knows the node n1, and its database with nothing left beside it.
fn head_with_database() -> (Head, PathBuf) {
    let mut head = Head::start();
    for number in 1..=20 {
        head.node(
            &format!("n{number}"),
            &format!("127.0.0.{}", 10 + number),
            &[],
        );
    }
    head.put("a.ks", "<n[name]>\n");
    assert!(head.stop().success());
    let database = head.data().join("pilotlight.db");
    assert!(database.exists());
    (head, database)
}

/// Starts the head, which must refuse its database and leave it as it is.
fn assert_refused(head: &mut Head, what: &str) {
    let database = head.data().join("pilotlight.db");
    let before = fs::read(&database).ok();
    let status = head.start_in_vain();
    let log = head.log();
    assert!(
        status.code().is_some_and(|code| code != 0),
        "{what}: {status}: {log}"
    );
    assert!(
        log.contains(database.to_str().unwrap()),
        "{what}: the database is not named: {log}"
    );
    assert!(!log.contains("panicked"), "{what}: {log}");
    assert!(
        fs::read(&database).ok() == before,
        "{what}: the database was changed"
    );
}

/// Damages a database of this size.
type Damage = fn(&File, u64);

/// Damages the database in each of these ways, which the head must refuse; then puts it back, which must do.
fn assert_each_refused(damages: &[(&str, Damage)]) {
    let (mut head, database) = head_with_database();
    let good = fs::read(&database).unwrap();
    for (what, damage) in damages {
        let file = File::options()
            .read(true)
            .write(true)
            .open(&database)
            .unwrap();
        damage(&file, good.len() as u64);
        drop(file);
        assert_refused(&mut head, what);
        fs::write(&database, &good).unwrap();
    }
    head.start_again();
    assert_eq!(
        head.get_from("127.0.0.17", "/kickstart/a.ks").text(),
        "n7\n"
    );
}

#[test]
fn a_file_that_is_no_database_is_refused_and_never_begun_anew() {
    assert_each_refused(&[
        ("zero length", |file, _| file.set_len(0).unwrap()),
        ("one byte", |file, _| file.set_len(1).unwrap()),
        ("zeros at the beginning", |file, _| {
            file.write_all_at(&[0; 4096], 0).unwrap();
        }),
        ("text", |file, _| {
            file.set_len(0).unwrap();
            file.write_all_at(b"this is no database\n", 0).unwrap();
        }),
    ]);
}

#[test]
fn a_database_that_is_cut_off_is_refused() {
    assert_each_refused(&[
        ("half of it", |file, size| file.set_len(size / 2).unwrap()),
        ("without its last page", |file, size| {
            file.set_len(size - 4096).unwrap();
        }),
    ]);
}

#[test]
fn a_database_without_its_last_byte_is_refused() {
    assert_each_refused(&[("without its last byte", |file, size| {
        file.set_len(size - 1).unwrap();
    })]);
}

#[test]
fn a_changed_byte_in_a_record_is_found() {
    assert_each_refused(&[("another name in a record", |file, size| {
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        // Wherever it stands: in the record, and in the log of changes.
        let names = bytes
            .windows(4)
            .enumerate()
            .filter(|(_, four)| four == b"\"n7\"");
        for (at, _) in names {
            file.write_all_at(b"X", at as u64 + 1).unwrap();
        }
    })]);
}

#[test]
fn a_database_that_is_missing_is_not_made_anew() {
    let (mut head, database) = head_with_database();
    fs::rename(&database, head.path("moved")).unwrap();
    assert_refused(&mut head, "missing");
    assert!(!database.exists());
    // Even where nothing but the ledger tells that there was one.
    fs::remove_file(head.data().join("admin_pass")).unwrap();
    assert_refused(&mut head, "missing, with no admin_pass");
    fs::rename(head.path("moved"), &database).unwrap();
    head.start_again();
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").text(), "n1\n");
}

#[test]
fn another_programs_database_is_refused() {
    let mut head = Head::stopped("");
    fs::create_dir(head.data()).unwrap();
    let made = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('create table t (x)'); c.commit()";
    let output = run(Command::new("python3")
        .args(["-c", made])
        .arg(head.data().join("pilotlight.db")));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_refused(&mut head, "another program's");
}

#[test]
fn a_damaged_ledger_does_not_keep_nodes_from_booting() {
    let (mut head, _) = head_with_database();
    fs::write(head.data().join("ledger.db"), "this is no database\n").unwrap();
    head.start_again();
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").text(), "n1\n");
    until("the log tells of the ledger", || {
        head.log().contains("ledger.db").then_some(())
    });
}
