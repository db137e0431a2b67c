//! [`Membership`]: this head's part in its cluster, alone or as one of several.

mod founding;
mod hearing;
mod registration;
mod removal;
mod several;
mod status;

use std::{
    num::NonZeroU64,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use model::{Name, Uid};
use store::{ClusterStore, EtcdCertificate, EtcdSettings, EtcdTls, Link, LiveState};
use tokio::sync::{Mutex, OnceCell};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Identity,
    exchange::Trees,
    identity::{Addresses, Enrolled},
    join::{Admission, Engine, Refusal, Verified},
    replication::{Files, Replication},
    reports::Reports,
};

pub use founding::MoveError;
pub use removal::RemovalError;
pub use status::{ClusterStatus, EtcdStatus, HeadReport};

use several::Several;

/// What a head brings into its cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its data directory.
    pub data: PathBuf,
    /// Its name.
    pub name: Name,
    /// Where nodes and administrators reach it: `http://10.0.0.1:80`.
    pub url: String,
    /// Where other heads reach it.
    pub addresses: Addresses,
    /// The version of Pilotlight it runs.
    pub version: String,
    /// An etcd that is run elsewhere. Without one, the heads run their own.
    pub etcd: Option<EtcdSettings>,
    /// How many bytes of files it may fetch in a second.
    pub max_rate: Option<NonZeroU64>,
}

/// This head's part in its cluster. A single head does nothing of what is here, until another joins.
pub struct Membership {
    settings: Settings,
    store: Arc<ClusterStore>,
    live: Arc<LiveState>,
    files: Arc<Files>,
    trees: Trees,
    reports: Arc<dyn Reports>,
    several: OnceCell<Several>,
    /// Held while the cluster moves to etcd.
    moving: Mutex<()>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// Why a machine was not let in.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// It cannot be a head of this cluster.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The cluster cannot move to etcd, which it must for a second head.
    #[error("this head cannot make its cluster one of several heads: {0}")]
    Move(#[from] MoveError),
    /// The cluster keeps no authority, or not yet.
    #[error("this head is not ready to let others in; try again")]
    NotReady,
}

impl Membership {
    /// Takes part in the cluster as far as `enrolled` says.
    ///
    /// # Errors
    /// This head is one of several, and its identity cannot be used.
    pub async fn start(
        settings: Settings,
        enrolled: Option<Enrolled>,
        store: Arc<ClusterStore>,
        live: Arc<LiveState>,
        files: Arc<Files>,
        trees: Trees,
        reports: Arc<dyn Reports>,
    ) -> Result<Arc<Self>, MoveError> {
        let membership = Arc::new(Self {
            settings,
            store,
            live,
            files,
            trees,
            reports,
            several: OnceCell::new(),
            moving: Mutex::new(()),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        });
        match enrolled {
            None => {}
            Some(Enrolled::Removed(_)) => tracing::error!(
                "this head was removed from its cluster and serves what it last knew; to join again, run \
                 scyld-install --join HEAD --clear"
            ),
            Some(Enrolled::Member(enrolment)) => membership.go_on(enrolment).await?,
            Some(Enrolled::Admitted(enrolment)) => membership.enter(enrolment).await?,
        }
        Ok(membership)
    }

    /// Where the cluster's state is kept now.
    pub fn engine(&self) -> Engine {
        match self.store.engine() {
            store::Engine::Sqlite => Engine::Sqlite,
            store::Engine::Etcd => Engine::Etcd,
        }
    }

    /// How this head stands with etcd, where it needs one.
    pub fn link(&self) -> Option<Link> {
        self.store.link().map(|link| link.borrow().clone())
    }

    /// Whether this head is alone, or a member of its cluster: not about to become one.
    pub fn is_settled(&self) -> bool {
        self.several
            .get()
            .is_none_or(|several| several.is_member.load(Relaxed))
    }

    /// This head's UID, once it is one of several.
    pub fn uid(&self) -> Option<Uid> {
        self.several.get().map(|several| several.identity.uid)
    }

    /// What keeps the files of all heads alike, once there are several.
    pub fn replication(&self) -> Option<&Arc<Replication>> {
        self.several.get().map(|several| &several.replication)
    }

    /// Lets in the machine that sent this request: gives it a certificate, and says where the others are. A cluster that
    /// is still in the database of one head moves to etcd first; nothing else is changed.
    ///
    /// # Errors
    /// It cannot be a head of this cluster, or the cluster not have several.
    pub async fn admit(self: &Arc<Self>, verified: Verified) -> Result<Admission, AdmissionError> {
        verified.check(&self.live.get(), self.engine())?;
        if self.engine() == Engine::Sqlite {
            let Settings {
                name, addresses, ..
            } = &self.settings;
            verified.check_beside(&self.spec(name, addresses))?;
            self.move_to_etcd().await?;
        }
        let several = self.several.get().ok_or(AdmissionError::NotReady)?;
        let state = self.live.get();
        let authority = state.authority().ok_or(AdmissionError::NotReady)?;
        let admission = verified.admit(authority, registration::contacts(&state, None))?;
        several.admissions.admit(admission.uid);
        Ok(admission)
    }

    /// Ends this head's part: it stays a member, and goes on when it starts again. The store must be open still.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(several) = self.several.get() {
            several.close().await;
        }
    }
}

/// How a head reaches the etcd that the heads run themselves: at its own member first.
pub fn etcd_settings(
    identity: &Identity,
    others: impl IntoIterator<Item = String>,
) -> EtcdSettings {
    EtcdSettings {
        endpoints: endpoints(identity, others),
        tls: Some(EtcdTls {
            authority: identity.authority.clone(),
            own: Some(EtcdCertificate {
                certificate: identity.certificate.clone(),
                key: identity.key.clone(),
            }),
        }),
        ..EtcdSettings::default()
    }
}

/// The members of etcd, the head's own first.
fn endpoints(identity: &Identity, others: impl IntoIterator<Item = String>) -> Vec<String> {
    let own = identity.addresses.etcd_client_url();
    let others = others.into_iter().filter(|other| *other != own);
    std::iter::once(own.clone()).chain(others).collect()
}
