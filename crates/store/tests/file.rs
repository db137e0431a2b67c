//! What creating, opening, copying and dropping a database leaves on disk.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use model::{Expect, Key, Revision, Transaction};
use store::{SqliteStore, Store, StoreError};

fn put(name: &str, value: &str) -> Transaction {
    let mut change = Transaction::default();
    change.put(Key::new(name), value.to_owned());
    change
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_is_created_is_there_when_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let store = SqliteStore::create(&path, &put("a", "1")).unwrap();
    store.commit(put("b", "2")).await.unwrap();
    let before = store.scan("").await.unwrap();
    assert_eq!(before.revision, Revision(2));
    store.close().await;
    assert_eq!(
        names(directory.path()),
        ["pilotlight.db", "pilotlight.db-lock"]
    );

    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.scan("").await.unwrap(), before);
    let mut watch = store.watch(Revision(0)).await.unwrap();
    assert_eq!(watch.next().await.unwrap().revision, Revision(1));
    assert_eq!(watch.next().await.unwrap().revision, Revision(2));
}

#[tokio::test]
async fn a_database_of_the_first_schema_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let store = SqliteStore::create(&path, &put("a", "1")).unwrap();
    let before = store.scan("").await.unwrap();
    store.close().await;
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            "DROP TABLE role; ALTER TABLE changes DROP COLUMN written; PRAGMA user_version = 1",
        )
        .unwrap();
    for _ in 0..2 {
        let store = SqliteStore::open(&path).unwrap();
        store.check().await.unwrap();
        assert_eq!(store.scan("").await.unwrap(), before);
        let mut watch = store.watch(Revision(0)).await.unwrap();
        assert_eq!(watch.next().await.unwrap().revision, Revision(1));
        store.close().await;
    }
}

#[tokio::test]
async fn dropping_a_store_finishes_what_was_submitted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let store = Arc::new(SqliteStore::create(&path, &Transaction::default()).unwrap());
    for number in 0..50 {
        let mut commit = store.commit(put(&number.to_string(), "1"));
        // Polled once: submitted, not waited for.
        tokio::select! {
            biased;
            _ = &mut commit => {}
            () = std::future::ready(()) => {}
        }
    }
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.scan("").await.unwrap().records.len(), 50);
}

#[test]
fn only_the_owner_may_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let store = SqliteStore::create(&path, &put("a", "1")).unwrap();
    for name in names(directory.path()) {
        let metadata = fs::metadata(directory.path().join(&name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
    drop(store);
}

#[test]
fn what_exists_is_not_created_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    fs::write(&path, "precious").unwrap();
    let refused = SqliteStore::create(&path, &Transaction::default()).unwrap_err();
    assert_eq!(refused, StoreError::AlreadyExists { path: path.clone() });
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_first_transaction_that_cannot_be_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let mut first = put("a", "1");
    first.expect(Key::new("b"), Expect::Present);
    let refused = SqliteStore::create(&path, &first).unwrap_err();
    let key = Key::new("b");
    assert_eq!(refused, StoreError::Conflict { key });
    assert_eq!(names(directory.path()), ["pilotlight.db-lock"]);
}

#[tokio::test]
async fn the_draft_of_an_attempt_cut_short_is_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    fs::write(directory.path().join("pilotlight.db-draft"), "half").unwrap();
    assert_eq!(
        SqliteStore::open(&path).unwrap_err(),
        StoreError::Missing { path: path.clone() }
    );
    let store = SqliteStore::create(&path, &put("a", "1")).unwrap();
    assert_eq!(store.scan("").await.unwrap().records.len(), 1);
    store.close().await;
    assert_eq!(
        names(directory.path()),
        ["pilotlight.db", "pilotlight.db-lock"]
    );
}

#[tokio::test]
async fn one_at_a_time_may_have_it_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let store = SqliteStore::create(&path, &put("a", "1")).unwrap();
    let in_use = StoreError::InUse { path: path.clone() };
    assert_eq!(SqliteStore::open(&path).unwrap_err(), in_use);
    assert_eq!(
        SqliteStore::create(&path, &put("a", "1")).unwrap_err(),
        in_use
    );
    store.close().await;
    SqliteStore::open(&path).unwrap();
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none/pilotlight.db");
    for error in [
        SqliteStore::open(&path).unwrap_err(),
        SqliteStore::create(&path, &Transaction::default()).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("none/pilotlight.db"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_a_whole_store_of_one_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let store = Arc::new(SqliteStore::create(&path, &Transaction::default()).unwrap());
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for round in 1..=300 {
                let mut change = put("left", &round.to_string());
                change.put(Key::new("right"), round.to_string());
                store.commit(change).await.unwrap();
            }
        })
    };
    for number in 0..5 {
        let earliest = store.scan("none").await.unwrap().revision;
        let copy = directory.path().join(format!("backup-{number}"));
        store.backup(&copy).await.unwrap();
        let mode = fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let copy = SqliteStore::open(&copy).unwrap();
        let snapshot = copy.scan("").await.unwrap();
        assert!(snapshot.revision >= earliest);
        for record in &snapshot.records {
            assert_eq!(record.value, snapshot.revision.0.to_string());
        }
        let next = copy.commit(put("new", "life")).await.unwrap();
        assert_eq!(next, Revision(snapshot.revision.0 + 1));
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let store = SqliteStore::create(&path, &put("a", "1")).unwrap();
    let to = directory.path().join("none/backup");
    let error = store.backup(&to).await.unwrap_err().to_string();
    assert!(error.contains("none/backup"), "{error}");

    // The draft's name is taken by something that cannot be removed.
    fs::create_dir(directory.path().join("backup-draft")).unwrap();
    let to = directory.path().join("backup");
    store.backup(&to).await.unwrap_err();
    assert!(!to.exists());
}
