//! The ledger's SQLite file: rows go in, and none grows older nor the file larger than allowed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};

use super::{query::Gap, record::Fetch, row};

/// Why the ledger cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite says no.
    #[error("{path}: {source}", path = path.display())]
    Sqlite {
        /// The ledger's file.
        path: PathBuf,
        /// What is wrong.
        source: rusqlite::Error,
    },
    /// A newer version wrote the file.
    #[error(
        "{path}: has format {found}, and this version knows {FORMAT}: run the version that wrote it, or move the file away",
        path = path.display()
    )]
    Format {
        /// The ledger's file.
        path: PathBuf,
        /// The format it has.
        found: i64,
    },
}

impl Error {
    /// Whether the file itself is broken, so that trying again is no use.
    pub(super) fn is_damage(&self) -> bool {
        let Self::Sqlite { source, .. } = self else {
            return false;
        };
        matches!(
            source.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
    }
}

const FORMAT: i64 = 1;

/// Times are microseconds since 1970. Rows are found by time, or by node and time.
const SCHEMA: &str = "
    CREATE TABLE fetch (
        id            INTEGER PRIMARY KEY,
        time          INTEGER NOT NULL,
        node_uid      BLOB,
        node          TEXT,
        how           INTEGER,
        address       BLOB    NOT NULL,
        path          TEXT    NOT NULL,
        status        INTEGER NOT NULL,
        bytes         INTEGER NOT NULL,
        sent          INTEGER NOT NULL,
        complete      INTEGER NOT NULL,
        sha256        BLOB,
        elapsed       INTEGER NOT NULL,
        reason        TEXT,
        file_revision TEXT,
        node_revision INTEGER
    ) STRICT;
    CREATE INDEX fetch_by_time ON fetch (time);
    CREATE INDEX fetch_by_node ON fetch (node_uid, time) WHERE node_uid IS NOT NULL;
    CREATE TABLE gap (
        id    INTEGER PRIMARY KEY,
        since INTEGER NOT NULL,
        until INTEGER NOT NULL,
        count INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX gap_by_time ON gap (until);
    PRAGMA user_version = 1;
";

/// Rows deleted at a time: a few milliseconds, so that recording goes on between.
const CHUNK: usize = 1000;

/// How long to wait for another program that has the file open, such as `sqlite3`.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);

/// The ledger's file, open for writing.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    connection: Connection,
}

impl Database {
    /// Opens the file, or begins it.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let error = |source| Error::Sqlite {
            path: path.to_owned(),
            source,
        };
        let connection = Connection::open(path).map_err(error)?;
        match prepare(&connection).map_err(error)? {
            FORMAT => Ok(Self {
                path: path.to_owned(),
                connection,
            }),
            found => Err(Error::Format {
                path: path.to_owned(),
                found,
            }),
        }
    }

    /// The id given last; zero in a new file.
    pub(super) fn last_id(&self) -> Result<i64, Error> {
        let sql = "SELECT max(ifnull((SELECT max(id) FROM fetch), 0), ifnull((SELECT max(id) FROM gap), 0))";
        self.connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(|source| self.error(source))
    }

    /// Adds fetches with their ids, and a gap: all or nothing.
    pub(super) fn append(
        &mut self,
        fetches: &[(i64, Fetch)],
        gap: Option<&Gap>,
    ) -> Result<(), Error> {
        if fetches.is_empty() && gap.is_none() {
            return Ok(());
        }
        append(&mut self.connection, fetches, gap).map_err(|source| self.error(source))
    }

    /// Deletes some of what is older than `keep` or makes the file larger than `max_size`; true if there is more to
    /// delete.
    pub(super) fn sweep(
        &mut self,
        now: Timestamp,
        keep: Duration,
        max_size: u64,
    ) -> Result<bool, Error> {
        self.delete_surplus(now, keep, max_size)
            .map_err(|source| self.error(source))
    }

    /// Reads the whole file for damage. Slow: for when there is reason to doubt it.
    pub(super) fn check(&self) -> Result<(), Error> {
        let damaged = |why| {
            rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                why,
            )
        };
        self.connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .and_then(|finding: String| {
                if finding == "ok" {
                    Ok(())
                } else {
                    Err(damaged(Some(finding)))
                }
            })
            .map_err(|source| self.error(source))
    }

    fn delete_surplus(
        &self,
        now: Timestamp,
        keep: Duration,
        max_size: u64,
    ) -> rusqlite::Result<bool> {
        let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
        let oldest = now.as_microsecond().saturating_sub(keep);
        let mut deleted = self.connection.execute(
            &format!("DELETE FROM fetch WHERE id IN (SELECT id FROM fetch WHERE time < ?1 ORDER BY time LIMIT {CHUNK})"),
            [oldest],
        )?;
        self.connection
            .execute("DELETE FROM gap WHERE until < ?1", [oldest])?;

        // Some room below the limit, for what comes in until the next sweep.
        let allowed = max_size - max_size / 16;
        if self.size()? > allowed {
            self.shrink()?;
        }
        if self.size()? > allowed {
            deleted += self.connection.execute(
                &format!(
                    "DELETE FROM fetch WHERE id IN (SELECT id FROM fetch ORDER BY id LIMIT {CHUNK})"
                ),
                [],
            )?;
            self.connection
                .execute("DELETE FROM gap WHERE id < (SELECT min(id) FROM fetch)", [])?;
            self.shrink()?;
        }
        Ok(deleted >= CHUNK || (deleted > 0 && self.size()? > allowed))
    }

    /// Gives free pages back to the file system, and empties the write-ahead log where no reader needs it.
    fn shrink(&self) -> rusqlite::Result<()> {
        // One row is one page given back: all have to be read.
        let mut vacuum = self
            .connection
            .prepare_cached("PRAGMA incremental_vacuum")?;
        let mut freed = vacuum.query([])?;
        while freed.next()?.is_some() {}
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// Bytes on disk: the file and its write-ahead log.
    fn size(&self) -> rusqlite::Result<u64> {
        let pragma = |name| {
            self.connection
                .pragma_query_value(None, name, |row| row.get::<_, u32>(0))
        };
        let file = u64::from(pragma("page_count")?) * u64::from(pragma("page_size")?);
        let log = std::fs::metadata(with_suffix(&self.path, "-wal")).map_or(0, |log| log.len());
        Ok(file + log)
    }

    /// As if the disk were full.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(super) fn allow_no_growth(&self) {
        // SQLite takes the present size for the least.
        self.connection
            .pragma_update(None, "max_page_count", 1)
            .unwrap();
    }

    fn error(&self, source: rusqlite::Error) -> Error {
        Error::Sqlite {
            path: self.path.clone(),
            source,
        }
    }
}

/// Moves a damaged ledger aside, to `<path>.damaged-<time>`; gives the new name.
pub(super) fn move_aside(path: &Path, now: Timestamp) -> std::io::Result<PathBuf> {
    let aside = with_suffix(path, &now.strftime(".damaged-%Y%m%dT%H%M%SZ").to_string());
    std::fs::rename(path, &aside)?;
    // Left in place, the log and its index would be taken for those of the new file.
    for suffix in ["-wal", "-shm"] {
        let companion = with_suffix(path, suffix);
        if companion.exists() {
            std::fs::rename(companion, with_suffix(&aside, suffix))?;
        }
    }
    Ok(aside)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes a new connection fit for writing, and a new file a ledger; gives the format of the file.
fn prepare(connection: &Connection) -> rusqlite::Result<i64> {
    connection.busy_timeout(PATIENCE)?;
    let format = || connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let is_new = format()? == 0;
    if is_new {
        // Heeded only before the first table: it lets the file shrink.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    if is_new {
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;"))?;
    }
    format()
}

fn append(
    connection: &mut Connection,
    fetches: &[(i64, Fetch)],
    gap: Option<&Gap>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut insertion = transaction.prepare_cached(&row::insertion())?;
        for (id, fetch) in fetches {
            row::insert(&mut insertion, *id, fetch)?;
        }
    }
    if let Some(gap) = gap {
        transaction.execute(
            "INSERT INTO gap (id, since, until, count) VALUES (?1, ?2, ?3, ?4)",
            (
                gap.id,
                gap.since.as_microsecond(),
                gap.until.as_microsecond(),
                row::integer(gap.count),
            ),
        )?;
    }
    transaction.commit()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{
        query::{Filter, Page},
        reader,
        record::sample,
    };
    use super::*;

    const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

    /// A ledger in a directory of its own.
    struct Fixture {
        directory: tempfile::TempDir,
        database: Database,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let database = Database::open(&directory.path().join("ledger.db")).unwrap();
            Self {
                directory,
                database,
            }
        }

        fn holding(fetches: impl IntoIterator<Item = (i64, Fetch)>) -> Self {
            let mut fixture = Self::new();
            fixture
                .database
                .append(&Vec::from_iter(fetches), None)
                .unwrap();
            fixture
        }

        fn page(&self, filter: &Filter) -> Page {
            reader::read(&self.database.path, "head1", filter).unwrap()
        }

        /// Bytes that the directory really holds.
        fn bytes_on_disk(&self) -> u64 {
            let files = self
                .directory
                .path()
                .read_dir()
                .unwrap()
                .map(Result::unwrap);
            let ours = files.filter(|file| !file.file_name().to_string_lossy().ends_with("-shm"));
            ours.map(|file| file.metadata().unwrap().len()).sum()
        }
    }

    /// A fetch that ended so many seconds after 1970.
    fn at(second: i64) -> Fetch {
        Fetch {
            time: moment(second),
            ..sample::served()
        }
    }

    fn moment(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_too_old_goes_a_chunk_at_a_time() {
        let old = 1..=CHUNK as i64 + 1;
        let mut fixture = Fixture::holding(
            old.map(|id| (id, at(99)))
                .chain([(5000, at(100)), (5001, at(200))]),
        );
        let gap = Gap {
            id: 5002,
            since: moment(98),
            until: moment(99),
            count: 1,
        };
        fixture.database.append(&[], Some(&gap)).unwrap();

        let mut sweep = || {
            fixture
                .database
                .sweep(moment(160), Duration::from_secs(60), u64::MAX)
                .unwrap()
        };
        assert!(sweep(), "more than a chunk is too old");
        assert!(!sweep());
        let left = fixture.page(&Filter::default());
        assert_eq!(
            Vec::from_iter(left.entries.iter().map(|entry| entry.id)),
            [5001, 5000]
        );
        assert_eq!(left.gaps, []);
    }

    #[test]
    fn the_file_shrinks_to_its_limit_by_the_oldest() {
        const LIMIT: u64 = 1 << 20;
        const COUNT: i64 = 20_000;
        let mut fixture = Fixture::holding((1..=COUNT).map(|id| (id, at(id))));
        assert!(
            fixture.bytes_on_disk() > 2 * LIMIT,
            "{} bytes are too few to test with",
            fixture.bytes_on_disk()
        );

        while fixture
            .database
            .sweep(moment(COUNT), FOR_EVER, LIMIT)
            .unwrap()
        {}
        assert!(
            fixture.bytes_on_disk() <= LIMIT,
            "{} bytes are left",
            fixture.bytes_on_disk()
        );
        let most = Filter {
            limit: Filter::MOST,
            ..Filter::default()
        };
        let left: Vec<_> = fixture
            .page(&most)
            .entries
            .iter()
            .map(|entry| entry.id)
            .collect();
        assert!(
            left.len() > 1000,
            "{} fetches are left of a megabyte",
            left.len()
        );
        assert!(
            left.iter().copied().eq((1..=COUNT).rev().take(left.len())),
            "not the oldest were deleted"
        );
    }

    #[test]
    fn the_format_of_a_newer_version_is_left_alone() {
        let fixture = Fixture::new();
        fixture
            .database
            .connection
            .pragma_update(None, "user_version", 2)
            .unwrap();
        let error = Database::open(&fixture.database.path).unwrap_err();
        assert!(matches!(error, Error::Format { found: 2, .. }), "{error}");
        assert!(!error.is_damage());
    }
}
