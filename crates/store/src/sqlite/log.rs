//! Table `changes`: what the last revisions changed.

use std::collections::VecDeque;

use bytes::Bytes;
use model::{Change, Key, Revision};
use rusqlite::Connection;

use super::records::{change, checksum};
use crate::{Batch, StoreError};

/// How many revisions the log holds at least.
pub(super) const KEPT: u64 = 10_000;
/// How many more may gather before they are trimmed together.
const SLACK: u64 = 1_000;

/// Bytes of values after which a page of the log ends, at the next revision.
const PAGE_BYTES: usize = 1 << 20;
/// Changes after which a page of the log ends, at the next revision.
const PAGE_CHANGES: usize = 1_000;

/// The revision of the store.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<Revision> {
    let newest = connection
        .prepare_cached("SELECT max(revision) FROM changes")?
        .query_row([], |row| row.get::<_, Option<u64>>(0))?;
    Ok(Revision(newest.unwrap_or(0)))
}

/// Notes one change.
pub(super) fn append(
    connection: &Connection,
    key: &Key,
    value: Option<&Bytes>,
    revision: Revision,
) -> rusqlite::Result<()> {
    let value = value.map(|value| &value[..]);
    connection
        .prepare_cached("INSERT INTO changes (revision, key, checksum, value) VALUES (?, ?, ?, ?)")?
        .execute((
            revision.0,
            key.as_str(),
            checksum(key.as_str(), revision, value),
            value,
        ))?;
    Ok(())
}

/// Forgets what is too old, now and then.
pub(super) fn trim(connection: &Connection, head: Revision) -> rusqlite::Result<()> {
    let oldest = connection
        .prepare_cached("SELECT min(revision) FROM changes")?
        .query_row([], |row| row.get::<_, Option<u64>>(0))?;
    if oldest.is_some_and(|oldest| oldest + KEPT + SLACK <= head.0) {
        connection
            .prepare_cached("DELETE FROM changes WHERE revision <= ?")?
            .execute([head.0 - KEPT])?;
    }
    Ok(())
}

/// The batches that follow revision `after`, as many as make a page; none when there is nothing newer.
pub(super) fn page(
    connection: &Connection,
    after: Revision,
) -> rusqlite::Result<Result<VecDeque<Batch>, StoreError>> {
    let mut batches: VecDeque<Batch> = VecDeque::new();
    let (mut bytes, mut changes) = (0, 0);
    let mut statement = connection.prepare_cached(
        "SELECT key, revision, checksum, value FROM changes WHERE revision > ? ORDER BY revision, key",
    )?;
    for found in statement.query_map([after.0], change)? {
        let found = found?;
        let size = found.value.as_ref().map_or(0, Bytes::len);
        match batches.back_mut() {
            Some(batch) if batch.revision == found.revision => batch.changes.push(found),
            Some(_) if bytes >= PAGE_BYTES || changes >= PAGE_CHANGES => break,
            // Revisions have no gaps, so a gap is what has been trimmed.
            None if found.revision.0 != after.0 + 1 => {
                let oldest = Revision(found.revision.0 - 1);
                return Ok(Err(StoreError::Compacted { oldest }));
            }
            _ => batches.push_back(batch_of(found)),
        }
        bytes += size;
        changes += 1;
    }
    Ok(Ok(batches))
}

fn batch_of(first: Change) -> Batch {
    Batch {
        revision: first.revision,
        changes: vec![first],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

    fn logged(revisions: std::ops::RangeInclusive<u64>, value: &Bytes) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        schema::lay_out(&connection).unwrap();
        for revision in revisions {
            append(&connection, &Key::new("a"), Some(value), Revision(revision)).unwrap();
        }
        connection
    }

    fn oldest(connection: &Connection) -> u64 {
        connection
            .query_row("SELECT min(revision) FROM changes", [], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn the_log_is_trimmed_to_what_is_kept_once_enough_has_gathered() {
        let connection = logged(1..=KEPT + SLACK, &Bytes::new());
        trim(&connection, Revision(KEPT + SLACK)).unwrap();
        assert_eq!(oldest(&connection), 1);

        let head = Revision(KEPT + SLACK + 1);
        append(&connection, &Key::new("a"), None, head).unwrap();
        trim(&connection, head).unwrap();
        assert_eq!(oldest(&connection), head.0 - KEPT + 1);
        assert_eq!(super::head(&connection).unwrap(), head);
    }

    #[test]
    fn a_page_ends_with_a_whole_revision_and_the_next_goes_on() {
        let connection = logged(1..=5, &Bytes::from(vec![0; PAGE_BYTES / 2]));
        let pages = [0, 2, 4, 5].map(|after| {
            let page = page(&connection, Revision(after)).unwrap().unwrap();
            page.iter()
                .map(|batch| batch.revision.0)
                .collect::<Vec<_>>()
        });
        assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5], vec![]]);
    }

    #[test]
    fn what_was_trimmed_is_not_passed_over() {
        let connection = logged(11..=12, &Bytes::new());
        let refused = page(&connection, Revision(9)).unwrap().unwrap_err();
        let oldest = Revision(10);
        assert_eq!(refused, StoreError::Compacted { oldest });
        assert_eq!(page(&connection, oldest).unwrap().unwrap().len(), 2);
    }
}
