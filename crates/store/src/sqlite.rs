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
mod replica;
mod role;
mod schema;
mod watch;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use model::{Key, Revision, Transaction, Uid};
use tokio::sync;

use crate::{Batch, Record, Snapshot, Store, StoreError, Watch};
use lock::Lock;
use reader::Reader;
pub(crate) use reader::blocking;
pub(crate) use role::Role;
use watch::LogWatch;
use writer::{Work, Writer};

/// A [`Store`] in one SQLite file (with its `-wal`, `-shm` and `-lock` beside it while open).
///
/// It is all there is of a cluster, or a replica of what is in etcd: the file says which, and a replica refuses commits.
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
        Self::create_as(Role::Whole, path.into(), first)
    }

    /// Creates a replica that holds nothing yet, and opens it. Otherwise as [`create`](Self::create).
    pub fn create_replica(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::create_as(Role::EmptyReplica, path.into(), &Transaction::default())
    }

    /// Opens the database at `path`, all there is of a cluster. Whether it is sound all through is for
    /// [`Store::check`] to say.
    ///
    /// [`StoreError::Missing`] where there is none, [`StoreError::Replica`] where it is a replica; a file that is no
    /// database of ours gets an error and is left as it is. Blocks: not for an async thread that has other work.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let (store, role) = Self::open_any(path.into())?;
        match role.is_replica() {
            false => Ok(store),
            true => Err(StoreError::Replica { path: store.path }),
        }
    }

    /// Opens the replica at `path`, or refuses with [`StoreError::NotAReplica`]. Otherwise as [`open`](Self::open).
    pub fn open_replica(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let (store, role) = Self::open_any(path.into())?;
        match role.is_replica() {
            true => Ok(store),
            false => Err(StoreError::NotAReplica { path: store.path }),
        }
    }

    fn create_as(role: Role, path: PathBuf, first: &Transaction) -> Result<Self, StoreError> {
        let lock = Lock::claim(&path)?;
        file::create(&path, role, first)?;
        Ok(Self::open_locked(path, lock)?.0)
    }

    fn open_any(path: PathBuf) -> Result<(Self, Role), StoreError> {
        let lock = Lock::claim(&path)?;
        Self::open_locked(path, lock)
    }

    fn open_locked(path: PathBuf, lock: Lock) -> Result<(Self, Role), StoreError> {
        let (connection, role) = file::open(&path)?;
        let reader = Reader::open(&path)?;
        let (writer, head) = Writer::start(connection, role, lock, &path)?;
        let store = Self {
            path,
            reader,
            writer: Arc::new(writer),
            head,
        };
        Ok((store, role))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The revision it is at, now and whenever there is a newer one.
    pub(crate) fn revisions(&self) -> sync::watch::Receiver<Revision> {
        self.head.clone()
    }

    pub(crate) async fn role(&self) -> Result<Role, StoreError> {
        self.reader.run(Role::read).await
    }

    /// Takes on a role, after the commits that were submitted before.
    pub(crate) async fn play(&self, role: Role) -> Result<Revision, StoreError> {
        self.writer.submit(Work::Play(role)).await
    }

    /// Makes durable what was decided elsewhere, in one go. Batches it has already are passed over.
    pub(crate) async fn take_over(&self, batches: Vec<Batch>) -> Result<Revision, StoreError> {
        self.writer.submit(Work::TakeOver(batches)).await
    }

    /// Becomes the replica of a cluster as it stands. The feed tells the difference as one batch.
    pub(crate) async fn become_replica(
        &self,
        of: Snapshot,
        cluster: Uid,
    ) -> Result<Revision, StoreError> {
        self.writer.submit(Work::Become(of, cluster)).await
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
