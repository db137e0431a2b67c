//! What a database of ours looks like.

use rusqlite::Connection;

/// `PRAGMA application_id`: "PLit" in ASCII, so that `file(1)` and we can tell our databases from others.
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"PLit");

/// `PRAGMA user_version`: the version of the tables below.
pub(super) const VERSION: i32 = 1;

/// Without a rowid, a row stays inside its b-tree page only up to a quarter of the page: with SQLite's usual 4 KiB,
/// records of 1 KB would each take a page of their own.
const PAGE_SIZE: i32 = 8192;

/// `checksum` is [`super::records::checksum`]. In `changes`, a value of NULL is a deletion, and the revisions follow
/// each other without gaps.
const TABLES: &str = "
    CREATE TABLE records (
        key      TEXT    NOT NULL PRIMARY KEY,
        revision INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        value    BLOB    NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE changes (
        revision INTEGER NOT NULL,
        key      TEXT    NOT NULL,
        checksum INTEGER NOT NULL,
        value    BLOB,
        PRIMARY KEY (revision, key)
    ) STRICT, WITHOUT ROWID;
";

/// Lays out an empty database.
pub(super) fn lay_out(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    connection.execute_batch(TABLES)
}

/// Settings that are not kept in the file: every connection that writes needs them.
pub(super) fn make_durable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A checkpoint reuses the write-ahead log but does not shrink it; this does, after a large transaction.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)
}
