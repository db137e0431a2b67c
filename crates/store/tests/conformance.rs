//! The SQLite store passes the suite that every store passes.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::sync::Arc;

use model::{Key, Transaction};
use store::{SqliteStore, Store};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let made = Cell::new(0);
    let make = async || {
        made.set(made.get() + 1);
        let path = directory.path().join(format!("{}.db", made.get()));
        let store = SqliteStore::create(path, &Transaction::default()).unwrap();
        Arc::new(store) as Arc<dyn Store>
    };
    store::conformance::run(make, outgrow_the_log).await;
}

/// The log forgets by itself, after some more than 10,000 revisions.
async fn outgrow_the_log(store: &Arc<dyn Store>) {
    let mut commits = JoinSet::new();
    for _ in 0..11_100 {
        let store = Arc::clone(store);
        commits.spawn(async move {
            let mut change = Transaction::default();
            change.put(Key::new("filler"), "");
            store.commit(change).await.unwrap();
        });
    }
    commits.join_all().await;
}
