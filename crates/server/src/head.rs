//! [`Head`]: everything the endpoints of one head share.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ::heads::{join::Challenges, membership::Membership};
use content::{BootFiles, FileRoot, packages::Packages, upstream::Upstreams};
use ipnet::IpNet;
use model::{ClusterState, Revision, Transaction, Uid};
use package::PackageName;
use store::{LiveState, StoreError};
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
    install::own_packages::OwnPackages,
    ledger::Ledger,
    listen::Connections,
    metrics::Metrics,
    reports::Reports,
};

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
    /// The data directory.
    pub data: PathBuf,
    /// The log of who changed what.
    pub audit_log: PathBuf,
    /// The largest package that is taken, in bytes.
    pub upload_limit: u64,
    /// The packages that a node is to install. It must have the first, and gets of the others what there is.
    pub install: Vec<PackageName>,
}

/// Where a head has what it serves.
pub struct Sources {
    /// The kickstarts directory.
    pub boot_files: Arc<BootFiles>,
    /// Web servers and git repositories.
    pub upstreams: Upstreams,
    /// Client packages.
    pub packages: Arc<Packages>,
    /// Their indices for dnf and apt.
    pub repository: FileRoot,
    /// The packages of the head itself.
    pub own_packages: OwnPackages,
    /// What nodes reported.
    pub reports: Arc<Reports>,
}

/// What the endpoints of one head share.
pub struct Head {
    pub(crate) settings: Settings,
    pub(crate) boot_files: Arc<BootFiles>,
    pub(crate) packages: Arc<Packages>,
    pub(crate) repository: Arc<FileRoot>,
    pub(crate) own_packages: OwnPackages,
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
    pub(crate) live: Arc<LiveState>,
    /// This head's part in its cluster.
    pub(crate) membership: Arc<Membership>,
    /// What machines were sent that want to join.
    pub(crate) challenges: Challenges,
    /// Changes and translations under way, each of which is finished whether its client waits or not.
    pub(crate) tasks: TaskTracker,
}

/// Why a head cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
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
    /// A head that serves the state in `live` and what is in `sources`, as the part of its cluster that `membership` is.
    ///
    /// # Errors
    /// The audit log cannot be opened.
    pub fn new(
        settings: Settings,
        live: Arc<LiveState>,
        membership: Arc<Membership>,
        sources: Sources,
        ledger: Ledger,
        connections: Arc<Connections>,
    ) -> Result<Arc<Self>, HeadError> {
        let Sources {
            boot_files,
            upstreams,
            packages,
            repository,
            own_packages,
            reports,
        } = sources;
        let audit = Audit::open(&settings.audit_log).map_err(|source| HeadError::Audit {
            path: settings.audit_log.clone(),
            source,
        })?;
        Ok(Arc::new(Self {
            boot_files,
            packages,
            repository: Arc::new(repository),
            own_packages,
            digests: Digests::default(),
            passwords: Passwords::new(),
            markers: MissingMarkers::default(),
            reports,
            renderings: Renderings::default(),
            upstreams,
            configs: Configs::default(),
            ignition_bin: IgnitionBin::new(&settings.ignition_bin),
            throttle: Throttle::new(settings.tries_per_minute),
            audit,
            metrics: Metrics::new(
                Arc::clone(&live),
                Arc::clone(&membership),
                ledger.clone(),
                connections,
            ),
            ledger,
            live,
            membership,
            challenges: Challenges::default(),
            tasks: TaskTracker::new(),
            settings,
        }))
    }

    /// The cluster as it stands.
    pub(crate) fn state(&self) -> Arc<ClusterState> {
        self.live.get()
    }

    /// As [`LiveState::commit`].
    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.live.commit(transaction).await
    }

    /// As [`LiveState::news_since`].
    pub(crate) async fn news_since(&self, known: Revision) {
        self.live.news_since(known).await;
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
}

/// A UID nobody has.
pub(crate) fn new_uid() -> Result<Uid, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(Uid::from_bytes(bytes))
}
