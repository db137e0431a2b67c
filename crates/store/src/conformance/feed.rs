//! Watching.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use model::{Change, Key, Revision, Transaction};
use tokio::task::JoinSet;

use super::{Subject, key, put, value};
use crate::{Batch, Record, StoreError, Watch};

pub(super) async fn run(make: &impl AsyncFn() -> Subject, compact: &impl AsyncFn(&Subject)) {
    a_watch_from_zero_tells_everything(make().await).await;
    a_watch_begins_after_its_revision(make().await).await;
    a_watch_goes_on_with_what_is_new(make().await).await;
    a_watch_tells_deletions(make().await).await;
    watches_miss_nothing_while_others_commit(make().await).await;
    a_watch_from_a_snapshot_misses_nothing(make().await).await;
    a_batch_not_taken_comes_again(make().await).await;
    a_large_transaction_is_one_batch(make().await).await;
    a_watch_from_what_is_forgotten_is_refused(make().await, compact).await;
    a_watch_that_falls_behind_says_so(make().await, compact).await;
}

async fn a_watch_from_zero_tells_everything(store: Subject) {
    let mut change = Transaction::default();
    change.put(key("b"), "1");
    change.put(key("a"), "1");
    let first = store.commit(change).await.unwrap();
    let second = put(&store, "a", "2").await;

    let mut watch = store.watch(Revision(0)).await.unwrap();
    assert_eq!(
        watch.next().await.unwrap(),
        batch(first, &[("a", Some("1")), ("b", Some("1"))])
    );
    assert_eq!(
        watch.next().await.unwrap(),
        batch(second, &[("a", Some("2"))])
    );
}

async fn a_watch_begins_after_its_revision(store: Subject) {
    put(&store, "a", "1").await;
    let second = put(&store, "a", "2").await;
    let third = put(&store, "a", "3").await;
    let mut watch = store.watch(second).await.unwrap();
    assert_eq!(
        watch.next().await.unwrap(),
        batch(third, &[("a", Some("3"))])
    );
    let fourth = put(&store, "a", "4").await;
    let mut watch = store.watch(third).await.unwrap();
    assert_eq!(watch.next().await.unwrap().revision, fourth);
}

async fn a_watch_goes_on_with_what_is_new(store: Subject) {
    let mut watch = store.watch(Revision(0)).await.unwrap();
    for round in 1..=20 {
        let waiting = tokio::spawn(async move {
            let batch = watch.next().await.unwrap();
            (watch, batch)
        });
        let text = round.to_string();
        let revision = put(&store, "a", text.clone()).await;
        let (watching, told) = waiting.await.unwrap();
        watch = watching;
        assert_eq!(told, batch(revision, &[("a", Some(&text))]));
    }
}

async fn a_watch_tells_deletions(store: Subject) {
    let before = put(&store, "a", "1").await;
    let mut change = Transaction::default();
    change.delete(key("a"));
    change.delete(key("never was"));
    change.put(key("b"), "");
    let revision = store.commit(change).await.unwrap();
    let mut watch = store.watch(before).await.unwrap();
    assert_eq!(
        watch.next().await.unwrap(),
        batch(revision, &[("a", None), ("b", Some(""))])
    );
}

async fn watches_miss_nothing_while_others_commit(store: Subject) {
    const WRITERS: u64 = 4;
    const EACH: u64 = 100;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for round in 0..EACH {
                put(
                    &store,
                    &format!("{writer}/{}", round % 7),
                    round.to_string(),
                )
                .await;
            }
        });
    }
    let mut watchers = JoinSet::new();
    for step in 0..20 {
        let store = Arc::clone(&store);
        watchers.spawn(async move {
            // Each begins at another moment of the race, from where the store is then.
            let mut from = Revision(0);
            for _ in 0..step {
                from = store.scan("none").await.unwrap().revision;
            }
            let mut watch = store.watch(from).await.unwrap();
            for expected in from.0 + 1..=WRITERS * EACH {
                let batch = watch.next().await.unwrap();
                assert_eq!(batch.revision, Revision(expected));
            }
        });
    }
    writers.join_all().await;
    watchers.join_all().await;
}

async fn a_watch_from_a_snapshot_misses_nothing(store: Subject) {
    const ROUNDS: u64 = 200;
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let mut change = Transaction::default();
                change.put(key(&format!("put/{}", round % 13)), round.to_string());
                change.delete(key(&format!("put/{}", (round + 5) % 13)));
                store.commit(change).await.unwrap();
            }
        })
    };
    for _ in 0..5 {
        let snapshot = store.scan("").await.unwrap();
        let mut replica: BTreeMap<Key, Record> = snapshot
            .records
            .into_iter()
            .map(|record| (record.key.clone(), record))
            .collect();
        let mut watch = store.watch(snapshot.revision).await.unwrap();
        let target = store.scan("").await.unwrap();
        follow(
            &mut *watch,
            &mut replica,
            snapshot.revision,
            target.revision,
        )
        .await;
        let replica: Vec<Record> = replica.into_values().collect();
        assert_eq!(replica, target.records);
    }
    writer.await.unwrap();
}

/// Applies what the watch tells until revision `to`.
async fn follow(
    watch: &mut dyn Watch,
    replica: &mut BTreeMap<Key, Record>,
    from: Revision,
    to: Revision,
) {
    for _ in from.0..to.0 {
        for Change {
            key,
            value,
            revision,
        } in watch.next().await.unwrap().changes
        {
            match value {
                None => replica.remove(&key),
                Some(value) => replica.insert(
                    key.clone(),
                    Record {
                        key,
                        value,
                        revision,
                    },
                ),
            };
        }
    }
}

async fn a_batch_not_taken_comes_again(store: Subject) {
    let mut watch = store.watch(Revision(0)).await.unwrap();
    for expected in 1..=50 {
        put(&store, "a", "1").await;
        // Drops the future at whatever point it has reached.
        for _ in 0..3 {
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => {}
                batch = watch.next() => {
                    assert_eq!(batch.unwrap().revision, Revision(expected));
                    put(&store, "a", "1").await;
                    assert_eq!(watch.next().await.unwrap().revision, Revision(expected + 1));
                    return;
                }
            }
        }
        assert_eq!(watch.next().await.unwrap().revision, Revision(expected));
    }
}

async fn a_large_transaction_is_one_batch(store: Subject) {
    const WRITES: usize = 5_000;
    let value = Bytes::from(vec![b'x'; 300]);
    let mut change = Transaction::default();
    for node in 0..WRITES {
        change.claim(key(&format!("node/{node:05}")), value.clone());
    }
    let before = put(&store, "before", "1").await;
    let revision = store.commit(change).await.unwrap();
    let after = put(&store, "after", "1").await;
    assert_eq!(store.scan("node/").await.unwrap().records.len(), WRITES);
    let mut watch = store.watch(before).await.unwrap();
    let large = watch.next().await.unwrap();
    assert_eq!(large.revision, revision);
    assert_eq!(large.changes.len(), WRITES);
    assert!(large.changes.is_sorted_by_key(|change| &change.key));
    assert_eq!(watch.next().await.unwrap().revision, after);
}

async fn a_watch_from_what_is_forgotten_is_refused(
    store: Subject,
    compact: &impl AsyncFn(&Subject),
) {
    put(&store, "a", "1").await;
    put(&store, "a", "2").await;
    compact(&store).await;
    let Err(StoreError::Compacted { oldest }) = store.watch(Revision(1)).await.map(|_| ()) else {
        panic!("a watch from a forgotten revision must be refused");
    };
    assert!(oldest > Revision(1));

    let next = put(&store, "a", "3").await;
    let mut watch = store.watch(oldest).await.unwrap();
    assert_eq!(
        watch.next().await.unwrap().revision,
        Revision(oldest.0 + 1),
        "the oldest revision named is one a watch may begin from"
    );
    let mut watch = store.watch(Revision(next.0 - 1)).await.unwrap();
    assert_eq!(watch.next().await.unwrap().revision, next);
    assert_eq!(value(&store, "a").await.as_deref(), Some(&b"3"[..]));
}

async fn a_watch_that_falls_behind_says_so(store: Subject, compact: &impl AsyncFn(&Subject)) {
    let mut watch = store.watch(Revision(0)).await.unwrap();
    put(&store, "a", "1").await;
    compact(&store).await;
    let head = store.scan("").await.unwrap().revision;
    // A store may have told some or all of it already; what it must not do is to leave something out.
    let mut reached = Revision(0);
    while reached < head {
        match watch.next().await {
            Ok(batch) => {
                assert_eq!(batch.revision, Revision(reached.0 + 1));
                reached = batch.revision;
            }
            Err(StoreError::Compacted { oldest }) => {
                assert!(oldest > reached);
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn batch(revision: Revision, changes: &[(&str, Option<&str>)]) -> Batch {
    Batch {
        revision,
        changes: changes
            .iter()
            .map(|(name, value)| Change {
                key: key(name),
                value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
                revision,
            })
            .collect(),
    }
}
