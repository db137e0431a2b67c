//! The suite every [`Store`] passes.
//!
//! Each case gets a store of its own, new and empty.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use model::{Change, Expect, Key, Revision, Transaction};
use tokio::task::JoinSet;

use crate::{Batch, Record, Store, StoreError, Watch};

type Subject = Arc<dyn Store>;

/// Runs every case. `make` gives a new and empty store; `compact` makes a store forget the changes of all revisions
/// up to the present, by whatever means it has, and may commit to do so.
pub async fn run(make: impl AsyncFn() -> Subject, compact: impl AsyncFn(&Subject)) {
    an_empty_store_is_at_revision_zero(make().await).await;
    what_is_committed_is_read_back(make().await).await;
    values_are_any_bytes(make().await).await;
    revisions_grow_by_one(make().await).await;
    a_transaction_that_changes_nothing_makes_no_revision(make().await).await;
    a_record_carries_the_revision_that_last_wrote_it(make().await).await;
    absent_holds_only_where_nothing_is(make().await).await;
    present_holds_only_where_something_is(make().await).await;
    at_holds_only_for_the_last_revision(make().await).await;
    checks_see_the_state_before_the_writes(make().await).await;
    a_conflict_names_the_first_failed_check_and_leaves_nothing(make().await).await;
    writing_a_key_twice_is_refused(make().await).await;
    of_many_who_claim_a_key_one_wins(make().await).await;
    no_update_is_lost(make().await).await;
    a_scan_is_ordered_and_ends_with_its_prefix(make().await).await;
    a_scan_is_of_one_moment(make().await).await;
    a_watch_from_zero_tells_everything(make().await).await;
    a_watch_begins_after_its_revision(make().await).await;
    a_watch_goes_on_with_what_is_new(make().await).await;
    a_watch_tells_deletions(make().await).await;
    watches_miss_nothing_while_others_commit(make().await).await;
    a_watch_from_a_snapshot_misses_nothing(make().await).await;
    a_batch_not_taken_comes_again(make().await).await;
    a_large_transaction_is_one_batch(make().await).await;
    a_watch_from_what_is_forgotten_is_refused(make().await, &compact).await;
    a_watch_that_falls_behind_says_so(make().await, &compact).await;
    a_healthy_store_is_writable(make().await).await;
    a_backup_never_overwrites(make().await).await;
    a_closed_store_says_so(make().await).await;
}

async fn an_empty_store_is_at_revision_zero(store: Subject) {
    let snapshot = store.scan("").await.unwrap();
    assert_eq!(snapshot.revision, Revision(0));
    assert_eq!(snapshot.records, []);
    assert_eq!(store.get(&key("node/1")).await.unwrap(), None);
}

async fn what_is_committed_is_read_back(store: Subject) {
    let mut change = Transaction::default();
    change.put(key("a"), "1");
    change.put(key("b"), "2");
    let revision = store.commit(change).await.unwrap();
    assert_eq!(value(&store, "a").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(value(&store, "b").await.as_deref(), Some(&b"2"[..]));

    let mut change = Transaction::default();
    change.delete(key("a"));
    change.put(key("b"), "3");
    store.commit(change).await.unwrap();
    assert_eq!(value(&store, "a").await, None);
    assert_eq!(value(&store, "b").await.as_deref(), Some(&b"3"[..]));
    assert_eq!(
        store.scan("").await.unwrap().revision,
        Revision(revision.0 + 1)
    );
}

async fn values_are_any_bytes(store: Subject) {
    let every_byte: Bytes = (0..=u8::MAX).cycle().take(70_000).collect();
    for (name, bytes) in [
        ("empty", Bytes::new()),
        ("zero", Bytes::from_static(b"\0")),
        ("not utf-8", Bytes::from_static(b"\xff\xfe")),
        ("every byte", every_byte),
    ] {
        put(&store, name, bytes.clone()).await;
        assert_eq!(value(&store, name).await, Some(bytes), "{name}");
    }
}

async fn revisions_grow_by_one(store: Subject) {
    for expected in 1..=20 {
        assert_eq!(put(&store, "same", "value").await, Revision(expected));
        assert_eq!(store.scan("").await.unwrap().revision, Revision(expected));
    }
}

async fn a_transaction_that_changes_nothing_makes_no_revision(store: Subject) {
    let present = put(&store, "a", "1").await;

    let mut only_checks = Transaction::default();
    only_checks.expect(key("a"), Expect::Present);
    assert_eq!(store.commit(only_checks).await.unwrap(), present);

    let mut deletes_nothing = Transaction::default();
    deletes_nothing.delete(key("never was"));
    assert_eq!(store.commit(deletes_nothing).await.unwrap(), present);

    let next = put(&store, "a", "2").await;
    assert_eq!(next, Revision(present.0 + 1));
    let mut watch = store.watch(Revision(0)).await.unwrap();
    assert_eq!(watch.next().await.unwrap().revision, present);
    assert_eq!(watch.next().await.unwrap().revision, next);
}

async fn a_record_carries_the_revision_that_last_wrote_it(store: Subject) {
    let first = put(&store, "a", "1").await;
    put(&store, "b", "1").await;
    assert_eq!(revision_of(&store, "a").await, Some(first));
    let again = put(&store, "a", "1").await;
    assert_eq!(revision_of(&store, "a").await, Some(again));
    let snapshot = store.scan("a").await.unwrap();
    let expected = Record {
        key: key("a"),
        value: Bytes::from("1"),
        revision: again,
    };
    assert_eq!(snapshot.records, [expected]);
}

async fn absent_holds_only_where_nothing_is(store: Subject) {
    assert!(write_if(&store, "a", Expect::Absent).await);
    assert!(!write_if(&store, "a", Expect::Absent).await);
    delete(&store, "a").await;
    assert!(write_if(&store, "a", Expect::Absent).await);
}

async fn present_holds_only_where_something_is(store: Subject) {
    assert!(!write_if(&store, "a", Expect::Present).await);
    put(&store, "a", "1").await;
    assert!(write_if(&store, "a", Expect::Present).await);
    delete(&store, "a").await;
    assert!(!write_if(&store, "a", Expect::Present).await);
}

async fn at_holds_only_for_the_last_revision(store: Subject) {
    assert!(!write_if(&store, "a", Expect::At(Revision(0))).await);
    let first = put(&store, "a", "1").await;
    let second = put(&store, "a", "1").await;
    assert!(!write_if(&store, "a", Expect::At(first)).await);
    assert!(!write_if(&store, "a", Expect::At(Revision(second.0 + 1))).await);
    assert!(write_if(&store, "a", Expect::At(second)).await);
    let last = revision_of(&store, "a").await.unwrap();
    delete(&store, "a").await;
    assert!(!write_if(&store, "a", Expect::At(last)).await);
}

async fn checks_see_the_state_before_the_writes(store: Subject) {
    let mut change = Transaction::default();
    change.put(key("a"), "1");
    change.expect(key("a"), Expect::Absent);
    store.commit(change).await.unwrap();

    let mut change = Transaction::default();
    change.delete(key("a"));
    change.expect(key("a"), Expect::Present);
    store.commit(change).await.unwrap();
}

async fn a_conflict_names_the_first_failed_check_and_leaves_nothing(store: Subject) {
    let before = put(&store, "taken", "1").await;
    let mut change = Transaction::default();
    change.put(key("innocent"), "1");
    change.expect(key("taken"), Expect::Present);
    change.expect(key("second"), Expect::Present);
    change.claim(key("taken"), "2");
    change.delete(key("taken too"));
    let conflict = store.commit(change).await.unwrap_err();
    assert_eq!(conflict, StoreError::Conflict { key: key("second") });

    let snapshot = store.scan("").await.unwrap();
    assert_eq!(snapshot.revision, before);
    assert_eq!(snapshot.records.len(), 1);
    assert_eq!(
        value(&store, "taken").await.as_deref(),
        Some(b"1".as_slice())
    );
    let after = put(&store, "next", "1").await;
    let mut watch = store.watch(before).await.unwrap();
    assert_eq!(watch.next().await.unwrap().revision, after);
}

async fn writing_a_key_twice_is_refused(store: Subject) {
    let mut change = Transaction::default();
    change.put(key("a"), "1");
    change.put(key("b"), "1");
    change.delete(key("b"));
    let refused = store.commit(change).await.unwrap_err();
    assert_eq!(refused, StoreError::WrittenTwice { key: key("b") });
    assert_eq!(store.scan("").await.unwrap().revision, Revision(0));
}

async fn of_many_who_claim_a_key_one_wins(store: Subject) {
    const CLAIMANTS: usize = 50;
    for round in 0..10 {
        let name = format!("name/{round}");
        let mut claims = JoinSet::new();
        for claimant in 0..CLAIMANTS {
            let (store, name) = (Arc::clone(&store), name.clone());
            claims.spawn(async move {
                let mut change = Transaction::default();
                change.put(key(&format!("node/{round}/{claimant}")), "");
                change.claim(key(&name), claimant.to_string());
                (claimant, store.commit(change).await)
            });
        }
        let mut winners = Vec::new();
        for (claimant, result) in claims.join_all().await {
            match result {
                Ok(_) => winners.push(claimant),
                Err(error) => assert_eq!(error, StoreError::Conflict { key: key(&name) }),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        let winner = winners[0].to_string();
        assert_eq!(
            value(&store, &name).await.as_deref(),
            Some(winner.as_bytes())
        );
        let nodes = store.scan(&format!("node/{round}/")).await.unwrap();
        assert_eq!(nodes.records.len(), 1, "losers leave nothing");
    }
}

async fn no_update_is_lost(store: Subject) {
    const TASKS: u64 = 8;
    const EACH: u64 = 10;
    put(&store, "counter", "0").await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for _ in 0..EACH {
                while !increment(&store).await {}
            }
        });
    }
    tasks.join_all().await;
    let expected = (TASKS * EACH).to_string();
    assert_eq!(
        value(&store, "counter").await.as_deref(),
        Some(expected.as_bytes())
    );
}

/// Reads the counter and writes it by compare-and-set; whether nobody came between.
async fn increment(store: &Subject) -> bool {
    let counter = store.get(&key("counter")).await.unwrap().unwrap();
    let count: u64 = std::str::from_utf8(&counter.value)
        .unwrap()
        .parse()
        .unwrap();
    let mut change = Transaction::default();
    change.expect(key("counter"), Expect::At(counter.revision));
    change.put(key("counter"), (count + 1).to_string());
    store.commit(change).await.is_ok()
}

async fn a_scan_is_ordered_and_ends_with_its_prefix(store: Subject) {
    let keys = [
        "node",
        "node-",
        "node/",
        "node/1",
        "node/10",
        "node/2",
        "node/é",
        "node/\u{10ffff}",
        "node0",
        "nodf",
        "Node/1",
    ];
    let mut change = Transaction::default();
    for name in keys {
        change.put(key(name), name);
    }
    store.commit(change).await.unwrap();
    for prefix in [
        "",
        "n",
        "node",
        "node/",
        "node/1",
        "node/\u{10ffff}",
        "node/\u{10ffff}/",
        "node0",
        "zone",
    ] {
        let mut expected: Vec<&str> = keys
            .into_iter()
            .filter(|name| name.starts_with(prefix))
            .collect();
        expected.sort_unstable();
        let snapshot = store.scan(prefix).await.unwrap();
        let found: Vec<&str> = snapshot
            .records
            .iter()
            .map(|record| record.key.as_str())
            .collect();
        assert_eq!(found, expected, "prefix {prefix:?}");
    }
}

async fn a_scan_is_of_one_moment(store: Subject) {
    const ROUNDS: u64 = 100;
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for round in 1..=ROUNDS {
                let mut change = Transaction::default();
                change.put(key("left"), round.to_string());
                change.put(key("right"), round.to_string());
                store.commit(change).await.unwrap();
            }
        })
    };
    loop {
        let snapshot = store.scan("").await.unwrap();
        let expected = snapshot.revision.0.to_string();
        for record in &snapshot.records {
            assert_eq!(record.value, expected);
            assert_eq!(record.revision, snapshot.revision);
        }
        if snapshot.revision == Revision(ROUNDS) {
            break;
        }
    }
    writer.await.unwrap();
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

async fn a_healthy_store_is_writable(store: Subject) {
    let revision = put(&store, "a", "1").await;
    for _ in 0..3 {
        store.writable().await.unwrap();
    }
    let snapshot = store.scan("").await.unwrap();
    assert_eq!((snapshot.revision, snapshot.records.len()), (revision, 1));
}

async fn a_backup_never_overwrites(store: Subject) {
    put(&store, "a", "1").await;
    let directory = std::env::temp_dir().join(format!("store-backup-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let to = directory.join("copy");
    let first = store.backup(&to).await;
    let copied = std::fs::read(&to);
    let second = store.backup(&to).await;
    let after = std::fs::read(&to);
    let files = std::fs::read_dir(&directory).unwrap().count();
    std::fs::remove_dir_all(&directory).unwrap();

    first.unwrap();
    assert_eq!(second, Err(StoreError::AlreadyExists { path: to }));
    assert!(!copied.as_ref().unwrap().is_empty());
    assert_eq!(copied.unwrap(), after.unwrap());
    assert_eq!(files, 1, "a backup is one file");
}

async fn a_closed_store_says_so(store: Subject) {
    put(&store, "a", "1").await;
    let mut watch = store.watch(Revision(1)).await.unwrap();
    let waiting = tokio::spawn(async move { watch.next().await });
    store.close().await;
    assert_eq!(waiting.await.unwrap(), Err(StoreError::Closed));

    let mut change = Transaction::default();
    change.put(key("a"), "2");
    assert_eq!(store.commit(change).await, Err(StoreError::Closed));
    assert_eq!(store.get(&key("a")).await, Err(StoreError::Closed));
    assert_eq!(store.scan("").await, Err(StoreError::Closed));
    assert_eq!(store.writable().await, Err(StoreError::Closed));
    store.close().await;
}

fn key(text: &str) -> Key {
    Key::new(text)
}

async fn put(store: &Subject, name: &str, value: impl Into<Bytes>) -> Revision {
    let mut change = Transaction::default();
    change.put(key(name), value);
    store.commit(change).await.unwrap()
}

async fn delete(store: &Subject, name: &str) {
    let mut change = Transaction::default();
    change.delete(key(name));
    store.commit(change).await.unwrap();
}

/// Writes `name` if `expect` holds of it; whether it did.
async fn write_if(store: &Subject, name: &str, expect: Expect) -> bool {
    let mut change = Transaction::default();
    change.expect(key(name), expect);
    change.put(key(name), "written");
    match store.commit(change).await {
        Ok(_) => true,
        Err(StoreError::Conflict { key }) if key.as_str() == name => false,
        Err(error) => panic!("{error}"),
    }
}

async fn value(store: &Subject, name: &str) -> Option<Bytes> {
    let record = store.get(&key(name)).await.unwrap()?;
    assert_eq!(record.key.as_str(), name);
    Some(record.value)
}

async fn revision_of(store: &Subject, name: &str) -> Option<Revision> {
    Some(store.get(&key(name)).await.unwrap()?.revision)
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
