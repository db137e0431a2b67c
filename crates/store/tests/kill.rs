//! kill -9 at any moment loses no acknowledged write, and no half of a transaction is ever seen.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use model::{Key, Revision, Transaction};
use store::{SqliteStore, Store, StoreError};

/// Tells the tests below that they are the child, and on what database.
const DATABASE: &str = "STORE_KILL_DATABASE";
const ROUND: &str = "STORE_KILL_ROUND";

const WRITERS: u64 = 4;

/// Commits and says so, until it is killed.
#[test]
#[ignore = "a child of the tests below, which run it in a process of its own"]
fn writes_until_killed() {
    let Ok(database) = std::env::var(DATABASE) else {
        return;
    };
    let round = std::env::var(ROUND).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(SqliteStore::open(database).unwrap());
        let writers = (0..WRITERS).map(|writer| {
            let (store, round) = (Arc::clone(&store), round.clone());
            tokio::spawn(async move {
                for number in 0_u64.. {
                    let name = format!("{round}/{writer}/{number}");
                    let revision = store.commit(pair(&name)).await.unwrap();
                    println!("\nacknowledged {revision} {name} .");
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

/// A transaction of two records that belong together; it also moves one that all rounds share.
fn pair(name: &str) -> Transaction {
    let mut change = Transaction::default();
    let value = name.repeat(1 + name.len() % 40);
    change.claim(Key::new(format!("left/{name}")), value.clone());
    change.claim(Key::new(format!("right/{name}")), value);
    change.put(Key::new("last"), name.to_owned());
    change
}

/// Creates databases until it is killed.
#[test]
#[ignore = "a child of the tests below, which run it in a process of its own"]
fn creates_until_killed() {
    let Ok(directory) = std::env::var(DATABASE) else {
        return;
    };
    for number in 0.. {
        println!("\nacknowledged {number} begin .");
        let path = Path::new(&directory).join(number.to_string());
        drop(SqliteStore::create(path, &first()).unwrap());
    }
}

fn first() -> Transaction {
    let mut first = Transaction::default();
    for record in 0..50 {
        first.put(Key::new(record.to_string()), vec![b'x'; 1000]);
    }
    first
}

fn child(test: &str, database: &Path, round: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(DATABASE, database)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the child after that many acknowledgements; returns all it gave, those after the deadly one too.
fn kill_after(mut child: Child, acknowledgements: usize) -> Vec<(Revision, String)> {
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    for line in output.lines() {
        let line = line.unwrap();
        // The full stop is there because the last line may be cut off.
        let words: Vec<&str> = line.split(' ').collect();
        if let ["acknowledged", revision, name, "."] = words[..] {
            acknowledged.push((Revision(revision.parse().unwrap()), name.to_owned()));
            if acknowledged.len() == acknowledgements {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    assert!(
        acknowledged.len() >= acknowledgements,
        "the child ended by itself"
    );
    acknowledged
}

#[tokio::test]
async fn killed_writers_lose_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    drop(SqliteStore::create(&path, &Transaction::default()).unwrap());
    let mut left_a_log = 0;
    let mut head = Revision(0);
    for round in 0..25 {
        let deadly = 1 + usize::try_from(round * round).unwrap() % 211;
        let acknowledged = kill_after(child("writes_until_killed", &path, round), deadly);
        let wal = directory.path().join("pilotlight.db-wal");
        left_a_log += u32::from(wal.metadata().is_ok_and(|wal| wal.len() > 0));

        let store = SqliteStore::open(&path).unwrap();
        for (revision, name) in &acknowledged {
            let value = name.repeat(1 + name.len() % 40);
            for side in ["left", "right"] {
                let key = Key::new(format!("{side}/{name}"));
                let record = store.get(&key).await.unwrap();
                let record = record.unwrap_or_else(|| panic!("round {round} lost {key}"));
                assert_eq!(
                    (record.revision, &record.value[..]),
                    (*revision, value.as_bytes())
                );
            }
        }
        let snapshot = store.scan("").await.unwrap();
        let newest = acknowledged.iter().map(|(revision, _)| *revision).max();
        assert!(Some(snapshot.revision) >= newest);
        assert!(snapshot.revision > head);
        head = snapshot.revision;
        // Two records for every revision, one that they share.
        assert_eq!(snapshot.records.len() as u64, 2 * head.0 + 1);
        store.close().await;
        assert_integrity(&path);
    }
    assert!(left_a_log > 0, "no kill left a log to recover");
}

fn assert_integrity(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let verdict: String = connection
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
}

#[tokio::test]
async fn a_killed_creation_leaves_all_or_nothing() {
    for round in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let begun = kill_after(
            child("creates_until_killed", directory.path(), round),
            1 + round as usize % 3,
        );
        let expected = first().writes.len();
        for (number, _) in begun {
            let path = directory.path().join(number.to_string());
            let store = match SqliteStore::open(&path) {
                Ok(store) => store,
                Err(StoreError::Missing { .. }) => SqliteStore::create(&path, &first()).unwrap(),
                Err(error) => panic!("round {round}: {error}"),
            };
            let records = store.scan("").await.unwrap().records;
            assert_eq!(records.len(), expected, "round {round}");
        }
    }
}
