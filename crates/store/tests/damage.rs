//! Damaged, foreign and missing files: a clear error and an untouched file, or no harm; never a fresh start.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use bytes::Bytes;
use model::{Key, Revision, Transaction};
use rusqlite::Connection;
use store::{Snapshot, SqliteStore, Store, StoreError};

/// A closed database of 300 records, each changed once, and what is in it.
async fn sound(path: &Path) -> Snapshot {
    let mut first = Transaction::default();
    for node in 0..300 {
        first.put(Key::new(format!("node/{node:03}")), vec![b'n'; 200]);
    }
    let store = SqliteStore::create(path, &first).unwrap();
    for node in 0..300 {
        let mut change = Transaction::default();
        let value: Bytes = (0..=255).cycle().skip(node).take(400).collect();
        change.put(Key::new(format!("node/{node:03}")), value);
        store.commit(change).await.unwrap();
    }
    let snapshot = store.scan("").await.unwrap();
    store.close().await;
    snapshot
}

/// What a start of the head does: open, check, read everything.
async fn start(path: &Path) -> Result<Snapshot, StoreError> {
    let store = SqliteStore::open(path)?;
    let (checked, snapshot) = tokio::join!(store.check(), store.scan(""));
    store.close().await;
    checked.and(snapshot)
}

/// Asserts that the file is refused as damaged, with its name and a way out, and left as it was.
async fn assert_refused(path: &Path, what: &str) {
    let before = fs::read(path).unwrap();
    let Err(error) = start(path).await else {
        panic!("{what}: it was opened");
    };
    assert!(
        matches!(error, StoreError::Damaged { .. }),
        "{what}: {error:?}"
    );
    let text = error.to_string();
    assert!(text.contains(&*path.to_string_lossy()), "{what}: {text}");
    assert!(text.contains("restore a backup"), "{what}: {text}");
    assert_eq!(fs::read(path).unwrap(), before, "{what}");
    assert!(
        matches!(
            SqliteStore::create(path, &Transaction::default()),
            Err(StoreError::AlreadyExists { .. })
        ),
        "{what}"
    );
}

#[tokio::test]
async fn an_empty_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    fs::write(&path, "").unwrap();
    assert_refused(&path, "empty").await;
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    sound(&path).await;
    let whole = fs::read(&path).unwrap();
    let lengths = [
        1, 15, 16, 17, 50, 99, 100, 101, 511, 512, 513, 4096, 8191, 8192, 8193,
    ];
    let last = [8193, 8192, 1].map(|missing| whole.len() - missing);
    let last = last.into_iter().chain([whole.len() / 2]);
    for length in lengths.into_iter().chain(last) {
        fs::write(&path, &whole[..length]).unwrap();
        assert_refused(&path, &format!("the first {length} bytes")).await;
    }
}

#[tokio::test]
async fn what_is_not_a_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    sound(&path).await;
    let whole = fs::read(&path).unwrap();
    let mut overwritten = whole.clone();
    overwritten[..100].fill(0xa5);
    let mut zeroed = whole.clone();
    zeroed[..8192].fill(0);
    for (what, bytes) in [
        ("a garbage header", overwritten),
        ("a zeroed first page", zeroed),
        ("all zeros", vec![0; whole.len()]),
        ("text", b"listen = \"0.0.0.0:80\"\n".repeat(1000)),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_refused(&path, what).await;
    }
}

#[tokio::test]
async fn a_directory_in_its_place_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    fs::create_dir(&path).unwrap();
    let error = start(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE records (key TEXT); PRAGMA application_id = 7")
        .unwrap();
    let before = fs::read(&path).unwrap();
    let error = start(&path).await.unwrap_err();
    let expected = StoreError::Foreign {
        path: path.clone(),
        application_id: 7,
    };
    assert_eq!(error, expected);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let snapshot = sound(&path).await;
    let set_version = |version: i32| {
        let connection = Connection::open(&path).unwrap();
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
    };
    set_version(3);
    let expected = StoreError::TooNew {
        path: path.clone(),
        found: 3,
        known: 2,
    };
    assert_eq!(start(&path).await, Err(expected));
    set_version(2);
    assert_eq!(start(&path).await, Ok(snapshot));
}

#[tokio::test]
async fn a_database_without_its_tables_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    for table in ["records", "changes", "role"] {
        let _ = fs::remove_file(&path);
        sound(&path).await;
        Connection::open(&path)
            .unwrap()
            .execute_batch(&format!("DROP TABLE {table}"))
            .unwrap();
        assert_refused(&path, table).await;
    }
}

#[tokio::test]
async fn a_log_without_its_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let wal = directory.path().join("pilotlight.db-wal");
    fs::write(&wal, "what is left of it").unwrap();
    for error in [
        SqliteStore::open(&path).unwrap_err(),
        SqliteStore::create(&path, &Transaction::default()).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("pilotlight.db-wal"), "{error}");
    }
    assert!(!path.exists());
    assert!(wal.exists());
}

/// Bytes are changed all over the file, a few at a time. The start fails and says so, or nothing that is read is
/// wrong; and the feed never tells what was not.
#[tokio::test]
async fn flipped_bytes_are_noticed_or_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let snapshot = sound(&path).await;
    let whole = fs::read(&path).unwrap();
    let (mut noticed, mut harmless) = (0, 0);
    for at in (0..whole.len()).step_by(1999) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x5a;
        fs::write(&path, &bytes).unwrap();
        match start(&path).await {
            Ok(read) => {
                assert!(read == snapshot, "byte {at} changed what is read");
                harmless += 1;
                assert_feed_is_true(&path, &snapshot, at).await;
            }
            Err(
                StoreError::Damaged { .. } | StoreError::Foreign { .. } | StoreError::TooNew { .. },
            ) => noticed += 1,
            Err(error) => panic!("byte {at}: {error:?}"),
        }
    }
    assert!(noticed > 0 && harmless > 0, "{noticed} {harmless}");
}

/// A page that says it holds one row less than it does would make a record vanish without a trace.
#[tokio::test]
async fn a_page_that_hides_a_row_is_refused() {
    const LEAF: u8 = 0x0a;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    sound(&path).await;
    let whole = fs::read(&path).unwrap();
    let leaves = (0..whole.len())
        .step_by(8192)
        .filter(|page| whole[*page] == LEAF);
    let mut tried = 0;
    for page in leaves {
        let count = page + 4;
        if whole[count] > 0 {
            let mut bytes = whole.clone();
            bytes[count] -= 1;
            fs::write(&path, bytes).unwrap();
            assert_refused(&path, &format!("page {}", page / 8192)).await;
            tried += 1;
        }
    }
    assert!(tried > 10, "{tried}");
}

async fn assert_feed_is_true(path: &Path, snapshot: &Snapshot, at: usize) {
    let store = SqliteStore::open(path).unwrap();
    let read = async {
        let mut watch = store.watch(Revision(1)).await?;
        for revision in 2..=snapshot.revision.0 {
            let batch = watch.next().await?;
            assert_eq!(batch.revision, Revision(revision), "byte {at}");
            let change = &batch.changes[0];
            let record = &snapshot.records[usize::try_from(revision - 2).unwrap()];
            assert_eq!(change.key, record.key, "byte {at}");
            assert_eq!(change.value.as_ref(), Some(&record.value), "byte {at}");
        }
        Ok(())
    };
    match read.await {
        Ok(()) | Err(StoreError::Damaged { .. }) => {}
        Err(error) => panic!("byte {at}: {error:?}"),
    }
}

#[tokio::test]
async fn a_changed_value_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    sound(&path).await;
    Connection::open(&path)
        .unwrap()
        .execute(
            "UPDATE records SET value = x'00' WHERE key = 'node/007'",
            [],
        )
        .unwrap();
    let store = SqliteStore::open(&path).unwrap();
    for error in [
        store.scan("").await.unwrap_err(),
        store.get(&Key::new("node/007")).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("node/007"), "{error}");
    }
    store.get(&Key::new("node/008")).await.unwrap().unwrap();
}
