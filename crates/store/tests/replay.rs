//! Any run of transactions leaves what a plain map would hold, and the feed tells exactly how it came about.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use model::{Expect, Key, Revision, Transaction};
use proptest::prelude::*;
use store::{Record, SqliteStore, Store, StoreError};

/// The state as the documentation of the store describes it.
#[derive(Default)]
struct Plain {
    records: BTreeMap<Key, (Revision, Bytes)>,
    revision: Revision,
}

impl Plain {
    fn commit(&mut self, change: &Transaction) -> Result<Revision, StoreError> {
        for (key, expect) in &change.checks {
            let found = self.records.get(key).map(|(revision, _)| *revision);
            let holds = match expect {
                Expect::Absent => found.is_none(),
                Expect::Present => found.is_some(),
                Expect::At(revision) => found == Some(*revision),
            };
            if !holds {
                return Err(StoreError::Conflict { key: key.clone() });
            }
        }
        let mut seen = BTreeSet::new();
        for (key, _) in &change.writes {
            if !seen.insert(key) {
                return Err(StoreError::WrittenTwice { key: key.clone() });
            }
        }
        let changes =
            |(key, value): &(Key, Option<Bytes>)| value.is_some() || self.records.contains_key(key);
        if change.writes.iter().any(changes) {
            self.revision.0 += 1;
        }
        for (key, value) in &change.writes {
            match value {
                Some(value) => {
                    let written = (self.revision, value.clone());
                    self.records.insert(key.clone(), written);
                }
                None => {
                    self.records.remove(key);
                }
            }
        }
        Ok(self.revision)
    }

    fn records(&self) -> Vec<Record> {
        self.records
            .iter()
            .map(|(key, (revision, value))| Record {
                key: key.clone(),
                value: value.clone(),
                revision: *revision,
            })
            .collect()
    }
}

fn key() -> impl Strategy<Value = Key> {
    "[ab]/?[0-2é]?".prop_map(Key::new)
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        Just(Expect::Absent),
        Just(Expect::Present),
        (0..12_u64).prop_map(|revision| Expect::At(Revision(revision))),
    ]
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let value = prop::option::weighted(
        0.7,
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from),
    );
    (
        prop::collection::vec((key(), expect()), 0..2),
        prop::collection::vec((key(), value), 0..4),
    )
        .prop_map(|(checks, writes)| Transaction { checks, writes })
}

async fn compare(changes: Vec<Transaction>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    let store = SqliteStore::create(&path, &Transaction::default()).unwrap();
    let mut plain = Plain::default();
    for change in changes {
        let expected = plain.commit(&change);
        assert_eq!(store.commit(change).await, expected);
    }
    store.close().await;

    let store = SqliteStore::open(&path).unwrap();
    let snapshot = store.scan("").await.unwrap();
    assert_eq!(snapshot.revision, plain.revision);
    assert_eq!(snapshot.records, plain.records());
    for prefix in ["a", "a/", "b/", "b/é"] {
        let mut expected = plain.records();
        expected.retain(|record| record.key.as_str().starts_with(prefix));
        assert_eq!(store.scan(prefix).await.unwrap().records, expected);
    }

    let mut watch = store.watch(Revision(0)).await.unwrap();
    let mut replayed = BTreeMap::new();
    for revision in 1..=plain.revision.0 {
        let batch = watch.next().await.unwrap();
        assert_eq!(batch.revision, Revision(revision));
        for change in batch.changes {
            match change.value {
                Some(value) => replayed.insert(change.key, (change.revision, value)),
                None => replayed.remove(&change.key),
            };
        }
    }
    assert_eq!(replayed, plain.records);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_store_does_what_a_map_does(changes in prop::collection::vec(transaction(), 0..30)) {
        tokio::runtime::Runtime::new().unwrap().block_on(compare(changes));
    }
}
