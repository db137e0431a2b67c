//! [`Puller`]: files from whichever head has them.

use std::collections::HashMap;
use std::error::Error;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use content::PartialFile;
use model::{FileContent, FilePath, Name, Sha256Digest};
use store::LiveState;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pull::{Arriving, Pull};
use super::sources::Sources;
use super::{Peers, PullError, RateLimit, Trees};

/// A file of this size or more is large: few come at a time, and each has its place on disk reserved and goes there while
/// it arrives.
pub(super) const LARGE: u64 = 16 << 20;
/// How many files that are not large are pulled at a time.
const SMALL_PULLS: usize = 4;
/// How many large ones.
const LARGE_PULLS: usize = 2;

/// Gets files from whichever head has them. Cheap to clone.
///
/// A file arrives under a hidden name beside its own, is verified and synced, and is then given to the [`Destination`].
/// What a cut, a full disk or a restart leaves of it is gone on with the next time.
#[derive(Clone)]
pub struct Puller(Arc<Inner>);

struct Inner {
    peers: Peers,
    sources: Sources,
    trees: Trees,
    destination: Arc<dyn Destination>,
    rate: RateLimit,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    flights: Mutex<HashMap<Wanted, Flight>>,
    small: Semaphore,
    large: Semaphore,
    bytes: AtomicU64,
    files: AtomicU64,
    failures: AtomicU64,
}

/// A version of a file.
type Wanted = (FilePath, Sha256Digest);

/// A pull that is under way, for all who wait for it.
struct Flight {
    outcome: watch::Sender<Option<Result<(), PullError>>>,
    /// Cancelled when somebody waits for it: it waits for its turn and for the rate no longer.
    hurry: CancellationToken,
    size: u64,
    /// `None` while it waits for its turn.
    arriving: Option<Arc<Arriving>>,
}

/// Who takes the files that arrived.
pub trait Destination: Send + Sync + 'static {
    /// Publishes a file that is whole, verified, synced, and has its mode and time. On a thread that may wait.
    ///
    /// # Errors
    /// It is not wanted any more, or cannot be published. What is dropped unpublished stays, for the next time that it
    /// is asked for.
    fn publish(
        &self,
        path: &FilePath,
        content: &FileContent,
        file: PartialFile,
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// Who wants a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Nobody in particular: it takes its turn.
    Background,
    /// Somebody who waits for it: it does not queue behind other files, and no rate holds it back.
    Awaited,
}

/// What is being pulled.
#[derive(Clone, Debug, Default)]
pub struct PullStatus {
    /// What arrives now.
    pub running: Vec<PullProgress>,
    /// How many files wait for their turn.
    pub waiting: usize,
    /// How many bytes arrived since the start.
    pub bytes: u64,
    /// How many files were published.
    pub files: u64,
    /// How many times a file could not be had.
    pub failures: u64,
}

/// How far a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullProgress {
    /// Which one.
    pub path: FilePath,
    /// The head that it comes from, once one is asked.
    pub from: Option<Name>,
    /// How many bytes are there.
    pub received: u64,
    /// How many there are to be.
    pub size: u64,
}

impl Puller {
    /// Pulls from the heads of `state` with `peers`, into hidden files in `trees`, and hands what is whole to
    /// `destination`. When `shutdown` is cancelled, every pull ends.
    pub fn new(
        peers: Peers,
        state: Arc<LiveState>,
        trees: Trees,
        destination: Arc<dyn Destination>,
        rate: RateLimit,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            sources: Sources::new(peers.own_uid(), state),
            peers,
            trees,
            destination,
            rate,
            shutdown,
            tasks: TaskTracker::new(),
            flights: Mutex::default(),
            small: Semaphore::new(SMALL_PULLS),
            large: Semaphore::new(LARGE_PULLS),
            bytes: AtomicU64::new(0),
            files: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }))
    }

    /// Gets the file and has it published: once, however many ask for it at a time. Each other head is tried. When all
    /// who asked have gone away, it stops.
    ///
    /// # Errors
    /// No head has it, the disk does not take it, or it was not published. [`PullError::retry_after`] tells when to try
    /// again.
    pub async fn pull(
        &self,
        path: &FilePath,
        content: &FileContent,
        urgency: Urgency,
    ) -> Result<(), PullError> {
        loop {
            let mut outcome = self.join(path, content, urgency);
            let outcome = outcome.wait_for(Option::is_some).await;
            // Only a pull that was aborted says nothing.
            let outcome = outcome.map_or(None, |outcome| outcome.clone());
            match outcome.unwrap_or(Err(PullError::Stopping)) {
                // It ended because nobody wanted it, just when this one did.
                Err(PullError::Stopping) if !self.0.shutdown.is_cancelled() => {}
                outcome => return outcome,
            }
        }
    }

    /// Joins the pull of this file that is under way, or begins it.
    fn join(
        &self,
        path: &FilePath,
        content: &FileContent,
        urgency: Urgency,
    ) -> watch::Receiver<Option<Result<(), PullError>>> {
        let wanted = (path.clone(), content.sha256);
        let mut flights = self.0.flights();
        let flight = flights.entry(wanted.clone()).or_insert_with(|| {
            let flight = Flight {
                outcome: watch::Sender::new(None),
                hurry: CancellationToken::new(),
                size: content.size,
                arriving: None,
            };
            let (inner, content) = (Arc::clone(&self.0), *content);
            let (outcome, hurry) = (flight.outcome.clone(), flight.hurry.clone());
            self.0.tasks.spawn(async move {
                inner.fly(wanted, content, outcome, hurry).await;
            });
            flight
        });
        if urgency == Urgency::Awaited {
            flight.hurry.cancel();
        }
        flight.outcome.subscribe()
    }

    /// What is being pulled.
    pub fn status(&self) -> PullStatus {
        let inner = &self.0;
        let flights = inner.flights();
        let running: Vec<_> = flights
            .iter()
            .filter_map(|((path, _), flight)| {
                let arriving = flight.arriving.as_ref()?;
                Some(PullProgress {
                    path: path.clone(),
                    from: arriving.from(),
                    received: arriving.received(),
                    size: flight.size,
                })
            })
            .collect();
        PullStatus {
            waiting: flights.len() - running.len(),
            running,
            bytes: inner.bytes.load(Ordering::Relaxed),
            files: inner.files.load(Ordering::Relaxed),
            failures: inner.failures.load(Ordering::Relaxed),
        }
    }

    /// Waits until every pull has ended, after `shutdown` was cancelled.
    pub async fn closed(&self) {
        self.0.shutdown.cancelled().await;
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Inner {
    async fn fly(
        &self,
        wanted: Wanted,
        content: FileContent,
        outcome: watch::Sender<Option<Result<(), PullError>>>,
        hurry: CancellationToken,
    ) {
        let stop = self.shutdown.child_token();
        let pulled = {
            let mut pull = pin!(self.pull(&wanted, content, &hurry, &stop));
            loop {
                tokio::select! {
                    pulled = &mut pull => break pulled,
                    () = outcome.closed(), if !stop.is_cancelled() => {
                        // Somebody may have joined meanwhile.
                        if outcome.is_closed() {
                            stop.cancel();
                        }
                    }
                }
            }
        };
        match &pulled {
            Ok(()) => self.files.fetch_add(1, Ordering::Relaxed),
            Err(PullError::Stopping) => 0,
            Err(_) => self.failures.fetch_add(1, Ordering::Relaxed),
        };
        self.flights().remove(&wanted);
        outcome.send_replace(Some(pulled));
    }

    async fn pull(
        &self,
        wanted: &Wanted,
        content: FileContent,
        hurry: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<(), PullError> {
        let path = &wanted.0;
        let turn = stop.run_until_cancelled(self.turn(content.size, hurry));
        let Some(_turn) = turn.await else {
            return Err(PullError::Stopping);
        };
        let peers = self.sources.of(path);
        if peers.is_empty() {
            return Err(PullError::Alone { path: path.clone() });
        }
        let arriving = Arc::new(Arriving::default());
        if let Some(flight) = self.flights().get_mut(wanted) {
            flight.arriving = Some(Arc::clone(&arriving));
        }
        let pull = Pull {
            peers: &self.peers,
            trees: &self.trees,
            sources: &self.sources,
            rate: &self.rate,
            hurry,
            path,
            content,
            stop,
            arriving: &arriving,
            fetched: &self.bytes,
        };
        let file = pull.run(peers).await?;
        self.publish(path, content, file).await
    }

    /// The right to pull: at once for those who are in a hurry.
    async fn turn(&self, size: u64, hurry: &CancellationToken) -> Option<SemaphorePermit<'_>> {
        let queue = if size < LARGE {
            &self.small
        } else {
            &self.large
        };
        tokio::select! {
            biased;
            // They are never closed.
            turn = queue.acquire() => turn.ok(),
            () = hurry.cancelled() => None,
        }
    }

    async fn publish(
        &self,
        path: &FilePath,
        content: FileContent,
        file: PartialFile,
    ) -> Result<(), PullError> {
        let (destination, published) = (Arc::clone(&self.destination), path.clone());
        let publish = move || destination.publish(&published, &content, file);
        let outcome = spawn_blocking(publish).await;
        let refused = |reason: String| PullError::Publish {
            path: path.clone(),
            reason: reason.into(),
        };
        outcome
            .map_err(|error| refused(error.to_string()))?
            .map_err(|error| refused(error.to_string()))
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Wanted, Flight>> {
        // Each change to it is one call, so it is whole whoever panicked.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
