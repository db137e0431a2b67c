//! Table `changes`: what the last revisions changed.

use std::collections::VecDeque;

use bytes::Bytes;
use model::{Change, Revision};
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

/// Notes one change, to be told with those of the batch `revision`.
pub(super) fn append(
    connection: &Connection,
    change: &Change,
    revision: Revision,
) -> rusqlite::Result<()> {
    let value = change.value.as_deref();
    let written = (change.revision != revision).then_some(change.revision.0);
    connection
        .prepare_cached(
            "INSERT INTO changes (revision, key, checksum, value, written) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute((
            revision.0,
            change.key.as_str(),
            checksum(change.key.as_str(), change.revision, value),
            value,
            written,
        ))?;
    Ok(())
}

/// The oldest revision that the log remembers.
fn oldest(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    connection
        .prepare_cached("SELECT min(revision) FROM changes")?
        .query_row([], |row| row.get(0))
}

/// Forgets what is too old, now and then.
pub(super) fn trim(connection: &Connection, head: Revision) -> rusqlite::Result<()> {
    if oldest(connection)?.is_some_and(|oldest| oldest + KEPT + SLACK <= head.0) {
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
    // Two statements, one moment.
    let moment = connection.unchecked_transaction()?;
    let oldest = oldest(&moment)?.map_or(0, |oldest| oldest - 1);
    if after.0 < oldest {
        let oldest = Revision(oldest);
        return Ok(Err(StoreError::Compacted { oldest }));
    }
    let mut statement = moment.prepare_cached(
        "SELECT key, coalesce(written, revision), checksum, value, revision FROM changes WHERE revision > ? \
         ORDER BY revision, key",
    )?;
    let mut rows = statement.query([after.0])?;
    while let Some(row) = rows.next()? {
        let revision = Revision(row.get(4)?);
        let found = change(row)?;
        let size = found.value.as_ref().map_or(0, Bytes::len);
        match batches.back_mut() {
            Some(batch) if batch.revision == revision => batch.changes.push(found),
            Some(_) if bytes >= PAGE_BYTES || changes >= PAGE_CHANGES => break,
            _ => batches.push_back(Batch {
                revision,
                changes: vec![found],
            }),
        }
        bytes += size;
        changes += 1;
    }
    Ok(Ok(batches))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use model::Key;

    use super::*;
    use crate::sqlite::schema;

    fn logged(revisions: impl IntoIterator<Item = u64>, value: &Bytes) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        schema::lay_out(&connection).unwrap();
        for revision in revisions {
            log(&connection, revision, Some(value));
        }
        connection
    }

    fn log(connection: &Connection, revision: u64, value: Option<&Bytes>) {
        let change = Change {
            key: Key::new("a"),
            value: value.cloned(),
            revision: Revision(revision),
        };
        append(connection, &change, change.revision).unwrap();
    }

    fn revisions(connection: &Connection, after: u64) -> Vec<u64> {
        let page = page(connection, Revision(after)).unwrap().unwrap();
        page.iter().map(|batch| batch.revision.0).collect()
    }

    #[test]
    fn the_log_is_trimmed_to_what_is_kept_once_enough_has_gathered() {
        let connection = logged(1..=KEPT + SLACK, &Bytes::new());
        trim(&connection, Revision(KEPT + SLACK)).unwrap();
        assert_eq!(oldest(&connection).unwrap(), Some(1));

        let head = Revision(KEPT + SLACK + 1);
        log(&connection, head.0, None);
        trim(&connection, head).unwrap();
        assert_eq!(oldest(&connection).unwrap(), Some(head.0 - KEPT + 1));
        assert_eq!(super::head(&connection).unwrap(), head);
    }

    #[test]
    fn a_page_ends_with_a_whole_revision_and_the_next_goes_on() {
        let connection = logged(1..=5, &Bytes::from(vec![0; PAGE_BYTES / 2]));
        let pages = [0, 2, 4, 5].map(|after| revisions(&connection, after));
        assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5], vec![]]);
    }

    #[test]
    fn what_was_trimmed_is_not_passed_over() {
        let connection = logged(11..=12, &Bytes::new());
        let refused = page(&connection, Revision(9)).unwrap().unwrap_err();
        let oldest = Revision(10);
        assert_eq!(refused, StoreError::Compacted { oldest });
        assert_eq!(revisions(&connection, oldest.0), [11, 12]);
    }

    #[test]
    fn revisions_that_were_never_made_are_passed_over() {
        let connection = logged([3, 7, 8, 20], &Bytes::new());
        let pages = [2, 3, 5, 12, 20].map(|after| revisions(&connection, after));
        assert_eq!(
            pages,
            [
                vec![3, 7, 8, 20],
                vec![7, 8, 20],
                vec![7, 8, 20],
                vec![20],
                vec![]
            ]
        );
    }

    #[test]
    fn a_change_keeps_the_revision_of_its_record() {
        let connection = logged([], &Bytes::new());
        let change = Change {
            key: Key::new("a"),
            value: Some(Bytes::new()),
            revision: Revision(4),
        };
        append(&connection, &change, Revision(9)).unwrap();
        let expected = Batch {
            revision: Revision(9),
            changes: vec![change],
        };
        assert_eq!(page(&connection, Revision(8)).unwrap().unwrap(), [expected]);
    }
}
