//! A disk that takes no more: commits fail and say why, reads go on, nothing acknowledged is lost, and all works
//! again once there is space.
//!
//! The kernel does the refusing: by a limit on file sizes, which every machine has (`EFBIG`), and by a small tmpfs
//! where one may be mounted (`ENOSPC`). Both belong to a process, so each test runs itself again in a child.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use model::{Key, Revision, Transaction};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use store::{SqliteStore, Store, StoreError};

/// Tells the children below where to work.
const DIRECTORY: &str = "STORE_FULL_DISK_DIRECTORY";

#[test]
fn a_refused_write_is_told_and_overcome() {
    let directory = tempfile::tempdir().unwrap();
    // The signal that comes with the limit would end the child.
    let output = child(
        "limited_file_size",
        directory.path(),
        r#"trap "" XFSZ; exec "$@""#,
    );
    assert_passed(&output);
}

#[test]
fn a_full_file_system_is_told_and_overcome() {
    if !Command::new("unshare")
        .args(["--map-root-user", "--mount", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("skipped: this machine does not let us mount a tmpfs");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = child(
        "small_file_system",
        directory.path(),
        r#"exec unshare --map-root-user --mount sh -c '
            mount -t tmpfs -o size=4m tmpfs "$STORE_FULL_DISK_DIRECTORY" && exec "$@"' sh "$@""#,
    );
    assert_passed(&output);
}

/// Runs one of the ignored tests in a process that `script` prepares.
fn child(test: &str, directory: &Path, script: &str) -> Output {
    Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .output()
        .unwrap()
}

/// Asserts that the child ran its test; one that finds none by its name succeeds too.
fn assert_passed(output: &Output) {
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{output:?}"
    );
}

#[tokio::test]
#[ignore = "a child of the tests above, which run it in a process of its own"]
async fn limited_file_size() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let path = Path::new(&directory).join("pilotlight.db");
    let store = SqliteStore::create(&path, &numbered(0, 100)).unwrap();
    store.commit(numbered(1, 100)).await.unwrap();

    let unlimited = getrlimit(Resource::Fsize);
    let none = Rlimit {
        current: Some(0),
        ..unlimited
    };
    setrlimit(Resource::Fsize, none).unwrap();
    assert_unavailable(store.commit(numbered(2, 100)).await.map(|_| ()), &path);
    assert_unavailable(store.writable().await, &path);
    let to = Path::new(&directory).join("backup");
    assert_unavailable(store.backup(&to).await, &to);
    assert!(!to.exists());
    assert_holds(&store, 2).await;

    setrlimit(Resource::Fsize, unlimited).unwrap();
    assert_works_again(store, &path, 2).await;
}

#[tokio::test]
#[ignore = "a child of the tests above, which run it in a process of its own"]
async fn small_file_system() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let path = Path::new(&directory).join("pilotlight.db");
    let ballast = Path::new(&directory).join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let store = SqliteStore::create(&path, &numbered(0, 50_000)).unwrap();

    let mut made = 1;
    let refused = loop {
        match store.commit(numbered(made, 50_000)).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 1_000, "the file system never filled up");
    };
    assert!(refused.to_string().contains("disk is full"), "{refused}");
    assert_unavailable(Err(refused), &path);
    assert_holds(&store, made).await;

    fs::remove_file(&ballast).unwrap();
    assert_works_again(store, &path, made).await;
}

fn assert_unavailable(result: Result<(), StoreError>, file: &Path) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&*file.to_string_lossy()), "{text}");
}

async fn assert_works_again(store: SqliteStore, path: &Path, made: u64) {
    store.writable().await.unwrap();
    let revision = store.commit(numbered(made, 100)).await.unwrap();
    assert_eq!(revision, Revision(made + 1));
    store.close().await;
    let store = SqliteStore::open(path).unwrap();
    assert_holds(&store, made + 1).await;
}

/// Asserts that transactions 0 to `made` are there, and nothing else.
async fn assert_holds(store: &SqliteStore, made: u64) {
    let snapshot = store.scan("").await.unwrap();
    assert_eq!(snapshot.revision, Revision(made));
    assert_eq!(snapshot.records.len() as u64, made);
    for record in snapshot.records {
        assert_eq!(record.key, key(record.revision.0 - 1));
    }
}

fn numbered(number: u64, size: usize) -> Transaction {
    let mut change = Transaction::default();
    change.claim(key(number), Bytes::from(vec![b'v'; size]));
    change
}

fn key(number: u64) -> Key {
    Key::new(format!("record/{number:04}"))
}
