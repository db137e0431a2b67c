//! What a database of ours looks like.

use rusqlite::Connection;

/// `PRAGMA application_id`: "PLit" in ASCII, so that `file(1)` and we can tell our databases from others.
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"PLit");

/// `PRAGMA user_version`: the version of the tables below.
pub(super) const VERSION: i32 = 2;

/// Without a rowid, a row stays inside its b-tree page only up to a quarter of the page: with SQLite's usual 4 KiB,
/// records of 1 KB would each take a page of their own.
const PAGE_SIZE: i32 = 8192;

/// `checksum` is [`super::records::checksum`]. In `changes`, a value of NULL is a deletion, and `written` is the revision
/// of the record where that is not the one the change is told with: see [`super::replica`]. `role` has no row or one.
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
        written  INTEGER,
        PRIMARY KEY (revision, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE role (
        name    TEXT NOT NULL,
        cluster TEXT
    ) STRICT;
";

/// What version 2 has and version 1 had not.
const SINCE_VERSION_1: &str = "
    ALTER TABLE changes ADD COLUMN written INTEGER;
    CREATE TABLE role (
        name    TEXT NOT NULL,
        cluster TEXT
    ) STRICT;
";

/// Lays out an empty database.
pub(super) fn lay_out(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    connection.execute_batch(TABLES)
}

/// Makes the tables of an older version those of this one.
pub(super) fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(SINCE_VERSION_1)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Settings that are not kept in the file: every connection that writes needs them.
pub(super) fn make_durable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A checkpoint reuses the write-ahead log but does not shrink it; this does, after a large transaction.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)
}
