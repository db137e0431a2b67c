//! One head becomes the first of several: its cluster moves from its database to etcd.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use model::{Authority, Name, Uid};
use store::StoreError;
use tokio::time::timeout;

use super::{Membership, Several, etcd_settings};
use crate::{
    authority::{self, AuthorityError},
    etcd::{self, MembershipError},
    exchange::ExchangeError,
    identity::{Contacts, Enrolment, Identity, IdentityError},
};

/// How long a new etcd, which has nothing to read yet, may take to answer.
const FIRST_ANSWER: Duration = Duration::from_secs(30);

/// Why a head cannot be one of several.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The cluster's state cannot be moved.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no certificate for it.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// It cannot keep who it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It runs no etcd.
    #[error(transparent)]
    Etcd(#[from] MembershipError),
    /// Its etcd does not get ready.
    #[error("etcd does not answer within {} s; the log says why", .0.as_secs())]
    Silent(Duration),
    /// It cannot talk with other heads.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// It cannot listen for other heads.
    #[error(
        "cannot listen for other heads on {address}: {source}. Other addresses are set in [heads]"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The system gives no threads for the exchange with other heads.
    #[error("cannot start the exchange between heads: {0}")]
    Threads(io::Error),
    /// Another machine that joined at the same time has its name.
    #[error(
        "another head has taken the name {0} meanwhile. Stop this one, name it with [head] name, and join again"
    )]
    Name(Name),
    /// The system gave no random numbers.
    #[error("no random numbers for a UID: {0}")]
    Random(getrandom::Error),
}

impl Membership {
    /// Moves the cluster to etcd, of which this head runs the first member, while it is served. Does nothing where it has
    /// moved already.
    ///
    /// # Errors
    /// It cannot; the cluster is where it was.
    pub async fn move_to_etcd(self: &Arc<Self>) -> Result<(), MoveError> {
        let membership = Arc::clone(self);
        // A task of its own: were it dropped with the request of a machine that goes away, the cluster could be left in an
        // etcd that nobody runs.
        let moving = self.tasks.spawn(async move {
            let moved = async {
                let _alone = membership.moving.lock().await;
                match membership.store.engine() {
                    store::Engine::Sqlite => membership.found().await,
                    store::Engine::Etcd => Ok(()),
                }
            };
            membership.closing.run_until_cancelled(moved).await
        });
        match moving.await {
            Ok(Some(moved)) => moved,
            Ok(None) => Err(StoreError::Closed.into()),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => Err(StoreError::Closed.into()),
            },
        }
    }

    /// The same for who holds `moving`.
    async fn found(self: &Arc<Self>) -> Result<(), MoveError> {
        tracing::info!("moving the cluster to etcd, which several heads can share");
        let identity = self.first_identity().await?;
        // Before anything is moved: what stands in the way of listening stands in the way of being one of several.
        let listener = Several::listen(&identity).await?;
        let enrolment =
            Enrolment::save(&self.settings.data, identity.clone(), Contacts::default())?;
        let process = match &self.settings.etcd {
            Some(elsewhere) => {
                self.store.move_to_etcd(elsewhere.clone()).await?;
                None
            }
            None => {
                // Of a move that broke off.
                etcd::forget(&self.settings.data)?;
                let starting = etcd::start_first(&self.settings.data, &enrolment);
                let process = timeout(FIRST_ANSWER, starting)
                    .await
                    .map_err(|_| MoveError::Silent(FIRST_ANSWER))??;
                let settings = etcd_settings(&identity, []);
                if let Err(error) = self.store.move_to_etcd(settings).await {
                    process.stop().await;
                    return Err(error.into());
                }
                Some(process)
            }
        };
        let several = Several::start(self, identity, Some(listener), process)?;
        // Nobody else sets it while `moving` is held.
        let _ = self.several.set(several);
        self.register().await?;
        self.follow(enrolment.into_member()?);
        tracing::info!("the cluster is in etcd");
        Ok(())
    }

    /// An identity for the first head, by the cluster's own authority, which is made if there is none yet.
    async fn first_identity(&self) -> Result<Identity, MoveError> {
        let authority = self.authority().await?;
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(MoveError::Random)?;
        let uid = Uid::from_bytes(bytes);
        let request = authority::request()?;
        let addresses = self.settings.addresses;
        Ok(Identity {
            uid,
            name: self.settings.name.clone(),
            certificate: authority::issue(&authority, &request.request, uid, &addresses.ips())?,
            authority: authority.certificate.clone(),
            key: request.key,
            addresses,
        })
    }

    /// The cluster's authority. Clusters begun by versions that knew but one head have none.
    async fn authority(&self) -> Result<Authority, MoveError> {
        loop {
            let state = self.live.get();
            if let Some(authority) = state.authority() {
                return Ok(Authority::clone(authority));
            }
            let made = authority::create(state.cluster().name.as_str())?;
            let mut transaction = model::Transaction::default();
            transaction.claim(Authority::key(), made.record());
            match self.live.commit(transaction).await {
                Ok(_) => return Ok(made),
                Err(StoreError::Conflict { .. }) => self.live.news_since(state.revision()).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
