//! [`Sources`]: which heads to ask for a file, and in which order.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{FilePath, Uid};
use store::LiveState;
use tokio::time::Instant;

use super::{ExchangeError, Peer, puller::LARGE};

/// How long a head that does not answer is spared at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// When to ask again for a file that heads have not got yet.
const SOON: Duration = Duration::from_secs(1);

/// The other heads, and which of them did not answer lately.
pub(super) struct Sources {
    own_uid: Uid,
    state: Arc<LiveState>,
    pauses: Mutex<HashMap<Uid, Pause>>,
}

struct Pause {
    length: Duration,
    end: Instant,
}

impl Sources {
    pub(super) fn new(own_uid: Uid, state: Arc<LiveState>) -> Self {
        Self {
            own_uid,
            state,
            pauses: Mutex::default(),
        }
    }

    /// All other heads, in the order to ask them: first the one that has changed the file, unless it is large and all would
    /// ask the same; then for each file another one, and last those that did not answer.
    pub(super) fn of(&self, path: &FilePath) -> Vec<Peer> {
        let state = self.state.get();
        let others = state.heads.iter().filter(|head| head.uid != self.own_uid);
        let mut peers: Vec<_> = others.map(|head| Peer::from(&**head)).collect();
        let listed = state.manifest.get(path);
        let origin = listed.and_then(|listed| {
            let content = listed.version.content?;
            (content.size < LARGE).then_some(listed.version.origin)
        });
        let now = Instant::now();
        let pauses = self.pauses();
        let is_paused = |peer: &Peer| pauses.get(&peer.uid).is_some_and(|pause| pause.end > now);
        peers.sort_by_cached_key(|peer| {
            let mut order = DefaultHasher::new();
            (path, peer.uid).hash(&mut order);
            let is_other = origin != Some(peer.uid);
            (is_paused(peer), is_other, order.finish())
        });
        peers
    }

    /// A head did as it was asked.
    pub(super) fn answered(&self, uid: Uid) {
        self.pauses().remove(&uid);
    }

    /// A head did not. Not having a file is an answer, too.
    pub(super) fn failed(&self, uid: Uid, error: &ExchangeError) {
        if matches!(
            error,
            ExchangeError::Absent { .. } | ExchangeError::OtherVersion { .. }
        ) {
            return self.answered(uid);
        }
        let now = Instant::now();
        let mut pauses = self.pauses();
        let pause = pauses.entry(uid).or_insert(Pause {
            length: FIRST_PAUSE / 2,
            end: now,
        });
        // Many pulls at a time may learn of the same failure.
        if pause.end <= now {
            pause.length = (pause.length * 2).min(LAST_PAUSE);
            pause.end = now + pause.length;
        }
    }

    /// When there is somebody to ask again.
    pub(super) fn retry_after(&self) -> Duration {
        let now = Instant::now();
        let state = self.state.get();
        let pauses = self.pauses();
        let others = state.heads.iter().filter(|head| head.uid != self.own_uid);
        let waits = others.map(|head| {
            let pause = pauses.get(&head.uid);
            pause.map_or(SOON, |pause| pause.end.saturating_duration_since(now))
        });
        waits.min().unwrap_or(SOON).max(FIRST_PAUSE)
    }

    fn pauses(&self) -> MutexGuard<'_, HashMap<Uid, Pause>> {
        // Nothing in it matters for longer than a minute.
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
