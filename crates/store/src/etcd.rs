//! The store of several heads: changes are made in etcd, and read from a replica of it on the head's own disk.
//!
//! ```text
//! commit ──► transaction ──► etcd ──► feed ──► replica (SqliteStore) ──► get, scan, watch, backup, check
//!    ▲                                            │
//!    └──────── answered when it is here ──────────┘
//! ```
//!
//! `link` owns the connection: it finds a member that works and runs `feed` from it. `layout` says what a cluster looks
//! like in etcd, `founding` how it gets there and leaves again.

mod connection;
mod feed;
mod founding;
mod layout;
mod link;
mod moving;
mod session;
mod settings;
mod transaction;
mod trouble;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Key, Revision, Transaction};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::sqlite::Role;
use crate::{Record, Snapshot, SqliteStore, Store, StoreError, Watch};
use link::{LinkTask, State};
pub(crate) use moving::{move_away, move_here};
use session::Session;
pub use settings::{EtcdCertificate, EtcdSettings, EtcdTls};
use transaction::{Outcome, Plan};
use trouble::Trouble;

/// How long etcd may take to carry out a commit.
const COMMIT: Duration = Duration::from_secs(3);

/// How long a change that was made may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);

/// Commits sent to etcd at a time. Those who commit wait while as many are under way.
const AT_ONCE: u32 = 64;

/// How a head stands with etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// It has lost the member it was connected to, or had none yet, and is trying them all.
    Connecting,
    /// Changes can be made, and arrive.
    Up {
        /// The member of etcd it is connected to.
        endpoint: String,
    },
    /// No member works. The replica is served as it last was.
    Down {
        /// What is wrong with each of them.
        why: String,
    },
}

/// A [`Store`] in etcd, with a replica of it in SQLite.
///
/// What others commit is seen when it has arrived, usually some milliseconds later; what was committed here, at once.
pub struct EtcdStore {
    replica: Arc<SqliteStore>,
    /// What keys begin with, for messages.
    prefix: String,
    state: watch::Receiver<State>,
    link: watch::Receiver<Link>,
    endpoints: watch::Sender<Vec<String>>,
    turns: Semaphore,
    /// The [`LinkTask`]; none once closed. It ends with this.
    task: Mutex<JoinSet<()>>,
}

impl EtcdStore {
    /// Begins to keep `replica` up with the etcd of `settings`. Waits for etcd only if the replica has never seen one:
    /// then it returns when all of the cluster is there.
    pub async fn open(
        replica: Arc<SqliteStore>,
        settings: EtcdSettings,
    ) -> Result<Self, StoreError> {
        let role = replica.role().await?;
        if !role.is_replica() {
            return Err(StoreError::NotAReplica {
                path: replica.path().to_owned(),
            });
        }
        let store = Self::start(replica, settings);
        if role == Role::EmptyReplica
            && let Err(error) = store.session("read").await
        {
            store.task.lock().await.shutdown().await;
            return Err(error);
        }
        Ok(store)
    }

    fn start(replica: Arc<SqliteStore>, settings: EtcdSettings) -> Self {
        let (endpoints, endpoints_seen) = watch::channel(settings.endpoints.clone());
        let (state, state_seen) = watch::channel(State::Connecting);
        let (link, link_seen) = watch::channel(Link::Connecting);
        let prefix = settings.prefix.clone();
        let task = LinkTask {
            replica: Arc::clone(&replica),
            settings,
            endpoints: endpoints_seen,
            state,
            link,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(async { match task.run().await {} });
        Self {
            replica,
            prefix,
            state: state_seen,
            link: link_seen,
            endpoints,
            turns: Semaphore::new(AT_ONCE as usize),
            task: Mutex::new(tasks),
        }
    }

    /// How it stands with etcd, now and whenever that changes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// From now on, these are the members of etcd. The first is preferred.
    pub fn set_endpoints(&self, endpoints: Vec<String>) {
        self.endpoints.send_replace(endpoints);
    }

    /// The link to etcd, to be used for `doing` something.
    async fn session(&self, doing: &'static str) -> Result<Arc<Session>, StoreError> {
        if self.turns.is_closed() {
            return Err(StoreError::Closed);
        }
        let mut state = self.state.clone();
        let settled = state
            .wait_for(|state| !matches!(state, State::Connecting))
            .await
            .map_err(|_| StoreError::Closed)?;
        match &*settled {
            State::Up(session) => Ok(Arc::clone(session)),
            State::Down(why) => Err(self.unavailable(doing, why.clone())),
            State::Connecting => Err(self.unavailable(doing, "not connected yet".to_owned())),
        }
    }

    async fn carry_out(
        &self,
        transaction: &Transaction,
        session: &Session,
    ) -> Result<Outcome, StoreError> {
        let plan = Plan::make(transaction, session, &self.replica).await?;
        let outcome = tokio::select! {
            answer = session.transact(plan.txn(), COMMIT) => {
                answer.and_then(|response| plan.outcome(&response))
            }
            // It will not answer any more.
            () = self.link_lost() => Err(Trouble::LinkLost),
        };
        outcome.map_err(|trouble| match trouble.is_refusal() {
            true => self.unavailable("write", trouble.to_string()),
            false => StoreError::Uncertain {
                place: session.place(),
                why: trouble.to_string(),
            },
        })
    }

    async fn link_lost(&self) {
        let mut state = self.state.clone();
        // Where nobody keeps the link any more, it is lost as well.
        let _ = state.wait_for(|state| !matches!(state, State::Up(_))).await;
    }

    /// Waits until a change that was made is here.
    async fn arrival(&self, revision: Revision, session: &Session) -> Result<(), StoreError> {
        let mut revisions = self.replica.revisions();
        let arrival = revisions.wait_for(|here| *here >= revision);
        match timeout(ARRIVAL, arrival).await {
            // Also where the replica was closed meanwhile: the change is where it belongs.
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::Uncertain {
                place: session.place(),
                why: format!(
                    "it was made as revision {revision}, but does not arrive at this head"
                ),
            }),
        }
    }

    fn unavailable(&self, doing: &'static str, why: String) -> StoreError {
        StoreError::Unavailable {
            doing,
            place: format!("the cluster in etcd ({})", self.prefix),
            why,
        }
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.replica.get(key).await
    }

    async fn scan(&self, prefix: &str) -> Result<Snapshot, StoreError> {
        self.replica.scan(prefix).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        transaction::refuse_written_twice(&transaction)?;
        let _turn = self.turns.acquire().await.map_err(|_| StoreError::Closed)?;
        let session = self.session("write").await?;
        match self.carry_out(&transaction, &session).await? {
            Outcome::Made(revision) => {
                self.arrival(revision, &session).await?;
                Ok(revision)
            }
            Outcome::Unchanged => Ok(*self.replica.revisions().borrow()),
            Outcome::Conflict(key) => Err(StoreError::Conflict { key }),
            Outcome::Gone => Err(self.unavailable("write", Trouble::Retired.to_string())),
        }
    }

    async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.replica.watch(from).await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.replica.backup(to).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.replica.check().await
    }

    async fn writable(&self) -> Result<(), StoreError> {
        let session = self.session("write").await?;
        session
            .writable()
            .await
            .map_err(|trouble| self.unavailable("write", trouble.to_string()))?;
        // A commit is answered when it is here.
        self.replica.writable().await
    }

    async fn close(&self) {
        // Once all turns are ours, no commit is under way. An error: it was closed before.
        let _all = self.turns.acquire_many(AT_ONCE).await;
        self.turns.close();
        self.task.lock().await.shutdown().await;
        self.replica.close().await;
    }
}
