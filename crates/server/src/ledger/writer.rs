//! What becomes of a batch of fetches: lines in the log, rows in the ledger. Neither waits for the other's repair.

use std::{
    io::Write,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tracing::Level;

use super::{
    Settings,
    database::{self, Database, Error},
    log_line,
    query::Gap,
    record::Fetch,
    recorder::Counts,
};

/// At most one line about overload, and one gap, in this time.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How often to look for what is too old or too much.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The pause between two steps of a sweep that found much: fetches go first.
const SWEEP_PAUSE: Duration = Duration::from_millis(25);

/// Waits before trying a failing ledger again: the first; each is twice the one before, up to the last.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(60);

/// Writes batches: to the log always, to the ledger while it works.
pub(super) struct Writer {
    settings: Settings,
    path: PathBuf,
    sink: Box<dyn Write + Send>,
    /// Lines not written yet; kept for its memory.
    lines: String,
    counts: Arc<Counts>,
    database: Option<Database>,
    /// While the ledger fails: how long to wait, and until when.
    retry: Option<(Duration, Instant)>,
    last_id: i64,
    /// What the ledger does not hold, nor a gap in it.
    missing: Option<Gap>,
    /// Dropped for overload, and not yet said in the log.
    dropped: u64,
    /// When no fetch had been dropped that `missing` does not count.
    counted_at: Timestamp,
    report_at: Instant,
    sweep_at: Instant,
}

impl Writer {
    /// Opens the ledger, or says why not and goes on without.
    pub(super) fn new(
        settings: Settings,
        path: PathBuf,
        sink: Box<dyn Write + Send>,
        counts: Arc<Counts>,
        now: Instant,
    ) -> Self {
        let started = Timestamp::now();
        let mut writer = Self {
            settings,
            path,
            sink,
            lines: String::new(),
            counts,
            database: None,
            retry: None,
            // The clock's microseconds lead the count of any ledger before, even of one that is lost.
            last_id: started.as_microsecond(),
            missing: None,
            dropped: 0,
            counted_at: started,
            report_at: now,
            sweep_at: now,
        };
        writer.write(Vec::new(), 0, now);
        writer
    }

    /// Writes a batch, and counts what was dropped for overload since the last.
    pub(super) fn write(&mut self, batch: Vec<Fetch>, dropped: u64, now: Instant) {
        let batch: Vec<_> = batch
            .into_iter()
            .map(|fetch| (self.next_id(), fetch))
            .collect();
        for (id, fetch) in &batch {
            if log_line::level(fetch) <= self.settings.level {
                log_line::fetch(
                    &mut self.lines,
                    self.settings.format,
                    *id,
                    &self.settings.head,
                    fetch,
                );
            }
        }
        let clear_until = std::mem::replace(&mut self.counted_at, Timestamp::now());
        self.dropped += dropped;
        self.miss(dropped, clear_until);
        let report = now >= self.report_at && self.missing.is_some();
        if report {
            self.report_at = now + REPORT_EVERY;
            self.report_dropped();
        }
        self.flush_lines();
        self.store(&batch, report, now);
        self.flush_lines();
    }

    /// Writes what has been waiting for its moment: call it last.
    pub(super) fn finish(mut self, now: Instant) {
        self.report_at = now;
        self.write(Vec::new(), 0, now);
    }

    /// Deletes a little of what is too old or too much, when it is time for that.
    pub(super) fn sweep(&mut self, now: Instant) {
        if now < self.sweep_at {
            return;
        }
        let Settings { keep, max_size, .. } = self.settings;
        let swept = self.database.as_mut().map_or(Ok(false), |open| {
            open.sweep(Timestamp::now(), keep, max_size)
        });
        let more = swept.unwrap_or_else(|error| {
            self.give_up(&error, now);
            self.flush_lines();
            false
        });
        self.sweep_at = now + if more { SWEEP_PAUSE } else { SWEEP_EVERY };
    }

    /// How long nothing needs doing if no fetch comes.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        self.sweep_at
            .saturating_duration_since(now)
            .min(REPORT_EVERY)
    }

    /// A reader met damage: looks for itself, and begins a new ledger if it is so.
    pub(super) fn doubt(&mut self, now: Instant) {
        if let Some(Err(error)) = self.database.as_ref().map(Database::check) {
            self.give_up(&error, now);
            self.store(&[], false, now);
            self.flush_lines();
        }
    }

    fn store(&mut self, batch: &[(i64, Fetch)], report: bool, now: Instant) {
        // Twice: once more when a damaged ledger has made room for a new one.
        for _ in 0..2 {
            if self.retry.is_some_and(|(_, at)| now < at) {
                break;
            }
            match self.try_store(batch, report) {
                Ok(()) => {
                    self.counts
                        .recorded
                        .fetch_add(batch.len() as u64, Ordering::Relaxed);
                    if self.retry.take().is_some() {
                        self.say(
                            Level::WARN,
                            &format!("ledger: {}: recording again", self.path.display()),
                        );
                    }
                    return;
                }
                Err(error) => self.give_up(&error, now),
            }
        }
        if let Some((_, first)) = batch.first() {
            self.counts
                .unstored
                .fetch_add(batch.len() as u64, Ordering::Relaxed);
            self.miss(batch.len() as u64, first.time);
        }
    }

    fn try_store(&mut self, batch: &[(i64, Fetch)], report: bool) -> Result<(), Error> {
        let mut database = match self.database.take() {
            Some(database) => database,
            None => self.open()?,
        };
        // After a failure, always: only a write shows that writing works again.
        let gap = self
            .missing
            .clone()
            .filter(|_| report || self.retry.is_some());
        let gap = gap.map(|gap| Gap {
            id: self.next_id(),
            ..gap
        });
        database.append(batch, gap.as_ref())?;
        self.database = Some(database);
        if gap.is_some() {
            self.missing = None;
        }
        Ok(())
    }

    fn open(&mut self) -> Result<Database, Error> {
        let database = Database::open(&self.path)?;
        self.last_id = self.last_id.max(database.last_id()?);
        Ok(database)
    }

    /// Closes a ledger that does not work: a damaged one makes room for a new one, any other is tried again later.
    fn give_up(&mut self, error: &Error, now: Instant) {
        self.database = None;
        if error.is_damage() {
            match database::move_aside(&self.path, Timestamp::now()) {
                Ok(aside) => {
                    let aside = aside.display();
                    return self.say(
                        Level::ERROR,
                        &format!("ledger: {error}: moved aside to {aside}, a new one is begun"),
                    );
                }
                Err(stuck) => self.say(
                    Level::ERROR,
                    &format!("ledger: {error}, and cannot be moved aside: {stuck}"),
                ),
            }
        }
        let wait = self
            .retry
            .map_or(RETRY_FIRST, |(wait, _)| (wait * 2).min(RETRY_LAST));
        self.retry = Some((wait, now + wait));
        self.say(
            Level::ERROR,
            &format!(
                "ledger: {error}: fetches are logged but not recorded; next try in {} s",
                wait.as_secs()
            ),
        );
    }

    fn miss(&mut self, count: u64, since: Timestamp) {
        if count > 0 {
            let until = Timestamp::now();
            let gap = self.missing.get_or_insert(Gap {
                id: 0,
                since,
                until,
                count: 0,
            });
            gap.since = gap.since.min(since);
            gap.until = until;
            gap.count += count;
        }
    }

    fn report_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            self.say(
                Level::WARN,
                &format!("ledger: {dropped} fetches not recorded (overload)"),
            );
        }
    }

    fn say(&mut self, level: Level, message: &str) {
        if level <= self.settings.level {
            log_line::notice(
                &mut self.lines,
                self.settings.format,
                level,
                Timestamp::now(),
                message,
            );
        }
    }

    fn flush_lines(&mut self) {
        if !self.lines.is_empty() {
            // A log that cannot be written leaves nowhere to say so.
            let _ = self
                .sink
                .write_all(self.lines.as_bytes())
                .and_then(|()| self.sink.flush());
            self.lines.clear();
        }
    }

    fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, io, path::Path, sync::Mutex};

    use tracing::level_filters::LevelFilter;

    use super::super::{
        LogFormat,
        query::{Filter, Page, Position},
        reader,
        record::sample,
    };
    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Log {
        /// The writes since last asked.
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .unwrap()
                .push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Fixture {
        writer: Writer,
        log: Log,
        now: Instant,
    }

    impl Fixture {
        fn new(path: &Path) -> Self {
            Self::with_level(path, LevelFilter::INFO)
        }

        fn with_level(path: &Path, level: LevelFilter) -> Self {
            let (log, now) = (Log::default(), Instant::now());
            let settings = Settings {
                head: "head1".to_owned(),
                keep: Duration::from_secs(3600),
                max_size: 1 << 30,
                format: LogFormat::Human,
                level,
            };
            let writer = Writer::new(
                settings,
                path.to_owned(),
                Box::new(log.clone()),
                Arc::new(Counts::default()),
                now,
            );
            Self { writer, log, now }
        }

        /// Writes so many fetches, so many seconds later; gives the lines that are no fetch's, and how many are.
        fn write(&mut self, fetches: usize, dropped: u64, later: u64) -> (Vec<String>, usize) {
            self.now += Duration::from_secs(later);
            self.writer
                .write(vec![sample::served(); fetches], dropped, self.now);
            let lines = self.log.take().concat();
            let (fetches, notices): (Vec<_>, Vec<_>) = lines
                .lines()
                .partition(|line| line.contains(" INFO fetch "));
            // Without the time, which is the only thing that differs.
            (
                notices
                    .into_iter()
                    .map(|line| line.split_once(' ').unwrap().1.trim_start().to_owned())
                    .collect(),
                fetches.len(),
            )
        }

        fn unstored(&self) -> u64 {
            self.writer.counts.unstored.load(Ordering::Relaxed)
        }

        fn page(&self) -> Page {
            reader::read(&self.writer.path, "head1", &Filter::default()).unwrap()
        }

        fn counts_of_gaps(&self) -> Vec<u64> {
            self.page().gaps.iter().map(|gap| gap.count).collect()
        }
    }

    #[test]
    fn a_batch_is_one_write_and_ids_grow_over_restarts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        let mut fixture = Fixture::new(&path);
        fixture
            .writer
            .write(vec![sample::served(), sample::refused()], 0, fixture.now);
        let writes = fixture.log.take();
        assert_eq!(
            (writes.len(), writes[0].lines().count()),
            (1, 2),
            "{writes:?}"
        );
        drop(fixture);

        let mut again = Fixture::new(&path);
        again.write(1, 0, 0);
        let page = reader::read(
            &path,
            "head1",
            &Filter {
                position: Position::After(0),
                ..Filter::default()
            },
        );
        let ids: Vec<_> = page.unwrap().entries.iter().map(|entry| entry.id).collect();
        assert!(ids.len() == 3 && ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    }

    #[test]
    fn a_quiet_log_still_has_failures() {
        let directory = tempfile::tempdir().unwrap();
        let mut fixture =
            Fixture::with_level(&directory.path().join("ledger.db"), LevelFilter::WARN);
        fixture
            .writer
            .write(vec![sample::served(), sample::refused()], 0, fixture.now);
        let lines = fixture.log.take().concat();
        assert!(
            lines.lines().count() == 1 && lines.contains(" WARN fetch "),
            "{lines}"
        );
        assert_eq!(fixture.page().entries.len(), 2);
    }

    #[test]
    fn overload_is_said_once_a_second_and_kept_as_gaps() {
        let directory = tempfile::tempdir().unwrap();
        let mut fixture = Fixture::new(&directory.path().join("ledger.db"));
        let said = |count| {
            vec![format!(
                "WARN ledger: {count} fetches not recorded (overload)"
            )]
        };

        assert_eq!(fixture.write(1, 5, 0), (said(5), 1));
        assert_eq!(fixture.write(1, 6, 0), (vec![], 1));
        assert_eq!(fixture.write(1, 7, 0), (vec![], 1));
        assert_eq!(fixture.write(0, 0, 1), (said(13), 0));
        assert_eq!(fixture.counts_of_gaps(), [13, 5]);
        assert!(fixture.page().gaps.iter().all(|gap| gap.since <= gap.until));

        fixture.write(0, 3, 0);
        fixture.writer.finish(fixture.now);
        assert!(
            fixture
                .log
                .take()
                .concat()
                .ends_with("WARN ledger: 3 fetches not recorded (overload)\n")
        );
    }

    #[test]
    fn a_damaged_ledger_is_moved_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        fs::write(
            &path,
            "not a database, and long enough to be taken for one ".repeat(100),
        )
        .unwrap();
        let mut fixture = Fixture::new(&path);
        let (notices, fetches) = fixture.write(2, 0, 0);
        assert_eq!((notices.len(), fetches), (1, 2), "{notices:?}");
        assert!(
            notices[0].contains("ledger.db: file is not a database: moved aside to "),
            "{notices:?}"
        );

        assert_eq!((fixture.page().entries.len(), fixture.unstored()), (2, 0));
        let aside = notices[0]
            .split(' ')
            .find(|word| word.contains(".damaged-"))
            .unwrap();
        assert!(
            fs::read(aside.trim_end_matches(','))
                .unwrap()
                .starts_with(b"not a database")
        );
    }

    #[test]
    fn damage_that_a_reader_meets_is_looked_into() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        let mut fixture = Fixture::new(&path);
        fixture.write(2000, 0, 0);
        fixture.writer.doubt(fixture.now);
        assert_eq!(
            (fixture.log.take(), fixture.page().entries.len()),
            (vec![], 100),
            "a sound ledger stays"
        );
        drop(fixture);

        // All but the first page, which holds the schema.
        let mut bytes = fs::read(&path).unwrap();
        bytes[4096..].fill(0xff);
        fs::write(&path, bytes).unwrap();
        let mut fixture = Fixture::new(&path);
        fixture.writer.doubt(fixture.now);
        assert!(fixture.log.take().concat().contains(": moved aside to "));
        assert_eq!(fixture.write(1, 0, 0), (vec![], 1));
        assert_eq!(fixture.page().entries.len(), 1);
    }

    #[test]
    fn a_ledger_that_cannot_be_opened_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let later = directory.path().join("later");
        let mut fixture = Fixture::new(&later.join("ledger.db"));
        assert_eq!(
            fixture
                .log
                .take()
                .concat()
                .matches("next try in 1 s")
                .count(),
            1
        );

        assert_eq!(
            fixture.write(3, 0, 0),
            (vec![], 3),
            "no word for each batch"
        );
        let (notices, fetches) = fixture.write(4, 0, 1);
        assert!(
            notices.len() == 1 && notices[0].ends_with("next try in 2 s"),
            "{notices:?}"
        );
        assert_eq!((fetches, fixture.unstored()), (4, 7));

        fs::create_dir(&later).unwrap();
        assert_eq!(fixture.write(1, 0, 1), (vec![], 1), "too early to try");
        let (notices, _) = fixture.write(5, 0, 1);
        assert!(
            notices.len() == 1 && notices[0].ends_with("ledger.db: recording again"),
            "{notices:?}"
        );
        assert_eq!(
            (fixture.page().entries.len(), fixture.counts_of_gaps()),
            (5, vec![8])
        );
    }

    #[test]
    fn a_full_disk_stops_neither_the_log_nor_the_ledger_for_good() {
        let directory = tempfile::tempdir().unwrap();
        let mut fixture = Fixture::new(&directory.path().join("ledger.db"));
        fixture.write(1, 0, 0);
        fixture.writer.database.as_ref().unwrap().allow_no_growth();

        let (notices, fetches) = fixture.write(1000, 0, 0);
        assert!(
            notices.len() == 1 && notices[0].contains("database or disk is full"),
            "{notices:?}"
        );
        assert_eq!((fetches, fixture.unstored()), (1000, 1000));

        // Opened anew, the file has room again.
        let (notices, _) = fixture.write(1, 0, 1);
        assert!(
            notices.len() == 1 && notices[0].ends_with("ledger.db: recording again"),
            "{notices:?}"
        );
        assert_eq!(
            (fixture.page().entries.len(), fixture.counts_of_gaps()),
            (2, vec![1000])
        );
    }

    #[test]
    fn a_ledger_that_stays_locked_is_not_called_working() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        let mut fixture = Fixture::new(&path);
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();

        let (notices, _) = fixture.write(1, 0, 0);
        assert!(notices[0].contains("database is locked"), "{notices:?}");
        // A report just before the next try.
        fixture.now += Duration::from_millis(500);
        fixture.write(1, 0, 0);
        fixture.now += Duration::from_millis(500);
        let (notices, _) = fixture.write(0, 0, 0);
        assert!(
            notices.len() == 1 && notices[0].ends_with("next try in 2 s"),
            "{notices:?}"
        );

        drop(other);
        fixture.write(1, 0, 2);
        assert_eq!(
            (fixture.page().entries.len(), fixture.counts_of_gaps()),
            (1, vec![2])
        );
    }

    #[test]
    fn what_is_too_old_is_swept_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let mut fixture = Fixture::new(&directory.path().join("ledger.db"));
        let ancient = Fetch {
            time: Timestamp::UNIX_EPOCH,
            ..sample::served()
        };
        fixture.writer.sweep(fixture.now);
        fixture.writer.write(vec![ancient], 0, fixture.now);
        fixture.writer.sweep(fixture.now + SWEEP_EVERY / 2);
        assert_eq!(fixture.page().entries.len(), 1);
        fixture.writer.sweep(fixture.now + SWEEP_EVERY);
        assert_eq!(fixture.page().entries.len(), 0);
    }
}
