//! The store in etcd, against the real program.
#![allow(clippy::unwrap_used)]

mod access;
mod conformance;
mod faults;
mod heads;
mod moving;
mod server;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Key, Revision, Transaction};
use store::{ClusterStore, EtcdSettings, EtcdStore, Link, SqliteStore, Store, StoreError};
use tokio::time::timeout;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn put(name: &str, value: &str) -> Transaction {
    let mut change = Transaction::default();
    change.put(Key::new(name), value.to_owned());
    change
}

async fn value(store: &dyn Store, name: &str) -> Option<String> {
    let record = store.get(&Key::new(name)).await.unwrap()?;
    Some(String::from_utf8(record.value.to_vec()).unwrap())
}

/// A single head's database in `directory`.
fn single(directory: &Path, first: &Transaction) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::create(directory.join("pilotlight.db"), first).unwrap())
}

/// The first head of a cluster in etcd, whose database is in `directory`.
async fn first_head(directory: &Path, settings: &EtcdSettings) -> ClusterStore {
    let store = ClusterStore::new(single(directory, &Transaction::default()));
    store.move_to_etcd(settings.clone()).await.unwrap();
    store
}

/// Another head, which builds its replica in `directory`.
async fn another_head(directory: &Path, settings: &EtcdSettings) -> EtcdStore {
    let replica = SqliteStore::create_replica(directory.join("pilotlight.db")).unwrap();
    EtcdStore::open(Arc::new(replica), settings.clone())
        .await
        .unwrap()
}

/// A head that was there before and starts again.
async fn restarted_head(directory: &Path, settings: &EtcdSettings) -> EtcdStore {
    let replica = SqliteStore::open_replica(directory.join("pilotlight.db")).unwrap();
    EtcdStore::open(Arc::new(replica), settings.clone())
        .await
        .unwrap()
}

/// Commits until it succeeds.
async fn commit_at_last(store: &dyn Store, transaction: &Transaction) -> Revision {
    let attempts = async {
        loop {
            match store.commit(transaction.clone()).await {
                Ok(revision) => return revision,
                Err(StoreError::Unavailable { .. } | StoreError::Uncertain { .. }) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(LONG, attempts).await.unwrap()
}

/// Waits until the store has seen this revision.
async fn reach(store: &dyn Store, revision: Revision) {
    let seen = async {
        let mut watch = store.watch(Revision(revision.0 - 1)).await.unwrap();
        assert!(watch.next().await.unwrap().revision >= revision);
    };
    if store.scan("none").await.unwrap().revision < revision {
        timeout(LONG, seen).await.unwrap();
    }
}

/// Waits for a state of the link.
async fn link_becomes(store: &EtcdStore, wanted: impl Fn(&Link) -> bool) -> Link {
    let mut link = store.link();
    let reached = timeout(LONG, link.wait_for(|link| wanted(link)));
    reached.await.unwrap().unwrap().clone()
}

fn is_down(link: &Link) -> bool {
    matches!(link, Link::Down { .. })
}
