//! The embedded store: one SQLite database, one thread that writes it.
//!
//! Table `records` is the state, `changes` the log of how it came about; a transaction writes both. The newest row
//! of the log is the revision of the store, and watches read nothing but the log, so there is no second account of
//! anything that could disagree with the first.

mod failure;
mod file;
mod lock;
mod log;
mod reader;
mod records;
mod schema;
mod watch;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use model::{Key, Revision, Transaction};
use tokio::sync;

use crate::{Record, Snapshot, Store, StoreError, Watch};
use lock::Lock;
use reader::Reader;
use watch::LogWatch;
use writer::{Work, Writer};

/// A [`Store`] in one SQLite file (with its `-wal`, `-shm` and `-lock` beside it while open).
///
/// One process at a time may open it. Dropping it waits for the commits under way, as [`Store::close`] does.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    reader: Reader,
    writer: Arc<Writer>,
    head: sync::watch::Receiver<Revision>,
}

impl SqliteStore {
    /// Creates a database that holds what `first` writes, and opens it.
    ///
    /// The file appears under its name only once it is whole and durable. One that exists already is refused with
    /// [`StoreError::AlreadyExists`]. Blocks: not for an async thread that has other work.
    pub fn create(path: impl Into<PathBuf>, first: &Transaction) -> Result<Self, StoreError> {
        let path = path.into();
        let lock = Lock::claim(&path)?;
        file::create(&path, first)?;
        Self::open_locked(path, lock)
    }

    /// Opens the database at `path`. Whether it is sound all through is for [`Store::check`] to say.
    ///
    /// [`StoreError::Missing`] where there is none; a file that is no database of ours gets an error and is left as it
    /// is. Blocks: not for an async thread that has other work.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let lock = Lock::claim(&path)?;
        Self::open_locked(path, lock)
    }

    fn open_locked(path: PathBuf, lock: Lock) -> Result<Self, StoreError> {
        let connection = file::open(&path)?;
        let reader = Reader::open(&path)?;
        let (writer, head) = Writer::start(connection, lock, &path)?;
        Ok(Self {
            path,
            reader,
            writer: Arc::new(writer),
            head,
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let key = key.clone();
        self.reader
            .run(move |connection| records::get(connection, &key))
            .await
    }

    async fn scan(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        let prefix = prefix.to_owned();
        self.reader
            .run(move |connection| records::scan(connection, &prefix))
            .await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.writer.submit(Work::Commit(transaction)).await
    }

    async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let watch = LogWatch::begin(self.reader.clone(), self.head.clone(), from).await?;
        Ok(Box::new(watch))
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        // The writer, and with it our claim on the file, stays until this is dropped.
        let open = self.writer.requests()?;
        let (from, to) = (self.path.clone(), to.to_owned());
        reader::blocking(move || {
            let copied = file::backup(&from, &to);
            drop(open);
            copied
        })
        .await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let path = self.path.clone();
        reader::blocking(move || file::check(&path)).await
    }

    async fn writable(&self) -> Result<(), StoreError> {
        self.writer.submit(Work::Probe).await.map(|_| ())
    }

    async fn close(&self) {
        self.reader.close().await;
        let writer = Arc::clone(&self.writer);
        // The thread ends whether or not anyone waits for it.
        let _ = reader::blocking(move || {
            writer.stop();
            Ok(())
        })
        .await;
    }
}
