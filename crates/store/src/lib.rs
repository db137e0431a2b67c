//! Durable cluster state behind one trait: SQLite for one head, etcd for several.
//!
//! A store is a map from [`Key`] to bytes with a revision that grows with every change, and a feed of those changes.
//! That is all: what the bytes mean is the business of `model`, and nothing above this crate knows SQL or etcd. Every
//! implementation passes the one suite in [`conformance`].
//!
//! [`SqliteStore`] is the store of a single head. [`EtcdStore`] commits to etcd, and reads from a [`SqliteStore`] that
//! is kept a replica of it. [`ClusterStore`] is what a head holds: the one, until it becomes the other.

mod cluster_store;
#[doc(hidden)]
pub mod conformance;
mod error;
mod etcd;
mod live_state;
mod sqlite;

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use model::{Change, Key, Revision, Transaction};

pub use cluster_store::{ClusterStore, Engine, move_to_sqlite};
pub use error::StoreError;
pub use etcd::{EtcdCertificate, EtcdSettings, EtcdStore, EtcdTls, Link};
pub use live_state::{LiveState, LiveStateError};
pub use sqlite::SqliteStore;

/// Where the cluster state is kept.
///
/// Reads see whole transactions only, and everything that was committed by this store before they began. What others
/// commit, where there are others, they see soon.
#[async_trait]
pub trait Store: Send + Sync {
    /// The record under `key`, or `None` where there is none.
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError>;

    /// All records whose key begins with `prefix`, as they stood at one moment. The empty prefix is all of them.
    async fn scan(&self, prefix: &str) -> Result<Snapshot, StoreError>;

    /// Makes the transaction durable, all of it or nothing, and returns the revision it made. One that changes
    /// nothing (it writes nothing, or deletes only what does not exist) makes no revision and returns the present
    /// one.
    ///
    /// [`StoreError::Conflict`] names the first check that does not hold. After [`StoreError::Uncertain`] it may have
    /// been made, after every other error it was not. Dropping the future does not take the transaction back.
    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError>;

    /// Every change after `from`, beginning with those already made.
    ///
    /// [`StoreError::Compacted`] when the store no longer remembers that far back: scan, and watch from the
    /// revision of the snapshot.
    async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, StoreError>;

    /// Writes a consistent copy of the whole store to the new file `to`, and returns when it is durable. A file that
    /// exists is refused with [`StoreError::AlreadyExists`].
    async fn backup(&self, to: &Path) -> Result<(), StoreError>;

    /// Proves that what is kept is whole, by reading all of it; [`StoreError::Damaged`] says where it is not. Slow, but
    /// reads and commits go on beside it.
    async fn check(&self) -> Result<(), StoreError>;

    /// Whether a commit would succeed now, by writing something; the error says why it would not.
    async fn writable(&self) -> Result<(), StoreError>;

    /// Finishes the commits under way and lets go of the storage. Every later call gets [`StoreError::Closed`].
    async fn close(&self);
}

/// A feed of changes: see [`Store::watch`].
#[async_trait]
pub trait Watch: Send {
    /// Waits for the next batch. Batches come in the order of their revisions, each exactly once and whole.
    ///
    /// Cancel-safe: a batch not returned is returned by the next call. [`StoreError::Compacted`] when the reader was
    /// so slow that the store forgot what it had not yet read; [`StoreError::Closed`] when the store was closed.
    async fn next(&mut self) -> Result<Batch, StoreError>;
}

/// One key, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Bytes,
    /// The revision that last wrote it.
    pub revision: Revision,
}

impl From<Record> for Change {
    /// The change that made the record.
    fn from(record: Record) -> Self {
        Self {
            key: record.key,
            value: Some(record.value),
            revision: record.revision,
        }
    }
}

/// Records as they stood together at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The records, ordered by key (bytewise).
    pub records: Vec<Record>,
    /// The revision of the whole store then: a watch from here misses nothing.
    pub revision: Revision,
}

/// What one transaction changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The revision it made.
    pub revision: Revision,
    /// Its changes, at least one, ordered by key.
    pub changes: Vec<Change>,
}
