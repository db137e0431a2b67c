//! What a replica does in place of transactions: it takes over what was decided elsewhere, with the revisions made there.

use std::cmp::Ordering;
use std::iter::Peekable;

use model::{Change, Key, Revision};
use rusqlite::Connection;

use super::{log, records};
use crate::{Batch, Record, Snapshot};

/// Takes over `batch` inside the SQL transaction that is open.
pub(super) fn take_over(connection: &Connection, batch: &Batch) -> rusqlite::Result<()> {
    for change in &batch.changes {
        match &change.value {
            Some(value) => records::put(connection, &change.key, value, change.revision)?,
            None => {
                records::delete(connection, &change.key)?;
            }
        }
        log::append(connection, change, batch.revision)?;
    }
    Ok(())
}

/// The one batch that makes of the present records those of `snapshot`. It stands for all the changes between, which
/// nobody here knows.
pub(super) fn difference(connection: &Connection, snapshot: &Snapshot) -> rusqlite::Result<Batch> {
    let mut statement =
        connection.prepare_cached("SELECT key, revision FROM records ORDER BY key")?;
    let present = statement
        .query_map([], |row| {
            Ok((Key::new(row.get::<_, String>(0)?), Revision(row.get(1)?)))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(Batch {
        revision: snapshot.revision,
        changes: changes(present, &snapshot.records, snapshot.revision),
    })
}

/// What turns `present` into `wanted`, both ordered by key. A deletion gets the revision `at`.
fn changes(present: Vec<(Key, Revision)>, wanted: &[Record], at: Revision) -> Vec<Change> {
    let deletion = |key| Change {
        key,
        value: None,
        revision: at,
    };
    let mut changes = Vec::new();
    let mut present = present.into_iter().peekable();
    for record in wanted {
        while let Some((key, _)) = present.next_if(|(key, _)| *key < record.key) {
            changes.push(deletion(key));
        }
        // What was last written by the same revision of the same cluster is the same.
        if !is_next(&mut present, record) {
            changes.push(record.clone().into());
        }
    }
    changes.extend(present.map(|(key, _)| deletion(key)));
    changes
}

/// Takes the next of `present` if it has the key of `record`; whether it is that very record.
fn is_next(present: &mut Peekable<impl Iterator<Item = (Key, Revision)>>, record: &Record) -> bool {
    match present.peek().map(|(key, _)| key.cmp(&record.key)) {
        Some(Ordering::Equal) => present
            .next()
            .is_some_and(|(_, revision)| revision == record.revision),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    type State = BTreeMap<u8, u64>;

    fn records(state: &State) -> Vec<Record> {
        state
            .iter()
            .map(|(key, revision)| Record {
                key: Key::new(format!("{key:03}")),
                value: Bytes::from(revision.to_string()),
                revision: Revision(*revision),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn the_difference_makes_the_one_the_other_and_no_more(
            before in proptest::collection::btree_map(any::<u8>(), 0..5_u64, 0..40),
            after in proptest::collection::btree_map(any::<u8>(), 0..5_u64, 0..40),
        ) {
            let present = records(&before).into_iter().map(|r| (r.key, r.revision)).collect();
            let changes = changes(present, &records(&after), Revision(9));
            prop_assert!(changes.is_sorted_by(|a, b| a.key < b.key));
            let touched = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>();
            let differing = touched.iter().filter(|key| before.get(key) != after.get(key)).count();
            prop_assert_eq!(changes.len(), differing);

            let mut state: BTreeMap<Key, Record> =
                records(&before).into_iter().map(|r| (r.key.clone(), r)).collect();
            for Change { key, value, revision } in changes {
                match value {
                    Some(value) => state.insert(key.clone(), Record { key, value, revision }),
                    None => state.remove(&key),
                };
            }
            prop_assert_eq!(state.into_values().collect::<Vec<_>>(), records(&after));
        }
    }
}
