//! Health, backups and the end.

use model::{Revision, Transaction};

use super::{Subject, key, put};
use crate::StoreError;

pub(super) async fn run(make: &impl AsyncFn() -> Subject) {
    a_healthy_store_is_writable(make().await).await;
    a_backup_never_overwrites(make().await).await;
    a_closed_store_says_so(make().await).await;
}

async fn a_healthy_store_is_writable(store: Subject) {
    let revision = put(&store, "a", "1").await;
    for _ in 0..3 {
        store.writable().await.unwrap();
    }
    let snapshot = store.scan("").await.unwrap();
    assert_eq!((snapshot.revision, snapshot.records.len()), (revision, 1));
}

async fn a_backup_never_overwrites(store: Subject) {
    put(&store, "a", "1").await;
    let directory = std::env::temp_dir().join(format!("store-backup-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let to = directory.join("copy");
    let first = store.backup(&to).await;
    let copied = std::fs::read(&to);
    let second = store.backup(&to).await;
    let after = std::fs::read(&to);
    let files = std::fs::read_dir(&directory).unwrap().count();
    std::fs::remove_dir_all(&directory).unwrap();

    first.unwrap();
    assert_eq!(second, Err(StoreError::AlreadyExists { path: to }));
    assert!(!copied.as_ref().unwrap().is_empty());
    assert_eq!(copied.unwrap(), after.unwrap());
    assert_eq!(files, 1, "a backup is one file");
}

async fn a_closed_store_says_so(store: Subject) {
    put(&store, "a", "1").await;
    let mut watch = store.watch(Revision(1)).await.unwrap();
    let waiting = tokio::spawn(async move { watch.next().await });
    store.close().await;
    assert_eq!(waiting.await.unwrap(), Err(StoreError::Closed));

    let mut change = Transaction::default();
    change.put(key("a"), "2");
    assert_eq!(store.commit(change).await, Err(StoreError::Closed));
    assert_eq!(store.get(&key("a")).await, Err(StoreError::Closed));
    assert_eq!(store.scan("").await, Err(StoreError::Closed));
    assert_eq!(store.writable().await, Err(StoreError::Closed));
    store.close().await;
}
