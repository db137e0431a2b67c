//! What a head runs as one of several: its etcd, the exchange, and what keeps files alike.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock, atomic::AtomicBool},
};

use content::FileId;
use model::{FilePath, Head, Sha256Digest};
use store::{ClusterStore, Link, LiveState};
use tokio::{
    net::TcpListener,
    sync::{Mutex, watch},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{Membership, MoveError, Settings, registration::RETRY};
use crate::{
    Identity,
    background::Background,
    etcd::{Process, ProcessState, Program},
    exchange::{
        Admissions, Destination, ExchangeError, ExchangeServer, FileCounts, HeadStatus, LinkStatus,
        LocalHead, Peer, Peers, Puller, RateLimit, Trees,
    },
    replication::{self, Arrivals, Files, Replication},
    reports::{News, Reports},
};

/// What a head runs as one of several.
pub(super) struct Several {
    pub(super) identity: Identity,
    pub(super) admissions: Admissions,
    pub(super) replication: Arc<Replication>,
    /// What it shows to the others.
    pub(super) local: Arc<Local>,
    /// Whether it has become a member.
    pub(super) is_member: AtomicBool,
    peers: Peers,
    process: Mutex<Option<Process>>,
    /// How its etcd is, from when it has one.
    etcd: OnceLock<watch::Receiver<ProcessState>>,
    exchange: Mutex<Option<JoinHandle<()>>>,
    /// Where the exchange and the replication run.
    _background: Background,
    closing: CancellationToken,
}

impl Several {
    /// Listens for other heads.
    pub(super) async fn listen(identity: &Identity) -> Result<TcpListener, MoveError> {
        let address = identity.addresses.exchange;
        let listener = TcpListener::bind(address).await;
        listener.map_err(|source| MoveError::Listen { address, source })
    }

    /// Begins to answer other heads, on `listener` or as soon as it can listen, and to keep files alike.
    pub(super) fn start(
        membership: &Arc<Membership>,
        identity: Identity,
        listener: Option<TcpListener>,
        process: Option<Process>,
    ) -> Result<Self, MoveError> {
        let background = Background::nice().map_err(MoveError::Threads)?;
        // Nodes do not wait for what is done from here on.
        let there = background.enter();
        let live = &membership.live;
        let closing = CancellationToken::new();
        let peers = Peers::new(&identity)?;
        let settings = replication::Settings {
            directory: membership.settings.data.clone(),
            head: identity.uid,
            name: identity.name.clone(),
        };
        let files = Arc::clone(&membership.files);
        let arrivals = Arc::new(Arrivals::new(&settings, Arc::clone(&files)));
        let puller = Puller::new(
            peers.clone(),
            Arc::clone(live),
            membership.trees.clone(),
            Arc::clone(&arrivals) as Arc<dyn Destination>,
            RateLimit::new(membership.settings.max_rate),
            closing.clone(),
        );
        let replication =
            Replication::start(settings, Arc::clone(live), arrivals, Arc::new(puller));
        let replication = Arc::new(replication);
        let admissions = Admissions::default();
        let local = Arc::new(Local {
            identity: identity.clone(),
            settings: membership.settings.clone(),
            store: Arc::clone(&membership.store),
            live: Arc::clone(live),
            replication: Arc::clone(&replication),
            files,
            trees: membership.trees.clone(),
            reports: Arc::clone(&membership.reports),
        });
        let server = ExchangeServer::new(
            &identity,
            Arc::clone(live),
            admissions.clone(),
            Arc::clone(&local) as Arc<dyn LocalHead>,
        )?;
        let exchange = tokio::spawn({
            let (identity, closing) = (identity.clone(), closing.clone());
            async move {
                let listener = match listener {
                    Some(listener) => Some(listener),
                    None => closing.run_until_cancelled(listening(&identity)).await,
                };
                if let Some(listener) = listener {
                    server.serve(listener, closing).await;
                }
            }
        });
        let etcd = process
            .as_ref()
            .map(Process::state)
            .map_or_else(OnceLock::new, OnceLock::from);
        drop(there);
        Ok(Self {
            identity,
            admissions,
            replication,
            local,
            is_member: AtomicBool::new(false),
            peers,
            process: Mutex::new(process),
            etcd,
            exchange: Mutex::new(Some(exchange)),
            _background: background,
            closing,
        })
    }

    /// Takes over the etcd that was started for this head, which had none.
    pub(super) async fn set_process(&self, process: Process) {
        // A head gets one etcd, once.
        let _ = self.etcd.set(process.state());
        *self.process.lock().await = Some(process);
    }

    /// How its etcd is.
    pub(super) fn etcd_state(&self) -> Option<ProcessState> {
        Some(self.etcd.get()?.borrow().clone())
    }

    /// Waits until its etcd is not as it was `known` to be.
    pub(super) async fn etcd_changed(&self, known: Option<&ProcessState>) {
        if let (Some(state), Some(known)) = (self.etcd.get(), known)
            && state.clone().wait_for(|now| now != known).await.is_ok()
        {
            return;
        }
        // There is none, or it was stopped: it does not change any more.
        std::future::pending::<()>().await;
    }

    /// What nodes reported to another head after `known`.
    pub(super) async fn reports_of(&self, head: &Head, known: u64) -> Result<News, ExchangeError> {
        self.peers.reports(&Peer::from(head), known).await
    }

    /// How a head is, by its own word.
    pub(super) async fn status_of(&self, head: &Head) -> Result<HeadStatus, ExchangeError> {
        if head.uid == self.identity.uid {
            return Ok(self.local.status());
        }
        self.peers.status(&Peer::from(head)).await
    }

    /// Has no more to do with the files of the others, while nodes are still served.
    pub(super) async fn retire(&self) {
        self.closing.cancel();
        self.replication.close().await;
    }

    /// Ends the etcd of this head.
    pub(super) async fn stop_etcd(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.stop().await;
        }
    }

    /// Ends all of it. etcd comes last: the others need it for as long as this head commits.
    pub(super) async fn close(&self) {
        self.retire().await;
        if let Some(exchange) = self.exchange.lock().await.take() {
            // A panic there has been reported.
            let _ = exchange.await;
        }
        self.stop_etcd().await;
    }
}

/// What this head shows to the others.
pub(super) struct Local {
    identity: Identity,
    settings: Settings,
    store: Arc<ClusterStore>,
    live: Arc<LiveState>,
    replication: Arc<Replication>,
    files: Arc<Files>,
    trees: Trees,
    reports: Arc<dyn Reports>,
}

/// Listens for other heads as soon as that is possible: nodes are served meanwhile.
async fn listening(identity: &Identity) -> TcpListener {
    let mut said = false;
    loop {
        match Several::listen(identity).await {
            Ok(listener) => return listener,
            Err(error) if !said => tracing::error!("{error}; trying again until it is free"),
            Err(_) => {}
        }
        said = true;
        sleep(RETRY).await;
    }
}

impl LocalHead for Local {
    fn trees(&self) -> &Trees {
        &self.trees
    }

    fn digest(&self, path: &FilePath, state: FileId) -> Option<Sha256Digest> {
        self.files.digest(path, state)
    }

    fn status(&self) -> HeadStatus {
        let report = self.replication.report();
        HeadStatus {
            uid: self.identity.uid,
            name: self.identity.name.clone(),
            version: self.settings.version.clone(),
            revision: self.live.get().revision(),
            link: link_status(&self.store),
            files: FileCounts::from(report.as_ref()),
            conflicts: report.conflicts,
        }
    }

    fn reports(&self, known: u64) -> News {
        self.reports.news(known)
    }

    fn etcd_program(&self) -> Option<PathBuf> {
        let program = Program::find(&self.settings.data).ok()?;
        Some(program.path().to_owned())
    }
}

/// How a head stands with etcd.
pub(super) fn link_status(store: &ClusterStore) -> LinkStatus {
    let link = store.link().map(|link| link.borrow().clone());
    match link {
        None => LinkStatus::Single,
        Some(Link::Connecting) => LinkStatus::Connecting,
        Some(Link::Up { endpoint }) => LinkStatus::Up { endpoint },
        Some(Link::Down { why }) => LinkStatus::Down { why },
    }
}
