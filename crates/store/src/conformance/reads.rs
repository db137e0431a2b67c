//! Getting and scanning.

use std::sync::Arc;

use bytes::Bytes;
use model::{Revision, Transaction};

use super::{Subject, key, put, value};

pub(super) async fn run(make: &impl AsyncFn() -> Subject) {
    an_empty_store_is_at_revision_zero(make().await).await;
    what_is_committed_is_read_back(make().await).await;
    values_are_any_bytes(make().await).await;
    a_scan_is_ordered_and_ends_with_its_prefix(make().await).await;
    a_scan_is_of_one_moment(make().await).await;
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
