//! [`ClusterStore`]: what a head holds.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use model::{Key, Revision, Transaction};
use tokio::sync::{RwLock, watch};

use crate::sqlite::blocking;
use crate::{
    EtcdSettings, EtcdStore, Link, Record, Snapshot, SqliteStore, Store, StoreError, Watch, etcd,
};

/// Where changes to the cluster are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In the head's own database: it is alone.
    Sqlite,
    /// In etcd.
    Etcd,
}

/// The store of a head: its own database, or etcd with that as a replica. The one can become the other while it is in
/// use: those who read and watch notice nothing, those who commit wait meanwhile.
pub struct ClusterStore {
    sqlite: Arc<SqliteStore>,
    etcd: Arc<OnceLock<EtcdStore>>,
    /// Held by all who commit to SQLite, and alone while the cluster is moved.
    moving: Arc<RwLock<()>>,
}

impl ClusterStore {
    /// The store of a single head.
    pub fn new(sqlite: Arc<SqliteStore>) -> Self {
        Self {
            sqlite,
            etcd: Arc::default(),
            moving: Arc::default(),
        }
    }

    /// The store of a head of several: see [`EtcdStore::open`].
    pub async fn with_etcd(
        replica: Arc<SqliteStore>,
        settings: EtcdSettings,
    ) -> Result<Self, StoreError> {
        let etcd = EtcdStore::open(Arc::clone(&replica), settings).await?;
        Ok(Self {
            sqlite: replica,
            etcd: Arc::new(OnceLock::from(etcd)),
            moving: Arc::default(),
        })
    }

    /// Moves the cluster into an etcd that holds none yet, and makes the database its replica. Commits wait meanwhile
    /// and are made in etcd afterwards. After an error, everything is as it was. Dropping the future does not stop it.
    pub async fn move_to_etcd(&self, settings: EtcdSettings) -> Result<(), StoreError> {
        let alone = Arc::clone(&self.moving).write_owned().await;
        let (sqlite, place) = (Arc::clone(&self.sqlite), Arc::clone(&self.etcd));
        let moving = tokio::spawn(async move {
            let _alone = alone;
            let etcd = etcd::move_here(&sqlite, settings).await?;
            // Whoever was here before has made the database a replica, which does not move.
            let _ = place.set(etcd);
            Ok(())
        });
        match moving.await {
            Ok(moved) => moved,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => Err(StoreError::Closed),
            },
        }
    }

    /// Where changes are made now.
    pub fn engine(&self) -> Engine {
        match self.etcd.get() {
            Some(_) => Engine::Etcd,
            None => Engine::Sqlite,
        }
    }

    /// How it stands with etcd; `None` where there is none.
    pub fn link(&self) -> Option<watch::Receiver<Link>> {
        self.etcd.get().map(EtcdStore::link)
    }

    /// From now on, these are the members of etcd. Nothing where there is none.
    pub fn set_endpoints(&self, endpoints: Vec<String>) {
        if let Some(etcd) = self.etcd.get() {
            etcd.set_endpoints(endpoints);
        }
    }

    fn store(&self) -> &dyn Store {
        match self.etcd.get() {
            Some(etcd) => etcd,
            None => self.sqlite.as_ref(),
        }
    }
}

#[async_trait]
impl Store for ClusterStore {
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.sqlite.get(key).await
    }

    async fn scan(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        self.sqlite.scan(prefix).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        if self.engine() == Engine::Sqlite {
            let _staying = self.moving.read().await;
            if self.engine() == Engine::Sqlite {
                return self.sqlite.commit(transaction).await;
            }
        }
        self.store().commit(transaction).await
    }

    async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.sqlite.watch(from).await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.sqlite.backup(to).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.sqlite.check().await
    }

    async fn writable(&self) -> Result<(), StoreError> {
        self.store().writable().await
    }

    async fn close(&self) {
        self.store().close().await;
    }
}

/// Makes the replica at `path` the whole store of a single head again, and returns the revision it stands at. Nobody may
/// have it open.
///
/// With settings, it first takes from that etcd all that it has, and retires the cluster there: no head can change it
/// any more. Without, the replica is taken as it stands, and what it has not seen is lost.
pub async fn move_to_sqlite(
    path: impl Into<PathBuf>,
    from: Option<EtcdSettings>,
) -> Result<Revision, StoreError> {
    let path = path.into();
    let replica = blocking(move || SqliteStore::open_replica(path)).await?;
    let moved = etcd::move_away(&replica, from.as_ref()).await;
    replica.close().await;
    moved
}
