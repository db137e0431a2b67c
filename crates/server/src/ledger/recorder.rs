//! The way from a request to the ledger: a bounded queue, and the thread that empties it.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Settings,
    database::Error,
    query::{Filter, Page},
    reader,
    record::Fetch,
    writer::Writer,
};

/// Fetches that may wait. A whole cluster that powers on fits; beyond it they are dropped and counted.
const QUEUE: usize = 32_768;

/// Fetches recorded in a second, sustained. To record one costs as much CPU as to serve one from memory: more than this,
/// and a small head would spend on its books what its nodes wait for. A cluster that powers on is a queue of seconds.
const RATE: u32 = 2_000;

/// The shortest time between two batches: enough to gather one, too short for an eye that follows the log.
const PACE: Duration = Duration::from_millis(25);

/// Fetches in a batch at most: what [`RATE`] allows in a tenth of a second.
const BATCH: usize = RATE as usize / 10;

/// How long a query waits for what was fetched before it to be recorded.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// How long closing waits for a log that takes no more lines.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Where fetches are recorded and asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    sender: Sender<Message>,
    counts: Arc<Counts>,
    path: Arc<PathBuf>,
    head: Arc<str>,
}

/// The recorder's thread. Closing or dropping it writes what is queued, and ends it.
#[derive(Debug)]
pub struct Recorder {
    sender: Sender<Message>,
    counts: Arc<Counts>,
    /// Disconnects when the thread has ended.
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// What has become of fetches since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Waiting now.
    queued: AtomicUsize,
    /// In the ledger.
    pub(super) recorded: AtomicU64,
    /// Neither logged nor recorded, for overload.
    dropped: AtomicU64,
    /// Logged but not recorded, because the ledger's file failed.
    pub(super) unstored: AtomicU64,
    /// No more fetches come: what is queued is written without regard to [`RATE`].
    closing: AtomicBool,
}

enum Message {
    Fetch(Fetch),
    /// Answer when everything before this is recorded.
    Flush(SyncSender<()>),
    /// A reader met damage in the ledger.
    Doubt,
    Close,
}

impl Ledger {
    /// Records a fetch. Never waits: with too many waiting already, it is dropped and counted.
    pub fn record(&self, fetch: Fetch) {
        let counts = &self.counts;
        let room = counts.queued.fetch_add(1, Ordering::Relaxed) < QUEUE;
        if !room || self.sender.send(Message::Fetch(fetch)).is_err() {
            counts.queued.fetch_sub(1, Ordering::Relaxed);
            counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was fetched, once all that was recorded before this call is there, or five seconds have passed. Blocks: not
    /// for async threads.
    ///
    /// # Errors
    /// When the ledger's file cannot be read.
    pub fn query(&self, filter: &Filter) -> Result<Page, Error> {
        self.flush();
        let page = reader::read(&self.path, &self.head, filter);
        if page.as_ref().is_err_and(Error::is_damage) {
            // Without a recorder there is nobody to tell, nor a ledger to mend.
            let _ = self.sender.send(Message::Doubt);
        }
        page
    }

    /// Fetches recorded since the start.
    pub fn recorded(&self) -> u64 {
        self.counts.recorded.load(Ordering::Relaxed)
    }

    /// Fetches that were neither logged nor recorded since the start, for overload.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Fetches that were logged but not recorded since the start, because the ledger's file failed.
    pub fn unstored(&self) -> u64 {
        self.counts.unstored.load(Ordering::Relaxed)
    }

    fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.sender.send(Message::Flush(done)).is_ok() {
            // Late or never: the query gives what there is.
            let _ = wait.recv_timeout(FLUSH_PATIENCE);
        }
    }
}

impl Recorder {
    /// Starts recording into the ledger at `path`, with log lines to `sink` (standard error, outside of tests). A
    /// ledger that cannot be opened is said in the log and tried again; fetches are logged meanwhile.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        settings: Settings,
        path: PathBuf,
        sink: Box<dyn Write + Send>,
    ) -> io::Result<(Ledger, Self)> {
        let (sender, inbox) = mpsc::channel();
        let (running, ended) = mpsc::channel();
        let counts = Arc::new(Counts::default());
        let ledger = Ledger {
            sender: sender.clone(),
            counts: counts.clone(),
            path: Arc::new(path.clone()),
            head: settings.head.as_str().into(),
        };
        let recorder_counts = counts.clone();
        let thread = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                let _running: Sender<()> = running;
                give_way();
                let writer = Writer::new(
                    settings,
                    path,
                    sink,
                    recorder_counts.clone(),
                    Instant::now(),
                );
                run(&inbox, &recorder_counts, writer);
            })?;
        Ok((
            ledger,
            Self {
                sender,
                counts,
                ended,
                thread: Some(thread),
            },
        ))
    }

    /// Writes what is queued, and ends the recorder. Waits at most five seconds for a log that takes no more lines.
    pub fn close(self) {}
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.counts.closing.store(true, Ordering::Relaxed);
        // A thread that has ended already needs no message.
        let _ = self.sender.send(Message::Close);
        if self.ended.recv_timeout(CLOSE_PATIENCE) == Err(RecvTimeoutError::Disconnected)
            && let Some(thread) = self.thread.take()
        {
            // A panic there has been reported by its hook.
            let _ = thread.join();
        }
    }
}

/// Leaves the cores to those who serve: this thread takes what they leave. On Linux a nice value is a thread's own
/// (sched(7)).
fn give_way() {
    if let Err(error) = rustix::process::nice(19) {
        tracing::warn!(%error, "the ledger's thread cannot give way to those that serve");
    }
}

fn run(inbox: &Receiver<Message>, counts: &Counts, mut writer: Writer) {
    let mut dropped_before = 0;
    loop {
        let first = inbox.recv_timeout(writer.idle(Instant::now()));
        let mut close = matches!(first, Err(RecvTimeoutError::Disconnected));
        let started = Instant::now();

        let mut batch = Vec::new();
        let mut flushed = Vec::new();
        let mut doubt = false;
        for message in first.into_iter().chain(inbox.try_iter()).take(BATCH) {
            match message {
                Message::Fetch(fetch) => batch.push(fetch),
                Message::Flush(done) => flushed.push(done),
                Message::Doubt => doubt = true,
                Message::Close => close = true,
            }
            if close {
                break;
            }
        }
        let taken = batch.len();
        counts.queued.fetch_sub(taken, Ordering::Relaxed);
        let dropped = counts.dropped.load(Ordering::Relaxed);
        writer.write(batch, dropped - dropped_before, started);
        dropped_before = dropped;
        for done in flushed {
            // Whoever asked may have given up.
            let _ = done.send(());
        }

        if close {
            return writer.finish(Instant::now());
        }
        if doubt {
            writer.doubt(Instant::now());
        }
        writer.sweep(Instant::now());
        if !counts.closing.load(Ordering::Relaxed) {
            let due = PACE.max(Duration::from_secs(1) * taken as u32 / RATE);
            thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{sync::mpsc::channel, time::Duration};

    use tracing::level_filters::LevelFilter;

    use super::super::{
        LogFormat, Position,
        record::{Entry, sample},
    };
    use super::*;

    fn settings() -> Settings {
        Settings {
            head: "head1".to_owned(),
            keep: Duration::from_secs(u32::MAX.into()),
            max_size: 1 << 30,
            format: LogFormat::Human,
            level: LevelFilter::INFO,
        }
    }

    /// A log that says when it is written to, and waits for leave.
    struct Gate {
        entered: Sender<()>,
        leave: Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.entered.send(());
            // Open for good once the test lets go of its side.
            let _ = self.leave.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_query_sees_the_fetch_before_it_and_follows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        let (ledger, recorder) = Recorder::start(settings(), path, Box::new(io::sink())).unwrap();
        let mut last = 0;
        for fetch in [sample::served(), sample::refused()] {
            ledger.record(fetch.clone());
            let filter = Filter {
                position: Position::After(last),
                ..Filter::default()
            };
            let [entry] = &ledger.query(&filter).unwrap().entries[..] else {
                panic!("not one entry")
            };
            assert!(entry.id > last);
            last = entry.id;
            assert_eq!(*entry, Entry::new(last, "head1", &fetch));
        }
        assert_eq!(
            (ledger.recorded(), ledger.dropped(), ledger.unstored()),
            (2, 0, 0)
        );
        recorder.close();
    }

    #[test]
    fn closing_writes_what_is_queued() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        let (ledger, recorder) = Recorder::start(settings(), path, Box::new(io::sink())).unwrap();
        let count = 5 * BATCH;
        (0..count).for_each(|_| ledger.record(sample::served()));
        recorder.close();
        assert_eq!(ledger.recorded(), count as u64);

        ledger.record(sample::served());
        assert_eq!(ledger.dropped(), 1, "a closed ledger takes no more");
        let page = ledger
            .query(&Filter {
                limit: usize::MAX,
                ..Filter::default()
            })
            .unwrap();
        assert_eq!(page.entries.len(), count.min(Filter::MOST));
    }

    #[test]
    fn what_the_queue_cannot_hold_is_dropped_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        let (entered, is_entered) = channel();
        let (let_go, leave) = channel();
        let (ledger, recorder) =
            Recorder::start(settings(), path, Box::new(Gate { entered, leave })).unwrap();
        ledger.record(sample::served());
        is_entered.recv().unwrap();

        // The recorder stands at the gate with the first.
        (0..QUEUE + 100).for_each(|_| ledger.record(sample::served()));
        assert_eq!(ledger.dropped(), 100);

        drop(let_go);
        recorder.close();
        assert_eq!(
            (ledger.recorded(), ledger.dropped()),
            (1 + QUEUE as u64, 100)
        );
        let gaps = ledger.query(&Filter::default()).unwrap().gaps;
        assert_eq!(gaps.iter().map(|gap| gap.count).sum::<u64>(), 100);
    }
}
