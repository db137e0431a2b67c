//! The task that keeps the files of a head and the manifest alike.
//!
//! It owns all that is known: what lies [here](Here), what was agreed on, what the manifest says. What takes time is
//! [work](Work) done beside it, at most one piece for each file at a time; whenever something becomes known of a file,
//! it decides anew what is to be done about it.

mod disk;
mod manifest;
mod reporting;
mod steps;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use content::{FileState, Watch};
use model::{FileContent, FilePath, Manifest, Revision, Sha256Digest, Tree};
use store::LiveState;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::agreements::Agreements;
use super::arrivals::Arrivals;
use super::files::{Directory, Files};
use super::{ReplicationError, Report, Settings, Source};
use disk::Looked;
use manifest::Change;
use steps::Plan;

/// How often the directories are looked at, whatever the kernel tells of them.
const RESCAN: Duration = Duration::from_secs(30);
/// What was agreed on is kept this often at most, when nothing waits for it.
const SAVING: Duration = Duration::from_secs(1);
/// The same when something does.
const SAVING_AWAITED: Duration = Duration::from_millis(100);
/// How long what failed rests.
const RETRY: Duration = Duration::from_secs(2);
/// The report is made anew this often at most.
const REPORTING: Duration = Duration::from_millis(100);
/// How often old tombstones are looked for.
const BURYING: Duration = Duration::from_secs(3600);

/// What the task is asked for.
#[derive(Debug)]
pub(super) enum Command {
    /// To look at a file that was changed here, and to answer once the manifest has it.
    Publish {
        path: FilePath,
        done: oneshot::Sender<Result<(), ReplicationError>>,
    },
    /// To get a file before all others, and to answer once it is here.
    Fetch {
        path: FilePath,
        done: oneshot::Sender<()>,
    },
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Here {
    /// No file.
    Absent,
    /// This one.
    File {
        state: FileState,
        sha256: Sha256Digest,
        is_settled: bool,
    },
    /// Nobody can tell.
    Unknown(String),
}

impl Here {
    fn content(&self) -> Option<FileContent> {
        match self {
            Self::File { state, sha256, .. } => Some(FileContent {
                sha256: *sha256,
                size: state.id.size,
                mode: state.mode,
                mtime: state.mtime(),
            }),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    fn state(&self) -> Option<FileState> {
        match self {
            Self::File { state, .. } => Some(*state),
            Self::Absent | Self::Unknown(_) => None,
        }
    }
}

/// What came of a piece of work.
enum Work {
    Looked(Looked),
    /// A file was read; `None` when there is none.
    Read(
        FilePath,
        Result<Option<content::Hashed>, super::files::FileError>,
    ),
    /// Mode and time of a file were set, it was deleted, or it arrived.
    Changed(FilePath, Result<(), Failure>),
    Saved(u64, std::io::Result<()>),
    Committed(Vec<Change>, Result<Revision, store::StoreError>),
    /// Of no consequence.
    Done,
}

/// Why something could not be done about a file.
struct Failure {
    reason: String,
    retry_after: Duration,
}

/// See the [module](self).
pub(super) struct Sync {
    settings: Settings,
    live: Arc<LiveState>,
    arrivals: Arc<Arrivals>,
    source: Arc<dyn Source>,
    reports: watch::Sender<Arc<Report>>,
    closing: CancellationToken,

    agreements: Agreements,
    /// As it was when it was last compared.
    manifest: Manifest,
    revision: Revision,
    here: HashMap<FilePath, Here>,
    symbolic_links: BTreeMap<Tree, u64>,
    /// Directories that cannot be read, and why: nothing is known of what lies there.
    unreadable: BTreeMap<Directory, String>,
    conflicts: u64,

    /// Files that are to be decided about.
    dirty: HashSet<FilePath>,
    /// Files that something is being done about.
    /// Of those that are pulled, what, and the task that does.
    busy: HashMap<FilePath, Option<(FileContent, AbortHandle)>>,
    /// What is to be done once it is on disk that it is to be done.
    plans: HashMap<FilePath, Plan>,
    /// Versions that were being pulled and are not wanted any more: what came of them is to be removed.
    abandoned: HashSet<(FilePath, Sha256Digest)>,
    /// Files to be read.
    unread: BTreeSet<FilePath>,
    reading: HashSet<FilePath>,
    /// Files that may still be written to, and when they were first seen as they are.
    arriving: HashMap<FilePath, (FileState, Instant)>,
    /// Files that nothing can be done about now: when to try again, and why.
    resting: HashMap<FilePath, (Instant, String)>,
    publishing: HashMap<FilePath, Vec<oneshot::Sender<Result<(), ReplicationError>>>>,
    fetching: HashMap<FilePath, Vec<oneshot::Sender<()>>>,

    work: JoinSet<Work>,
    heard: Arc<Heard>,
    watch: Option<Arc<Watch>>,
    looks: u64,
    is_looking: bool,
    look_at: Instant,
    is_committing: bool,
    /// When the store may be tried again, if it failed.
    commit_at: Option<Instant>,
    saved: u64,
    is_saving: bool,
    save_at: Instant,
    report_at: Option<Instant>,
    bury_at: Instant,
    has_faults: bool,
}

/// What the kernel told.
#[derive(Default)]
struct Heard {
    something: Notify,
    written: Mutex<HashSet<PathBuf>>,
}

impl Sync {
    pub(super) fn new(
        settings: Settings,
        live: Arc<LiveState>,
        arrivals: Arc<Arrivals>,
        source: Arc<dyn Source>,
        reports: watch::Sender<Arc<Report>>,
        closing: CancellationToken,
    ) -> Self {
        let heard = Arc::new(Heard::default());
        let watch = Watch::new("replication", {
            let heard = Arc::clone(&heard);
            move |written| {
                let mut all = heard.written.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend(written);
                drop(all);
                heard.something.notify_one();
            }
        });
        let watch = watch.inspect_err(|error| {
            tracing::warn!(%error, "changed files are noticed late: the directories cannot be watched");
        });
        let now = Instant::now();
        Self {
            live,
            arrivals,
            source,
            reports,
            closing,
            agreements: Agreements::load(settings.directory.join("replication.json")),
            settings,
            manifest: Manifest::default(),
            revision: Revision::default(),
            here: HashMap::new(),
            symbolic_links: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            conflicts: 0,
            dirty: HashSet::new(),
            busy: HashMap::new(),
            plans: HashMap::new(),
            abandoned: HashSet::new(),
            unread: BTreeSet::new(),
            reading: HashSet::new(),
            arriving: HashMap::new(),
            resting: HashMap::new(),
            publishing: HashMap::new(),
            fetching: HashMap::new(),
            work: JoinSet::new(),
            heard,
            watch: watch.ok().map(Arc::new),
            looks: 0,
            is_looking: false,
            look_at: now,
            is_committing: false,
            commit_at: None,
            saved: 0,
            is_saving: false,
            save_at: now,
            report_at: Some(now),
            bury_at: now,
            has_faults: false,
        }
    }

    /// Works until `closing`.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut revisions = self.live.revisions();
        for (path, digest) in self.agreements.digests() {
            self.files().learn(path.clone(), digest);
        }
        self.compare();
        loop {
            self.advance();
            let wake = self.wake();
            tokio::select! {
                () = self.closing.cancelled() => break,
                // The sender lives as long as `live`.
                _ = revisions.changed() => self.compare(),
                Some(command) = commands.recv() => self.obey(command),
                Some(work) = self.work.join_next() => match work {
                    Ok(work) => self.finish(work),
                    Err(ended) if ended.is_cancelled() => {}
                    Err(panic) => tracing::error!(%panic, "a file was not kept alike"),
                },
                () = self.heard.something.notified() => {
                    self.look_at = self.look_at.min(Instant::now() + disk::BURST);
                }
                () = sleep_until(wake) => {}
            }
        }
        self.work.shutdown().await;
        let arrivals = Arc::clone(&self.arrivals);
        let placed = tokio::task::spawn_blocking(move || arrivals.close()).await;
        for (path, agreed) in placed.unwrap_or_default() {
            self.agreements.agree(&path, Some((agreed, None)));
        }
        let snapshot = self.agreements.snapshot();
        let saved = tokio::task::spawn_blocking(move || snapshot.save()).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "what was agreed on about files is not kept");
        }
    }

    fn files(&self) -> &Arc<Files> {
        self.arrivals.files()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Publish { path, done } => {
                self.publishing.entry(path.clone()).or_default().push(done);
                self.resting.remove(&path);
                // Whoever asks has written all of it.
                self.arriving.remove(&path);
                self.commit_at = None;
                self.read_soon(path);
            }
            Command::Fetch { path, done } => {
                self.resting.remove(&path);
                if self.busy.contains_key(&path) {
                    self.hurry(&path);
                }
                self.dirty.insert(path.clone());
                self.fetching.entry(path).or_default().push(done);
            }
        }
    }

    fn finish(&mut self, work: Work) {
        match work {
            Work::Looked(looked) => self.looked(looked),
            Work::Read(path, outcome) => self.read(path, outcome),
            Work::Changed(path, outcome) => self.changed(path, outcome),
            Work::Saved(change, outcome) => self.saved(change, outcome),
            Work::Committed(changes, outcome) => self.committed(changes, outcome),
            Work::Done => {}
        }
    }

    /// Begins what can be begun.
    fn advance(&mut self) {
        let now = Instant::now();
        self.take_settled(now);
        if now >= self.look_at && !self.is_looking {
            self.look();
        }
        self.take_rested(now);
        self.read_next();
        self.decide();
        self.act(now);
        self.complete();
        if now >= self.bury_at && self.is_looked() {
            self.bury_at = now + BURYING;
            self.bury();
        }
        if self.save_due().is_some_and(|due| now >= due) {
            self.save();
        }
        if self.report_at.is_some_and(|at| now >= at) {
            self.report_at = None;
            self.report();
        }
    }

    /// When there is something to begin, at the latest.
    fn wake(&self) -> Instant {
        let look = (!self.is_looking).then_some(self.look_at);
        let rested = self.resting.values().map(|(at, _)| *at).min();
        let settled = self
            .arriving
            .values()
            .map(|(_, since)| *since + disk::SETTLING);
        let settled = settled.min().filter(|_| !self.is_looking);
        let commit = self.commit_at.filter(|_| !self.is_committing);
        let others = [
            look,
            rested,
            settled,
            commit,
            self.save_due(),
            self.report_at,
        ];
        let wake = others.into_iter().flatten().min();
        wake.unwrap_or(self.bury_at).min(self.bury_at)
    }

    /// Whether all directories were looked at once.
    fn is_looked(&self) -> bool {
        self.looks > 0
    }

    /// Remembers that a file that there is no account of is new from now on, once all others are accounted for.
    fn complete(&mut self) {
        if self.agreements.is_complete()
            || !self.is_looked()
            || !self.unreadable.is_empty()
            || !self.dirty.is_empty()
            || !self.unread.is_empty()
            || !self.reading.is_empty()
            || !self.arriving.is_empty()
        {
            return;
        }
        // Those that are still to be published or to come.
        let open = self
            .manifest
            .iter()
            .map(|(path, _)| path)
            .chain(self.here.keys());
        self.agreements.complete(open);
    }

    fn save_due(&self) -> Option<Instant> {
        if self.is_saving || self.agreements.change() == self.saved {
            return None;
        }
        let is_awaited = self.plans.values().any(|plan| plan.noted() > self.saved);
        Some(if is_awaited {
            self.save_at
        } else {
            self.save_at + SAVING - SAVING_AWAITED
        })
    }

    fn save(&mut self) {
        self.is_saving = true;
        let snapshot = self.agreements.snapshot();
        self.work
            .spawn_blocking(move || Work::Saved(snapshot.change, snapshot.save()));
    }

    fn saved(&mut self, change: u64, outcome: std::io::Result<()>) {
        self.is_saving = false;
        self.save_at = Instant::now() + SAVING_AWAITED;
        match outcome {
            Ok(()) => self.saved = change,
            Err(error) => {
                self.save_at = Instant::now() + RETRY;
                let plans: Vec<_> = self.plans.keys().cloned().collect();
                for path in plans {
                    self.refuse(
                        &path,
                        &format!("cannot note what is to be done: {error}"),
                        RETRY,
                    );
                }
            }
        }
    }

    /// Has the report made anew.
    fn report_soon(&mut self) {
        self.report_at.get_or_insert(Instant::now() + REPORTING);
    }
}
