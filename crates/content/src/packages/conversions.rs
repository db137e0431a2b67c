//! Which tars are being made of rpms: each once, however many ask.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use package::Kind;
use package::rpm::Limits;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::conversion::convert;
use super::index::{Index, lock};
use super::{Conversion, Entry, Listing, PackagesError};
use crate::{ContentError, Sha256Digest};

/// When one who was told to wait shall ask again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// For how long a failure that is not the rpm's fault is the answer: a full disk is not filled anew for each request.
const FAILURE_MEMORY: Duration = Duration::from_secs(10);

/// All conversions, one at a time: each uses all processors, and memory for one is set aside.
pub(super) struct Conversions {
    pub(super) index: Arc<Index>,
    pub(super) limits: Limits,
    wait: Duration,
    /// By the digest of the rpm. Of those that are done, the listing has the tar.
    states: Mutex<HashMap<Sha256Digest, State>>,
    turn: Semaphore,
    pub(super) closing: CancellationToken,
    tasks: TaskTracker,
}

enum State {
    Running(Arc<Running>),
    Failed(Failure),
}

/// A conversion under way, or waiting for its turn.
#[derive(Default)]
pub(super) struct Running {
    /// How many bytes of the rpm are read.
    pub(super) read: AtomicU64,
    ended: CancellationToken,
}

/// Why there is no tar.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// `None`: it is the rpm's fault, and will be as long as the rpm is what it is.
    until: Option<Instant>,
}

impl Failure {
    pub(super) fn of_rpm(reason: String) -> Self {
        let until = None;
        Self { reason, until }
    }

    pub(super) fn of_head(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            until: Some(Instant::now() + FAILURE_MEMORY),
        }
    }

    fn is_remembered(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }

    fn error(self, rpm: &Entry) -> PackagesError {
        let (rpm, reason) = (rpm.file.clone(), self.reason);
        match self.until {
            None => PackagesError::Conversion { rpm, reason },
            Some(_) => PackagesError::Unconverted { rpm, reason },
        }
    }
}

impl From<ContentError> for Failure {
    fn from(error: ContentError) -> Self {
        Self::of_head(error.to_string())
    }
}

/// What is known of the tar of an rpm.
enum Known {
    Tar(Arc<Entry>),
    Running(Arc<Running>),
    Failed(Failure),
    Nothing,
}

impl Conversions {
    pub(super) fn new(
        index: Arc<Index>,
        limits: Limits,
        wait: Duration,
        closing: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            index,
            limits,
            wait,
            states: Mutex::default(),
            turn: Semaphore::new(1),
            closing,
            tasks,
        }
    }

    /// The tar of `rpm`. Makes it if need be, and waits for it.
    pub(super) async fn tar(
        self: &Arc<Self>,
        rpm: &Arc<Entry>,
    ) -> Result<Arc<Entry>, PackagesError> {
        let sha256 = digest_of_whole(rpm)?;
        if let Known::Running(running) = self.begin(rpm, sha256)
            && timeout(self.wait, running.ended.cancelled()).await.is_err()
        {
            return Err(converting(rpm));
        }
        match self.known(rpm, sha256) {
            Known::Tar(tar) => Ok(tar),
            Known::Failed(failure) => Err(failure.error(rpm)),
            Known::Running(_) | Known::Nothing if self.closing.is_cancelled() => {
                Err(PackagesError::Closing)
            }
            // Made, and deleted since.
            Known::Running(_) | Known::Nothing => Err(converting(rpm)),
        }
    }

    /// How far it is with `rpm`.
    pub(super) fn conversion(&self, rpm: &Entry) -> Conversion {
        let Some(sha256) = rpm.sha256().filter(|_| rpm.kind() == Kind::Rpm) else {
            return Conversion::Idle;
        };
        match self.known(rpm, sha256) {
            Known::Tar(tar) => Conversion::Done {
                tar: tar.file.clone(),
            },
            Known::Running(running) => Conversion::Running {
                read: running.read.load(Ordering::Relaxed),
            },
            Known::Failed(Failure { reason, .. }) => Conversion::Failed { reason },
            Known::Nothing => Conversion::Idle,
        }
    }

    /// Makes the tar of each rpm that arrives, until closing.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut changes = self.index.subscribe();
        loop {
            let listing = Arc::clone(&changes.borrow_and_update());
            let next = listing
                .is_complete()
                .then(|| self.next_of(&listing))
                .flatten();
            let ended = match next.and_then(|rpm| Some((rpm.sha256()?, rpm))) {
                Some((sha256, rpm)) => match self.begin(rpm, sha256) {
                    Known::Running(running) => running.ended.clone(),
                    _ => continue,
                },
                None => {
                    tokio::select! {
                        () = self.closing.cancelled() => return,
                        changed = changes.changed() => match changed {
                            Ok(()) => continue,
                            Err(_) => return,
                        },
                    }
                }
            };
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = ended.cancelled() => {}
            }
        }
    }

    /// The next rpm that should be a tar: the newest of its name and architecture, if no administrator gave a tar.
    fn next_of<'a>(&self, listing: &'a Listing) -> Option<&'a Arc<Entry>> {
        listing.newest_of_each(Kind::Rpm).find(|rpm| {
            let Ok(package) = &rpm.content else {
                return false;
            };
            let mut tars = listing.named_entries(Kind::Tar, &package.identity.name);
            let is_given = tars.any(|tar| tar.package().is_some_and(|tar| tar.made_of.is_none()));
            !is_given && matches!(self.known(rpm, package.sha256), Known::Nothing)
        })
    }

    fn known(&self, rpm: &Entry, sha256: Sha256Digest) -> Known {
        self.known_of(&lock(&self.states), rpm, sha256)
    }

    fn known_of(
        &self,
        states: &HashMap<Sha256Digest, State>,
        rpm: &Entry,
        sha256: Sha256Digest,
    ) -> Known {
        let listing = self.index.listing();
        let tar = rpm
            .package()
            .and_then(|package| listing.tar_made_of(&package.identity.name, sha256));
        match (tar, states.get(&sha256)) {
            (Some(tar), _) => Known::Tar(Arc::clone(tar)),
            (None, Some(State::Running(running))) => Known::Running(Arc::clone(running)),
            (None, Some(State::Failed(failure))) if failure.is_remembered() => {
                Known::Failed(failure.clone())
            }
            (None, _) => Known::Nothing,
        }
    }

    /// What is known of the tar of `rpm`; if nothing is, its conversion begins.
    fn begin(self: &Arc<Self>, rpm: &Arc<Entry>, sha256: Sha256Digest) -> Known {
        let mut states = lock(&self.states);
        let known = self.known_of(&states, rpm, sha256);
        if !matches!(known, Known::Nothing) {
            return known;
        }
        let running = Arc::new(Running::default());
        states.insert(sha256, State::Running(Arc::clone(&running)));
        let (this, rpm) = (Arc::clone(self), Arc::clone(rpm));
        self.tasks.spawn({
            let running = Arc::clone(&running);
            async move {
                let outcome = this.run(&rpm, &running).await;
                this.settle(&rpm, sha256, outcome);
                running.ended.cancel();
            }
        });
        Known::Running(running)
    }

    async fn run(
        self: &Arc<Self>,
        rpm: &Arc<Entry>,
        running: &Arc<Running>,
    ) -> Result<(), Failure> {
        let turn = self.closing.run_until_cancelled(self.turn.acquire()).await;
        let Some(Ok(_turn)) = turn else {
            return Err(Failure::of_head("this head is shutting down"));
        };
        let (this, rpm, running) = (Arc::clone(self), Arc::clone(rpm), Arc::clone(running));
        let converted = self
            .tasks
            .spawn_blocking(move || convert(&this, &rpm, &running))
            .await;
        converted.unwrap_or_else(|panic| Err(Failure::of_rpm(panic.to_string())))
    }

    fn settle(&self, rpm: &Entry, sha256: Sha256Digest, outcome: Result<(), Failure>) {
        let mut states = lock(&self.states);
        states.remove(&sha256);
        if let Err(failure) = outcome {
            let reason = &failure.reason;
            tracing::warn!(rpm = %rpm.file, reason, "it cannot be made a tar");
            self.forget(&mut states);
            states.insert(sha256, State::Failed(failure));
        }
    }

    /// Forgets the failures of rpms that are there no more.
    fn forget(&self, states: &mut HashMap<Sha256Digest, State>) {
        let listing = self.index.listing();
        let there: HashSet<_> = listing
            .entries()
            .filter_map(|entry| entry.sha256())
            .collect();
        states.retain(|sha256, state| matches!(state, State::Running(_)) || there.contains(sha256));
    }
}

fn digest_of_whole(rpm: &Entry) -> Result<Sha256Digest, PackagesError> {
    match &rpm.content {
        Ok(package) => Ok(package.sha256),
        Err(fault) => Err(PackagesError::Broken {
            file: rpm.file.clone(),
            reason: fault.reason.clone(),
        }),
    }
}

fn converting(rpm: &Entry) -> PackagesError {
    PackagesError::Converting {
        rpm: rpm.file.clone(),
        retry_after: RETRY_AFTER,
    }
}
