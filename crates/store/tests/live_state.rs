//! The cluster in memory, while others change it.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use model::{Cluster, Key, PasswordHash, Revision, Transaction, Uid};
use store::{LiveState, Record, Snapshot, SqliteStore, Store, StoreError, Watch};

/// A store that somebody writes to whenever it has been read.
struct Busy(SqliteStore);

/// The cluster, with the revision that is to write it as its domain.
fn cluster(revision: Revision) -> Transaction {
    let cluster = Cluster {
        name: "c".parse().unwrap(),
        domain: Some(format!("d{revision}").parse().unwrap()),
        default_group: Uid::from_bytes([1; 16]),
        database_password: PasswordHash(String::new()),
    };
    let mut change = Transaction::default();
    change.put(Cluster::key(), cluster.record());
    change
}

#[async_trait]
impl Store for Busy {
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.0.get(key).await
    }

    async fn scan(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        let snapshot = self.0.scan(prefix).await?;
        let next = Revision(snapshot.revision.0 + 1);
        assert_eq!(self.0.commit(cluster(next)).await, Ok(next));
        Ok(snapshot)
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.0.commit(transaction).await
    }

    async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.0.watch(from).await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.0.backup(to).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.0.check().await
    }

    async fn writable(&self) -> Result<(), StoreError> {
        self.0.writable().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::test]
async fn a_cluster_that_never_rests_is_read_as_of_one_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let store = Busy(SqliteStore::create(path, &cluster(Revision(1))).unwrap());
    let live = LiveState::open(Arc::new(store)).await.unwrap();
    let state = live.get();
    assert!(state.revision() > Revision(1));
    let domain = format!("d{}", state.revision());
    assert_eq!(state.cluster().domain, Some(domain.parse().unwrap()));
}
