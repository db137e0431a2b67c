//! Boot files from somewhere else: HTTP servers and git repositories.
//!
//! [`Source`] says where a config comes from. [`Upstreams`] fetches what is not on this head's disk: once for many who
//! ask, at most every refresh time, and with the last good copy, which outlives a restart, while the upstream is
//! down. [`FetchPolicy`] says where this head may be made to connect to.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod connect;
mod copies;
mod credentials;
mod deadline;
mod entry;
mod error;
mod git;
mod git_access;
mod git_complaint;
mod git_file;
mod git_program;
mod http;
mod policy;
mod settings;
mod source;
mod url;

pub use copies::Fetched;
pub use entry::{Answer, Stale};
pub use error::{Fault, FaultClass, UpstreamError, UpstreamSetupError};
pub use git_file::{GitFile, Remote};
pub use policy::FetchPolicy;
pub use settings::{Check, FetchLimits, KeepLimits, UpstreamSettings};
pub use source::{HttpUrl, RegisteredFile, Source, SourceError, Upstream};

use connect::Connector;
use copies::{Copies, Fetch, Kept};
use entry::{Entry, LastFetch, State};
use git::GitClient;
use http::HttpClient;

/// Fetches files and keeps them.
///
/// Dropping it ends its fetches; [`Upstreams::close`] waits until they have ended, too.
pub struct Upstreams {
    shared: Arc<Shared>,
    /// Ends all fetches.
    closing: CancellationToken,
    fetches: TaskTracker,
}

struct Shared {
    http: HttpClient,
    git: GitClient,
    copies: Copies,
    entries: RwLock<HashMap<Upstream, Arc<Entry>>>,
    /// Advances with each asking.
    clock: AtomicU64,
    slots: Semaphore,
    settings: UpstreamSettings,
}

impl Upstreams {
    /// Prepares fetching. Blocks, for it reads certificates and tidies the directory of copies.
    ///
    /// # Errors
    /// The CA file or the directory cannot be used.
    pub fn open(settings: UpstreamSettings) -> Result<Self, UpstreamSetupError> {
        let unusable = |source: io::Error| UpstreamSetupError::Directory {
            path: settings.directory.clone(),
            source,
        };
        let copies =
            Copies::open(settings.directory.join("copies"), settings.keep).map_err(unusable)?;
        let git = GitClient::open(&settings).map_err(unusable)?;
        let http = HttpClient {
            policy: Arc::new(settings.policy.clone()),
            connector: Connector::new(settings.ca_file.as_deref())?,
            limits: settings.limits,
            credentials: settings.credentials.clone(),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                http,
                git,
                copies,
                entries: RwLock::default(),
                clock: AtomicU64::new(0),
                slots: Semaphore::new(settings.concurrent_fetches),
                settings,
            }),
            closing: CancellationToken::new(),
            fetches: TaskTracker::new(),
        })
    }

    /// The file at `upstream`, which the upstream confirmed at most `refresh` ago; else the last good copy, marked
    /// stale. Waits for a fetch if need be, but not beyond [`UpstreamSettings::patience`].
    ///
    /// # Errors
    /// There is no such file, it is forbidden to fetch it, or the fetch failed and no copy is kept. With
    /// [`FaultClass::NotYet`] the fetch goes on.
    pub async fn get(
        &self,
        upstream: &Upstream,
        refresh: Duration,
    ) -> Result<Answer, UpstreamError> {
        let entry = self.shared.entry(upstream);
        if let Some(known) = entry.known(refresh, self.shared.settings.failure_memory) {
            return known;
        }
        if self.closing.is_cancelled() {
            let error = Arc::new(entry.error(Fault::Closing));
            return entry.state.borrow().despite(&error);
        }
        // Before the fetch begins, so as not to miss its end.
        let mut state = entry.state.subscribe();
        let started = self.fetch_unless_fetching(&entry);
        let fetched = state.wait_for(|state| state.fetching != Some(started));
        let give_up = started + self.shared.settings.patience;
        if let Ok(Ok(state)) = timeout_at(give_up, fetched).await {
            return state.answer(upstream);
        }
        let error = Arc::new(entry.error(Fault::NotYet));
        entry.state.borrow().despite(&error)
    }

    /// The answer of [`Upstreams::get`], if it takes neither waiting nor a fetch.
    pub fn try_cached(
        &self,
        upstream: &Upstream,
        refresh: Duration,
    ) -> Option<Result<Answer, UpstreamError>> {
        let entry = self.shared.entry_if_known(upstream)?;
        entry.known(refresh, self.shared.settings.failure_memory)
    }

    /// Ends all fetches and waits until they have ended. Copies are still answered.
    pub async fn close(&self) {
        self.closing.cancel();
        self.fetches.close();
        self.fetches.wait().await;
    }

    /// Since when a fetch of `entry` is under way; begins one if none is.
    fn fetch_unless_fetching(&self, entry: &Arc<Entry>) -> Instant {
        let now = Instant::now();
        let mut started = now;
        let begun = entry.state.send_if_modified(|state| {
            let is_idle = state.fetching.is_none();
            started = *state.fetching.get_or_insert(now);
            is_idle
        });
        if begun {
            let fetching = Fetching {
                entry: Arc::clone(entry),
                began: now,
            };
            let shared = Arc::clone(&self.shared);
            let closing = self.closing.clone();
            self.fetches.spawn(async move {
                let entry = &fetching.entry;
                let outcome = closing.run_until_cancelled(shared.fetch(entry)).await;
                // Not cancelled: what has come is kept.
                if let Some(outcome) = outcome {
                    shared.settle(entry, outcome).await;
                }
            });
        }
        started
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// A fetch under way, until it is settled or dropped: by closing, or by a panic.
struct Fetching {
    entry: Arc<Entry>,
    began: Instant,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.entry.state.send_if_modified(|state| {
            let is_open = state.fetching == Some(self.began);
            if is_open {
                state.fetching = None;
            }
            is_open
        });
    }
}

impl Shared {
    fn entry_if_known(&self, upstream: &Upstream) -> Option<Arc<Entry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(upstream)?;
        entry.used(self.clock.fetch_add(1, Ordering::Relaxed));
        Some(Arc::clone(entry))
    }

    fn entry(&self, upstream: &Upstream) -> Arc<Entry> {
        if let Some(entry) = self.entry_if_known(upstream) {
            return entry;
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries
            .entry(upstream.clone())
            .or_insert_with(|| Arc::new(Entry::new(upstream.clone())));
        entry.used(self.clock.fetch_add(1, Ordering::Relaxed));
        Arc::clone(entry)
    }

    /// Forgets what was unused for longest, as far as the limits ask for it. It is still on disk, most often.
    fn forget_oldest(&self) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let mut by_use = Vec::new();
        for (upstream, entry) in entries.iter() {
            let state = entry.state.borrow();
            let size = state
                .kept
                .as_ref()
                .map_or(0, |kept| kept.fetched.bytes.len() as u64);
            let is_idle = state.fetching.is_none();
            by_use.push((entry.last_used(), size, is_idle, upstream.clone()));
        }
        by_use.sort_unstable_by_key(|(used, ..)| std::cmp::Reverse(*used));
        let mut bytes = 0;
        for (position, (_, size, is_idle, upstream)) in by_use.iter().enumerate() {
            bytes += size;
            let is_beyond =
                position >= self.settings.keep.files || bytes > self.settings.keep.bytes;
            // One that is being fetched is waited for.
            if is_beyond && *is_idle {
                entries.remove(upstream);
            }
        }
    }

    async fn fetch(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Fetch, Fault> {
        self.look_on_disk(entry).await;
        let kept = entry.state.borrow().kept.clone();
        // Never closed, so there is always a permit in the end.
        let _slot = self.slots.acquire().await;
        let fetch = self.ask(&entry.upstream, kept.as_ref()).await?;
        if let Fetch::New(fetched) = &fetch {
            let (check, upstream) = (self.settings.check, entry.upstream.clone());
            let bytes = fetched.bytes.clone();
            let checked = spawn_blocking(move || check(upstream.path(), &bytes)).await;
            checked
                .map_err(|_| Fault::Abandoned)?
                .map_err(Fault::Content)?;
        }
        Ok(fetch)
    }

    /// Makes the outcome of a fetch known, and then durable.
    async fn settle(self: &Arc<Self>, entry: &Arc<Entry>, outcome: Result<Fetch, Fault>) {
        match outcome {
            Ok(Fetch::New(fetched)) => {
                entry.settle(LastFetch::Confirmed(Instant::now()), |kept| {
                    *kept = Some(Kept {
                        fetched: Arc::clone(&fetched),
                        confirmed_at: SystemTime::now(),
                    });
                });
                self.on_disk(entry, move |copies, upstream| {
                    copies.store(upstream, &fetched)
                })
                .await;
            }
            Ok(Fetch::Unchanged) => {
                entry.settle(LastFetch::Confirmed(Instant::now()), |kept| {
                    if let Some(kept) = kept {
                        kept.confirmed_at = SystemTime::now();
                    }
                });
                self.on_disk(entry, Copies::confirm).await;
            }
            Err(fault) => {
                let error = Arc::new(entry.error(fault));
                let is_absent = error.class() == FaultClass::Absent;
                entry.settle(LastFetch::Failed(Instant::now(), error), |kept| {
                    if is_absent {
                        // Once the upstream has withdrawn the file, its next outage shall not bring it back.
                        *kept = None;
                    }
                });
                if is_absent {
                    self.on_disk(entry, Copies::remove).await;
                }
            }
        }
        self.forget_oldest();
    }

    async fn ask(&self, upstream: &Upstream, kept: Option<&Kept>) -> Result<Fetch, Fault> {
        match upstream {
            Upstream::Http(url) => {
                let known = kept.and_then(|kept| kept.fetched.validators.as_ref());
                self.http.fetch(&url.0, known).await
            }
            Upstream::Git(file) => {
                let known = kept.map(|kept| kept.fetched.revision.as_str());
                self.git.fetch(file, known).await
            }
        }
    }

    /// Takes the copy of an earlier process, for the case that the upstream does not answer.
    async fn look_on_disk(self: &Arc<Self>, entry: &Arc<Entry>) {
        if entry.state.borrow().looked_on_disk {
            return;
        }
        let (shared, upstream) = (Arc::clone(self), entry.upstream.clone());
        let found = spawn_blocking(move || shared.copies.load(&upstream)).await;
        let kept = match found {
            Ok(Ok(kept)) => kept,
            Ok(Err(reason)) => {
                tracing::warn!(upstream = %entry.upstream, reason, "the copy on disk is ignored");
                None
            }
            Err(_) => None,
        };
        entry.state.send_modify(|state: &mut State| {
            state.looked_on_disk = true;
            state.kept = kept;
        });
    }

    /// Changes the copy on disk. A failure there is logged, and costs the copy's survival of a restart at most.
    async fn on_disk(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        change: impl FnOnce(&Copies, &Upstream) -> io::Result<()> + Send + 'static,
    ) {
        // The next fetch may have ended before this one's copy is on disk.
        let _in_turn = entry.disk.lock().await;
        let (shared, upstream) = (Arc::clone(self), entry.upstream.clone());
        let changed = spawn_blocking(move || change(&shared.copies, &upstream)).await;
        if let Ok(Err(error)) = changed {
            tracing::warn!(upstream = %entry.upstream, %error, "the copy on disk cannot be kept up to date");
        }
    }
}
