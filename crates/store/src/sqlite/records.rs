//! Table `records`: the state itself.

use std::collections::HashSet;

use bytes::Bytes;
use model::{Change, Expect, Key, Revision, Transaction};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

use super::log;
use crate::{Record, Snapshot, StoreError};

/// What became of a transaction that SQLite carried out without fault.
pub(super) enum Verdict {
    /// It made the revision.
    Changed,
    /// It holds, and changes nothing.
    Unchanged,
    /// It must not be; nothing was written.
    Refused(StoreError),
}

/// Carries out `transaction` as `revision`, inside the SQL transaction that is open.
pub(super) fn apply(
    connection: &Connection,
    transaction: &Transaction,
    revision: Revision,
) -> rusqlite::Result<Verdict> {
    for (key, expect) in &transaction.checks {
        let found = revision_of(connection, key)?;
        let holds = match expect {
            Expect::Absent => found.is_none(),
            Expect::Present => found.is_some(),
            Expect::At(expected) => found == Some(*expected),
        };
        if !holds {
            return Ok(Verdict::Refused(StoreError::Conflict { key: key.clone() }));
        }
    }
    let mut written = HashSet::new();
    for (key, _) in &transaction.writes {
        if !written.insert(key) {
            return Ok(Verdict::Refused(StoreError::WrittenTwice {
                key: key.clone(),
            }));
        }
    }
    let mut verdict = Verdict::Unchanged;
    for (key, value) in &transaction.writes {
        let changed = match value {
            Some(value) => {
                put(connection, key, value, revision)?;
                true
            }
            None => delete(connection, key)?,
        };
        if changed {
            let change = Change {
                key: key.clone(),
                value: value.clone(),
                revision,
            };
            log::append(connection, &change, revision)?;
            verdict = Verdict::Changed;
        }
    }
    Ok(verdict)
}

/// The record under `key`.
pub(super) fn get(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Record>> {
    connection
        .prepare_cached("SELECT key, revision, checksum, value FROM records WHERE key = ?")?
        .query_row([key.as_str()], record)
        .optional()
}

/// The records whose key begins with `prefix`, and the revision of the store they belong to.
pub(super) fn scan(connection: &Connection, prefix: &str) -> rusqlite::Result<Snapshot> {
    // Two statements, one moment.
    let moment = connection.unchecked_transaction()?;
    let revision = log::head(&moment)?;
    let mut records = Vec::new();
    let mut statement = moment.prepare_cached(
        "SELECT key, revision, checksum, value FROM records WHERE key >= ? ORDER BY key",
    )?;
    for found in statement.query_map([prefix], record)? {
        let found = found?;
        if !found.key.as_str().starts_with(prefix) {
            break;
        }
        records.push(found);
    }
    Ok(Snapshot { records, revision })
}

fn revision_of(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Revision>> {
    connection
        .prepare_cached("SELECT revision FROM records WHERE key = ?")?
        .query_row([key.as_str()], |row| row.get(0).map(Revision))
        .optional()
}

pub(super) fn put(
    connection: &Connection,
    key: &Key,
    value: &Bytes,
    revision: Revision,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO records (key, revision, checksum, value) VALUES (?, ?, ?, ?)",
        )?
        .execute((
            key.as_str(),
            revision.0,
            checksum(key.as_str(), revision, Some(value)),
            &value[..],
        ))?;
    Ok(())
}

/// Deletes `key`; whether it was there.
pub(super) fn delete(connection: &Connection, key: &Key) -> rusqlite::Result<bool> {
    let rows = connection
        .prepare_cached("DELETE FROM records WHERE key = ?")?
        .execute([key.as_str()])?;
    Ok(rows > 0)
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let change = change(row)?;
    Ok(Record {
        key: change.key,
        // The column is NOT NULL, and the checksum tells a null from an empty value.
        value: change.value.unwrap_or_default(),
        revision: change.revision,
    })
}

/// Reads the columns key, revision, checksum, value of either table, and proves them by the checksum.
pub(super) fn change(row: &Row<'_>) -> rusqlite::Result<Change> {
    let key: String = row.get(0)?;
    let revision = Revision(row.get(1)?);
    let value: Option<Vec<u8>> = row.get(3)?;
    if row.get::<_, u32>(2)? != checksum(&key, revision, value.as_deref()) {
        return Err(rusqlite::Error::FromSqlConversionFailure(
            2,
            Type::Integer,
            format!("{key} as written by revision {revision} does not match its checksum").into(),
        ));
    }
    Ok(Change {
        key: Key::new(key),
        value: value.map(Bytes::from),
        revision,
    })
}

/// CRC-32 over a row: SQLite notices damage to its own structure, but not to what is stored in it.
pub(super) fn checksum(key: &str, revision: Revision, value: Option<&[u8]>) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key.as_bytes());
    crc.update(&revision.0.to_be_bytes());
    crc.update(&[u8::from(value.is_some())]);
    crc.update(value.unwrap_or_default());
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_covers_every_column() {
        let whole = checksum("a", Revision(1), Some(b""));
        assert_ne!(whole, checksum("b", Revision(1), Some(b"")));
        assert_ne!(whole, checksum("a", Revision(2), Some(b"")));
        assert_ne!(whole, checksum("a", Revision(1), None));
        assert_ne!(whole, checksum("a", Revision(1), Some(b"\0")));
    }
}
