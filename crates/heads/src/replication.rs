//! Files that are the same on all heads.
//!
//! Three accounts of a file are compared: what lies on this head's [disk](Files), what the [manifest](model::Manifest)
//! says that every head is to have, and what the two last agreed on. From them follows what is to be done: `decision`
//! has the table. Bytes come from other heads, by a [`Source`].

mod agreements;
mod arrivals;
mod conflicts;
mod decision;
mod files;
mod report;
mod source;
mod sync;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use model::{FilePath, Name, Uid};
use store::{LiveState, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub use arrivals::Arrivals;
pub use conflicts::{Conflict, Conflicts};
pub use files::{Files, NoSuchPlace};
pub use report::{Report, TreeReport};
pub use source::Source;

use sync::{Command, Sync};

/// How files are kept alike.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory: holds what was last agreed on, and the versions that others overrode.
    pub directory: PathBuf,
    /// This head.
    pub head: Uid,
    /// Its name, which the copies that it keeps aside bear.
    pub name: Name,
}

/// Keeps the files of this head as the manifest has them, and the manifest as this head's administrators want them.
///
/// Dropping it ends its tasks; [`close`](Self::close) waits until they have ended, too.
pub struct Replication {
    live: Arc<LiveState>,
    arrivals: Arc<Arrivals>,
    commands: mpsc::Sender<Command>,
    report: watch::Receiver<Arc<Report>>,
    closing: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Why the manifest does not have a file as it lies here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicationError {
    /// The store cannot be written to. The file is stored here, and the others get it once it can be.
    #[error("{path} is changed on this head alone until the store works again: {source}")]
    Store {
        /// Which file.
        path: FilePath,
        /// Why.
        source: StoreError,
    },
    /// This head cannot do its part. The file is stored here, and the others get it once it can.
    #[error("{path} is changed on this head alone for now: {reason}")]
    Head {
        /// Which file.
        path: FilePath,
        /// Why.
        reason: String,
    },
    /// This head is shutting down.
    #[error("this head is shutting down")]
    Closing,
}

/// What came of waiting for a file that another head has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It is here.
    Here,
    /// No head is to have such a file.
    Unknown,
    /// It is not here yet, and on its way if anybody has it. Worth another try.
    NotYet,
}

impl Replication {
    /// Begins to keep files as the manifest in `live` has them. The bytes come from `source`, which hands them to `arrivals`.
    #[must_use]
    pub fn start(
        settings: Settings,
        live: Arc<LiveState>,
        arrivals: Arc<Arrivals>,
        source: Arc<dyn Source>,
    ) -> Self {
        let closing = CancellationToken::new();
        let (commands, orders) = mpsc::channel(64);
        let (reports, report) = watch::channel(Arc::default());
        let sync = Sync::new(
            settings,
            Arc::clone(&live),
            Arc::clone(&arrivals),
            source,
            reports,
            closing.clone(),
        );
        Self {
            live,
            arrivals,
            commands,
            report,
            closing,
            task: Mutex::new(Some(tokio::spawn(sync.run(orders)))),
        }
    }

    /// The files, for those who send them to other heads.
    #[must_use]
    pub fn files(&self) -> &Arc<Files> {
        self.arrivals.files()
    }

    /// Puts the file in the manifest as it lies here now, or its deletion, and returns when it is there: to be called
    /// after an administrator's change, before the answer.
    ///
    /// # Errors
    /// The store cannot be written to. The change is not lost: the others get it once it can be.
    pub async fn publish(&self, path: &FilePath) -> Result<(), ReplicationError> {
        let (done, outcome) = oneshot::channel();
        let path = path.clone();
        let sent = self.commands.send(Command::Publish { path, done }).await;
        sent.map_err(|_| ReplicationError::Closing)?;
        outcome.await.unwrap_or(Err(ReplicationError::Closing))
    }

    /// Waits until `deadline` for a file that is in the manifest and not on disk yet. It goes on coming when nobody
    /// waits any more. Costs one look into memory where there is no such file.
    pub async fn fetch(&self, path: &FilePath, deadline: Instant) -> Fetched {
        let state = self.live.get();
        let listed = state.manifest.get(path);
        if listed.is_none_or(|listed| listed.version.content.is_none()) {
            return Fetched::Unknown;
        }
        let (done, outcome) = oneshot::channel();
        let path = path.clone();
        let fetching = async {
            let sent = self.commands.send(Command::Fetch { path, done }).await;
            sent.is_ok() && outcome.await.is_ok()
        };
        match timeout_at(deadline, fetching).await {
            Ok(true) => Fetched::Here,
            Ok(false) | Err(_) => Fetched::NotYet,
        }
    }

    /// How the files of this head differ from the manifest.
    #[must_use]
    pub fn report(&self) -> Arc<Report> {
        Arc::clone(&self.report.borrow())
    }

    /// The report, and whenever it changes.
    #[must_use]
    pub fn reports(&self) -> watch::Receiver<Arc<Report>> {
        self.report.clone()
    }

    /// The versions that were overridden and that this head keeps.
    #[must_use]
    pub fn conflicts(&self) -> &Conflicts {
        self.arrivals.conflicts()
    }

    /// Waits until every file of the manifest lies here as it is to be: whether that came about before the end.
    pub async fn caught_up(&self) -> bool {
        let mut reports = self.reports();
        let report = reports.wait_for(|report| report.is_caught_up());
        report.await.is_ok()
    }

    /// Ends all tasks and waits until they have ended. What was agreed on is on disk then.
    pub async fn close(&self) {
        self.closing.cancel();
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            // A panic there has been reported.
            let _ = task.await;
        }
    }
}

impl Drop for Replication {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}
