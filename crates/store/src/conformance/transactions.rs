//! Checks, writes and what comes of them.

use std::sync::Arc;

use bytes::Bytes;
use model::{Expect, Revision, Transaction};
use tokio::task::JoinSet;

use super::{Subject, delete, key, put, revision_of, value};
use crate::{Record, StoreError};

pub(super) async fn run(make: &impl AsyncFn() -> Subject) {
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
