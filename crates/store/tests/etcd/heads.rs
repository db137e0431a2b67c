//! Several heads of one cluster.

use std::sync::Arc;

use etcd_client::TxnOp;
use model::{Expect, Key, Revision, Transaction};
use store::{Link, Store, StoreError};
use tokio::time::timeout;

use super::{
    LONG, another_head, first_head, is_down, link_becomes, put, reach, restarted_head, server,
    value,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_head_writes_the_others_see() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let settings = etcd.settings("pilotlight/");
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let first = first_head(one.path(), &settings).await;
    first.commit(put("a", "before")).await.unwrap();
    let second = another_head(two.path(), &settings).await;
    assert_eq!(value(&second, "a").await.as_deref(), Some("before"));

    let revision = first.commit(put("a", "1")).await.unwrap();
    reach(&second, revision).await;
    assert_eq!(value(&second, "a").await.as_deref(), Some("1"));
    let mut change = put("b", "2");
    change.expect(Key::new("a"), Expect::At(revision));
    change.delete(Key::new("a"));
    let revision = second.commit(change).await.unwrap();
    reach(&first, revision).await;
    assert_eq!(
        first.scan("").await.unwrap(),
        second.scan("").await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_heads_that_claim_a_key_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let settings = etcd.settings("pilotlight/");
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let first: Arc<dyn Store> = Arc::new(first_head(one.path(), &settings).await);
    let second: Arc<dyn Store> = Arc::new(another_head(two.path(), &settings).await);
    for round in 0..200 {
        let name = format!("mac/{round}");
        let claims = [&first, &second].map(|store| {
            let (store, key) = (Arc::clone(store), Key::new(&name));
            tokio::spawn(async move {
                let mut change = Transaction::default();
                change.claim(key, "");
                store.commit(change).await
            })
        });
        let mut winners = 0;
        for claim in claims {
            match claim.await.unwrap() {
                Ok(_) => winners += 1,
                Err(StoreError::Conflict { key }) => assert_eq!(key.as_str(), name),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(winners, 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_was_away_catches_up() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let settings = etcd.settings("pilotlight/");
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let first = first_head(one.path(), &settings).await;
    first.commit(put("gone", "1")).await.unwrap();
    let second = another_head(two.path(), &settings).await;
    let seen = second.scan("").await.unwrap().revision;
    second.close().await;

    // What follows what it has seen is told change by change,
    first.commit(put("kept", "1")).await.unwrap();
    let last = first.commit(put("kept", "2")).await.unwrap();
    let second = restarted_head(two.path(), &settings).await;
    reach(&second, last).await;
    let mut watch = second.watch(seen).await.unwrap();
    for revision in seen.0 + 1..=last.0 {
        assert_eq!(watch.next().await.unwrap().revision, Revision(revision));
    }
    second.close().await;

    // or, where etcd has forgotten it, as one change.
    for round in 0..50 {
        first.commit(put("new", &round.to_string())).await.unwrap();
    }
    let mut change = put("newer", "1");
    change.delete(Key::new("gone"));
    let newest = first.commit(change).await.unwrap();
    let mut client = etcd.client().await;
    let present = client.get("none", None).await.unwrap();
    let present = present.header().unwrap().revision();
    client.compact(present, None).await.unwrap();
    let second = restarted_head(two.path(), &settings).await;
    reach(&second, newest).await;
    let mut watch = second.watch(last).await.unwrap();
    let batch = watch.next().await.unwrap();
    assert_eq!(batch.revision, newest);
    let changed: Vec<&str> = batch.changes.iter().map(|c| c.key.as_str()).collect();
    assert_eq!(changed, ["gone", "new", "newer"]);
    assert_eq!(
        first.scan("").await.unwrap(),
        second.scan("").await.unwrap()
    );

    // The revisions are those that commits are checked by.
    for change in batch.changes {
        if change.value.is_some() {
            let mut again = Transaction::default();
            again.expect(change.key.clone(), Expect::At(change.revision));
            again.put(change.key, "again");
            second.commit(again).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_records_than_one_answer_holds_are_read_as_of_one_moment() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let settings = etcd.settings("pilotlight/");
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let first = Arc::new(first_head(one.path(), &settings).await);
    for hundred in 0..25 {
        let mut change = Transaction::default();
        for node in 0..100 {
            change.put(Key::new(format!("node/{hundred:02}{node:02}")), "x");
        }
        first.commit(change).await.unwrap();
    }
    let writer = {
        let first = Arc::clone(&first);
        tokio::spawn(async move {
            for round in 0..200 {
                let mut change = put("node/0000", &round.to_string());
                change.put(Key::new("node/2499"), round.to_string());
                first.commit(change).await.unwrap();
            }
        })
    };
    let second = another_head(two.path(), &settings).await;
    let snapshot = second.scan("").await.unwrap();
    assert_eq!(snapshot.records.len(), 2_500);
    let ends = [&snapshot.records[0], &snapshot.records[2_499]];
    assert_eq!(ends[0].value, ends[1].value);
    assert_eq!(ends[0].revision, ends[1].revision);
    writer.await.unwrap();
    let last = first.scan("").await.unwrap();
    reach(&second, last.revision).await;
    assert_eq!(second.scan("").await.unwrap(), last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_does_not_follow_another_cluster_or_an_older_one() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let [one, two, three] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let settings = etcd.settings("one/");
    let first = first_head(one.path(), &settings).await;
    first.commit(put("a", "1")).await.unwrap();
    first.close().await;
    let other = etcd.settings("other/");
    first_head(two.path(), &other).await.close().await;

    let lost = restarted_head(one.path(), &other).await;
    let Link::Down { why } = link_becomes(&lost, is_down).await else {
        unreachable!()
    };
    assert!(why.contains("another cluster"), "{why}");
    let refused = lost.commit(put("a", "2")).await.unwrap_err();
    assert!(refused.to_string().contains("another cluster"), "{refused}");
    assert_eq!(value(&lost, "a").await.as_deref(), Some("1"));
    lost.close().await;

    // The same cluster, as an older backup of etcd would have it.
    let Some(older) = server::start(three.path()) else {
        return;
    };
    let mark = etcd.client().await.get("one/cluster", None).await.unwrap();
    let mark = mark.kvs()[0].value().to_owned();
    let mut client = older.client().await;
    client.put("one/cluster", mark, None).await.unwrap();
    let lost = restarted_head(one.path(), &older.settings("one/")).await;
    let Link::Down { why } = link_becomes(&lost, is_down).await else {
        unreachable!()
    };
    assert!(why.contains("older backup"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_outlives_the_cluster_that_another_takes_the_place_of() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let own = tempfile::tempdir().unwrap();
    let store = first_head(own.path(), &etcd.settings("pilotlight/")).await;
    let mut client = etcd.client().await;
    // What is beside the cluster's own keys is nobody's business.
    client.put("pilotlight/else", "x", None).await.unwrap();
    store.commit(put("a", "1")).await.unwrap();

    let mark = r#"{"format":1,"cluster":"0123456789abcdef0123456789abcdef","state":"founding"}"#;
    let everything = etcd_client::DeleteOptions::new().with_prefix();
    let another = etcd_client::Txn::new().and_then([
        TxnOp::delete("pilotlight/record/", Some(everything)),
        TxnOp::put("pilotlight/cluster", mark, None),
    ]);
    client.txn(another).await.unwrap();
    client
        .put("pilotlight/record/b", "\0\0\0\0\0\0\0\x01x", None)
        .await
        .unwrap();
    let mut link = store.link().unwrap();
    let down = link.wait_for(is_down);
    timeout(LONG, down).await.unwrap().unwrap();
    assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
    assert_eq!(value(&store, "b").await, None);
    store.commit(put("a", "2")).await.unwrap_err();
}
