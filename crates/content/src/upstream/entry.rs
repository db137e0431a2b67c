//! What is known of one upstream file, and the answer that follows from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::copies::{Fetched, Kept};
use super::error::{Fault, FaultClass, UpstreamError};
use super::source::Upstream;

/// A file, and how far it can be relied on.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The file.
    pub fetched: Arc<Fetched>,
    /// Set when the upstream did not confirm it in time.
    pub stale: Option<Stale>,
}

/// The upstream is down: this is the last good copy.
#[derive(Debug, Clone)]
pub struct Stale {
    /// When the upstream last confirmed the copy.
    pub since: SystemTime,
    /// Why it does not now.
    pub reason: Arc<UpstreamError>,
}

/// One upstream file: at most one fetch at a time, watched by all who wait for it.
pub(super) struct Entry {
    pub(super) upstream: Upstream,
    pub(super) state: watch::Sender<State>,
    /// Held while the copy on disk is changed, so that changes keep their order.
    pub(super) disk: Mutex<()>,
    /// Counts askings over all entries, so that the one unused for longest can be found.
    last_used: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) kept: Option<Kept>,
    pub(super) last_fetch: LastFetch,
    /// Since when a fetch is under way.
    pub(super) fetching: Option<Instant>,
    /// Whether `kept` holds what was on disk.
    pub(super) looked_on_disk: bool,
}

/// How the last fetch by this process ended.
#[derive(Default)]
pub(super) enum LastFetch {
    #[default]
    None,
    /// What is kept is what the upstream had.
    Confirmed(Instant),
    Failed(Instant, Arc<UpstreamError>),
}

impl Entry {
    pub(super) fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            state: watch::Sender::new(State::default()),
            disk: Mutex::new(()),
            last_used: AtomicU64::new(0),
        }
    }

    pub(super) fn used(&self, tick: u64) {
        self.last_used.store(tick, Ordering::Relaxed);
    }

    pub(super) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    /// The answer, if no fetch is needed for it.
    pub(super) fn known(
        &self,
        refresh: Duration,
        failure_memory: Duration,
    ) -> Option<Result<Answer, UpstreamError>> {
        let state = self.state.borrow();
        let is_recent = match &state.last_fetch {
            LastFetch::None => false,
            LastFetch::Confirmed(at) => at.elapsed() < refresh,
            LastFetch::Failed(at, _) => at.elapsed() < failure_memory,
        };
        is_recent.then(|| state.answer(&self.upstream))
    }

    /// Ends the fetch under way: notes how, and changes what is kept.
    pub(super) fn settle(&self, last_fetch: LastFetch, change: impl FnOnce(&mut Option<Kept>)) {
        self.state.send_modify(|state| {
            state.last_fetch = last_fetch;
            state.fetching = None;
            change(&mut state.kept);
        });
    }

    pub(super) fn error(&self, fault: Fault) -> UpstreamError {
        UpstreamError::new(&self.upstream, fault)
    }
}

impl State {
    /// What the last fetch means, however long ago it was.
    pub(super) fn answer(&self, upstream: &Upstream) -> Result<Answer, UpstreamError> {
        match (&self.last_fetch, &self.kept) {
            (LastFetch::Confirmed(_), Some(kept)) => Ok(Answer {
                fetched: Arc::clone(&kept.fetched),
                stale: None,
            }),
            (LastFetch::Failed(_, error), _) => self.despite(error),
            (LastFetch::None, _) | (LastFetch::Confirmed(_), None) => {
                self.despite(&Arc::new(UpstreamError::new(upstream, Fault::Abandoned)))
            }
        }
    }

    /// The kept copy, unless `reason` is a decision that there is to be none.
    pub(super) fn despite(&self, reason: &Arc<UpstreamError>) -> Result<Answer, UpstreamError> {
        let is_decision = match reason.class() {
            FaultClass::Absent => true,
            // That an upstream redirects to where this head may not go is a failure of the upstream.
            FaultClass::Forbidden => !matches!(reason.fault, Fault::Redirected { .. }),
            FaultClass::NotYet | FaultClass::TooSlow | FaultClass::Invalid | FaultClass::Failed => {
                false
            }
        };
        match &self.kept {
            Some(kept) if !is_decision => Ok(Answer {
                fetched: Arc::clone(&kept.fetched),
                stale: Some(Stale {
                    since: kept.confirmed_at,
                    reason: Arc::clone(reason),
                }),
            }),
            _ => Err((**reason).clone()),
        }
    }
}
