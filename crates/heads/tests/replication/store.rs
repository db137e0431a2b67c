//! A store that can be cut off from a head.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use model::{Key, Revision, Transaction};
use store::{Batch, Record, Snapshot, SqliteStore, Store, StoreError, Watch};
use tokio::sync::watch;

/// The way from one head to the store of all.
pub(crate) struct Link {
    store: Arc<SqliteStore>,
    is_up: watch::Sender<bool>,
}

impl Link {
    pub(crate) fn new(store: Arc<SqliteStore>) -> Self {
        Self {
            store,
            is_up: watch::Sender::new(true),
        }
    }

    pub(crate) fn cut(&self) {
        self.is_up.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.is_up.send_replace(true);
    }
}

#[async_trait]
impl Store for Link {
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.store.get(key).await
    }

    async fn scan(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        self.store.scan(prefix).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        if *self.is_up.borrow() {
            return self.store.commit(transaction).await;
        }
        Err(StoreError::Unavailable {
            doing: "write",
            place: "etcd".into(),
            why: "no member answers".into(),
        })
    }

    async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        Ok(Box::new(Feed {
            feed: self.store.watch(from).await?,
            is_up: self.is_up.subscribe(),
        }))
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.store.backup(to).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    async fn writable(&self) -> Result<(), StoreError> {
        self.store.writable().await
    }

    async fn close(&self) {}
}

struct Feed {
    feed: Box<dyn Watch>,
    is_up: watch::Receiver<bool>,
}

#[async_trait]
impl Watch for Feed {
    async fn next(&mut self) -> Result<Batch, StoreError> {
        let batch = self.feed.next().await?;
        // It lives as long as the store.
        let _ = self.is_up.wait_for(|is_up| *is_up).await;
        Ok(batch)
    }
}
