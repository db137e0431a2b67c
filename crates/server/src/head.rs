//! [`Head`]: everything the endpoints of one head share.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use content::{BootFiles, FileRoot, packages::Packages, upstream::Upstreams};
use ipnet::IpNet;
use model::{Change, ClusterState, Revision, Transaction, Uid};
use package::PackageName;
use store::{Store, StoreError};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::{
    Error,
    audit::Audit,
    auth::{Passwords, Throttle},
    boot::{
        ignition::configs::Configs,
        ignition_bin::{IgnitionBin, IgnitionBinPaths},
        renderings::Renderings,
        ztp::MissingMarkers,
    },
    digests::Digests,
    ledger::Ledger,
    listen::Connections,
    metrics::Metrics,
    reports::Reports,
};

/// How long the store's feed may take to bring a change that was made.
const FEED_DELAY: Duration = Duration::from_secs(5);

/// How often it is written down what nodes report.
const REPORTS_SAVED: Duration = Duration::from_secs(60);

/// How this head answers: its part of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this head.
    pub name: String,
    /// `<head[lang]>`.
    pub lang: String,
    /// `<head[keymap]>`.
    pub keymap: String,
    /// `<head[timezone]>`.
    pub timezone: String,
    /// This head's `/api/v1` URL, if it is not to be taken from what each client used.
    pub base_url: Option<String>,
    /// Where nodes reach this head, for those who ask on the local socket and so used no address.
    pub own_address: SocketAddr,
    /// Whose `X-Forwarded-For` and `Forwarded` count.
    pub trusted_proxies: Vec<IpNet>,
    /// What becomes of a form that has neither value nor default.
    pub missing: template::Missing,
    /// How long a config that was fetched is good without asking its upstream again.
    pub ignition_refresh: Duration,
    /// Where the ignition binaries are.
    pub ignition_bin: IgnitionBinPaths,
    /// The largest JSON body, in bytes.
    pub body_limit: u64,
    /// How long a client may take to send its body.
    pub body_time: Duration,
    /// How long an access token is good.
    pub access_ttl: Duration,
    /// How long a session lasts without being renewed.
    pub refresh_ttl: Duration,
    /// Failed log-ins an address may have a minute.
    pub tries_per_minute: u32,
    /// The user who, beside root, needs no token on the Unix socket: the owner of the data directory.
    pub owner: u32,
    /// The log of who changed what.
    pub audit_log: PathBuf,
    /// The file that keeps what nodes last reported over a restart.
    pub reports: PathBuf,
    /// The largest package that is taken, in bytes.
    pub upload_limit: u64,
    /// The packages that a node is to install. It must have the first, and gets of the others what there is.
    pub install: Vec<PackageName>,
}

/// Where a head has what it serves.
pub struct Sources {
    /// The kickstarts directory.
    pub boot_files: BootFiles,
    /// Web servers and git repositories.
    pub upstreams: Upstreams,
    /// Client packages.
    pub packages: Packages,
    /// Their indices for dnf and apt.
    pub repository: FileRoot,
}

/// What the endpoints of one head share.
pub struct Head {
    pub(crate) settings: Settings,
    pub(crate) boot_files: Arc<BootFiles>,
    pub(crate) packages: Packages,
    pub(crate) repository: FileRoot,
    pub(crate) digests: Digests,
    pub(crate) ledger: Ledger,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) audit: Audit,
    pub(crate) metrics: Metrics,
    pub(crate) markers: MissingMarkers,
    pub(crate) reports: Arc<Reports>,
    pub(crate) renderings: Renderings,
    pub(crate) upstreams: Upstreams,
    pub(crate) configs: Configs,
    pub(crate) ignition_bin: IgnitionBin,
    pub(crate) store: Arc<dyn Store>,
    /// Changes and translations under way, each of which is finished whether its client waits or not.
    pub(crate) tasks: TaskTracker,
    state: Arc<ArcSwap<ClusterState>>,
    /// The revision of `state`, for those who wait for one.
    revision: watch::Sender<Revision>,
}

/// Why a head cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The cluster state cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record of the cluster state cannot be understood.
    #[error(transparent)]
    Record(#[from] model::BadRecord),
    /// The audit log cannot be opened.
    #[error("cannot open the audit log {path}: {source}")]
    Audit {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Head {
    /// A head that serves the state in `store` and what is in `sources`. It follows the store once [`follow`](Self::follow) runs.
    ///
    /// # Errors
    /// The state cannot be read or is damaged, or the audit log not be opened.
    pub async fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        sources: Sources,
        ledger: Ledger,
        connections: Arc<Connections>,
    ) -> Result<Arc<Self>, HeadError> {
        let Sources {
            boot_files,
            upstreams,
            packages,
            repository,
        } = sources;
        // Side by side, and what is damaged is said before what could not be read for it.
        let (sound, state) = tokio::join!(store.check(), read_state(store.as_ref()));
        sound?;
        let state = Arc::new(ArcSwap::from_pointee(state?));
        let audit = Audit::open(&settings.audit_log).map_err(|source| HeadError::Audit {
            path: settings.audit_log.clone(),
            source,
        })?;
        Ok(Arc::new(Self {
            boot_files: Arc::new(boot_files),
            packages,
            repository,
            digests: Digests::default(),
            passwords: Passwords::new(),
            markers: MissingMarkers::default(),
            reports: Arc::new(Reports::open(settings.reports.clone())),
            renderings: Renderings::default(),
            upstreams,
            configs: Configs::default(),
            ignition_bin: IgnitionBin::new(&settings.ignition_bin),
            throttle: Throttle::new(settings.tries_per_minute),
            audit,
            metrics: Metrics::new(Arc::clone(&state), ledger.clone(), connections),
            ledger,
            store,
            tasks: TaskTracker::new(),
            revision: watch::Sender::new(state.load().revision()),
            state,
            settings,
        }))
    }

    /// The cluster as it stands.
    pub(crate) fn state(&self) -> Arc<ClusterState> {
        self.state.load_full()
    }

    /// Makes a change durable and waits until this head's state shows it.
    ///
    /// # Errors
    /// A check of the transaction does not hold, or the store cannot write.
    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let revision = self.store.commit(transaction).await?;
        if self.shows(|known| known >= revision).await {
            return Ok(revision);
        }
        Err(StoreError::Unavailable {
            doing: "show",
            place: "the change here".into(),
            why: "it was made, but the store's feed does not bring it".into(),
        })
    }

    /// Waits until this head's state is newer than `known`: somebody else's change won a race, and is on its way here.
    pub(crate) async fn news_since(&self, known: Revision) {
        self.shows(|revision| revision > known).await;
    }

    /// Waits for a revision, though not for ever.
    async fn shows(&self, is_it: impl Fn(Revision) -> bool) -> bool {
        let mut revisions = self.revision.subscribe();
        let wait = revisions.wait_for(|revision| is_it(*revision));
        tokio::time::timeout(FEED_DELAY, wait).await.is_ok()
    }

    /// Follows the store: the only thing that changes this head's state. Ends when the store is closed.
    ///
    /// # Errors
    /// The store is damaged, or a record cannot be understood: whatever this head serves from then on would be out of
    /// date.
    pub async fn follow(&self) -> Result<(), HeadError> {
        loop {
            match self.follow_feed().await {
                Ok(never) => match never {},
                Err(HeadError::Store(StoreError::Closed)) => return Ok(()),
                Err(HeadError::Store(error)) if !matches!(error, StoreError::Damaged { .. }) => {
                    tracing::warn!(%error, "the change feed broke; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes down from time to time what nodes report. Goes on until it is dropped.
    pub async fn keep_reports(&self) {
        let mut times = tokio::time::interval(REPORTS_SAVED);
        loop {
            times.tick().await;
            self.save_reports().await;
        }
    }

    /// Waits for the changes and translations under way, ends what is being fetched, and writes down what nodes reported.
    /// No request must come in any more.
    pub async fn finish(&self) {
        self.upstreams.close().await;
        self.packages.close().await;
        self.tasks.close();
        self.tasks.wait().await;
        self.save_reports().await;
    }

    async fn save_reports(&self) {
        let (reports, state) = (Arc::clone(&self.reports), self.state());
        let saving = tokio::task::spawn_blocking(move || reports.save(&state.nodes));
        if let Err(error) = saving.await {
            tracing::error!(%error, "what nodes report was not written");
        }
    }

    async fn follow_feed(&self) -> Result<std::convert::Infallible, HeadError> {
        let mut feed = match self.store.watch(self.state().revision()).await {
            Err(StoreError::Compacted { .. }) => {
                self.show(read_state(self.store.as_ref()).await?);
                self.store.watch(self.state().revision()).await?
            }
            feed => feed?,
        };
        loop {
            let batch = feed.next().await?;
            let mut state = ClusterState::clone(&self.state());
            state.apply(&batch.changes)?;
            self.show(state);
        }
    }

    fn show(&self, state: ClusterState) {
        let revision = state.revision();
        self.state.store(Arc::new(state));
        self.revision.send_replace(revision);
    }
}

async fn read_state(store: &dyn Store) -> Result<ClusterState, HeadError> {
    loop {
        let mut records = Vec::new();
        let mut revisions = Vec::new();
        for prefix in ClusterState::PREFIXES {
            let part = store.scan(prefix).await?;
            records.extend(part.records.into_iter().map(Change::from));
            revisions.push(part.revision);
        }
        // Otherwise somebody wrote meanwhile, and the parts are not of one moment.
        if let [revision, ref rest @ ..] = revisions[..]
            && rest.iter().all(|other| *other == revision)
        {
            return Ok(ClusterState::load(records, revision)?);
        }
    }
}

/// A UID nobody has.
pub(crate) fn new_uid() -> Result<Uid, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(Uid::from_bytes(bytes))
}
