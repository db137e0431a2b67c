//! [`LiveState`]: the cluster in memory, kept up with its store.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use model::{BadRecord, Change, ClusterState, Revision, Transaction};
use tokio::sync::watch;

use crate::{Store, StoreError};

/// How long the store's feed may take to bring a change that was made.
const FEED_DELAY: Duration = Duration::from_secs(5);

/// The whole cluster as the store's feed has brought it. Reading it takes no lock and asks no store.
pub struct LiveState {
    store: Arc<dyn Store>,
    state: ArcSwap<ClusterState>,
    /// The revision of `state`, for those who wait for one.
    revision: watch::Sender<Revision>,
}

/// Why the state cannot be known.
#[derive(Debug, thiserror::Error)]
pub enum LiveStateError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record cannot be understood.
    #[error(transparent)]
    Record(#[from] BadRecord),
}

impl LiveState {
    /// The state that `store` holds now. It is kept up once [`follow`](Self::follow) runs.
    ///
    /// # Errors
    /// The state cannot be read, or the store is damaged.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, LiveStateError> {
        // Side by side, and what is damaged is said before what could not be read for it.
        let (sound, state) = tokio::join!(store.check(), read(store.as_ref()));
        sound?;
        let state = state?;
        Ok(Self {
            revision: watch::Sender::new(state.revision()),
            state: ArcSwap::from_pointee(state),
            store,
        })
    }

    /// The cluster as it stands.
    pub fn get(&self) -> Arc<ClusterState> {
        self.state.load_full()
    }

    /// The store it follows.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The revision of the state, and whenever there is a newer one.
    pub fn revisions(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// Makes a change durable and waits until the state shows it.
    ///
    /// # Errors
    /// A check of the transaction does not hold, or the store cannot write.
    pub async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let revision = self.store.commit(transaction).await?;
        if self.shows(|known| known >= revision).await {
            return Ok(revision);
        }
        Err(StoreError::Uncertain {
            place: "the change feed".into(),
            why: format!("it was made as revision {revision}, but does not arrive"),
        })
    }

    /// Waits until the state is newer than `known`: somebody else's change won a race, and is on its way here.
    pub async fn news_since(&self, known: Revision) {
        self.shows(|revision| revision > known).await;
    }

    /// Waits for a revision, though not for ever.
    async fn shows(&self, is_it: impl Fn(Revision) -> bool) -> bool {
        let mut revisions = self.revisions();
        let wait = revisions.wait_for(|revision| is_it(*revision));
        tokio::time::timeout(FEED_DELAY, wait).await.is_ok()
    }

    /// Follows the store: the only thing that changes the state. Ends when the store is closed.
    ///
    /// # Errors
    /// The store is damaged, or a record cannot be understood: whatever is served from then on would be out of date.
    pub async fn follow(&self) -> Result<(), LiveStateError> {
        loop {
            match self.follow_feed().await {
                Ok(never) => match never {},
                Err(LiveStateError::Store(StoreError::Closed)) => return Ok(()),
                Err(LiveStateError::Store(error))
                    if !matches!(error, StoreError::Damaged { .. }) =>
                {
                    tracing::warn!(%error, "the change feed broke; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn follow_feed(&self) -> Result<Infallible, LiveStateError> {
        let mut feed = match self.store.watch(self.get().revision()).await {
            Err(StoreError::Compacted { .. }) => {
                self.show(read(self.store.as_ref()).await?);
                self.store.watch(self.get().revision()).await?
            }
            feed => feed?,
        };
        loop {
            let batch = feed.next().await?;
            let mut state = ClusterState::clone(&self.get());
            state.apply(batch.revision, &batch.changes)?;
            self.show(state);
        }
    }

    fn show(&self, state: ClusterState) {
        let revision = state.revision();
        self.state.store(Arc::new(state));
        self.revision.send_replace(revision);
    }
}

/// The state as it stands. Its parts are read one after the other; what was changed meanwhile is applied again to all.
async fn read(store: &dyn Store) -> Result<ClusterState, LiveStateError> {
    loop {
        let mut records = Vec::new();
        let mut revisions = Vec::new();
        for prefix in ClusterState::PREFIXES {
            let part = store.scan(prefix).await?;
            records.extend(part.records.into_iter().map(Change::from));
            revisions.push(part.revision);
        }
        let [oldest, newest] = [
            revisions.iter().min().copied().unwrap_or_default(),
            revisions.iter().max().copied().unwrap_or_default(),
        ];
        let mut state = ClusterState::load(records, oldest)?;
        match catch_up(&mut state, newest, store).await {
            Err(LiveStateError::Store(StoreError::Compacted { .. })) => {}
            caught_up => return caught_up.map(|()| state),
        }
    }
}

async fn catch_up(
    state: &mut ClusterState,
    to: Revision,
    store: &dyn Store,
) -> Result<(), LiveStateError> {
    if state.revision() == to {
        return Ok(());
    }
    let mut feed = store.watch(state.revision()).await?;
    while state.revision() < to {
        let batch = feed.next().await?;
        state.apply(batch.revision, &batch.changes)?;
    }
    Ok(())
}
