//! What goes wrong.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::{Key, Transaction};
use store::{EtcdSettings, Link, Store, StoreError};
use tokio::time::timeout;

use super::{
    LONG, another_head, commit_at_last, first_head, is_down, link_becomes, put, restarted_head,
    server, value,
};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_etcd_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut etcd) = server::start(directory.path()) else {
        return;
    };
    let settings = etcd.settings("pilotlight/");
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let store = Arc::new(first_head(one.path(), &settings).await);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (store, acknowledged, stop) = (
                Arc::clone(&store),
                Arc::clone(&acknowledged),
                Arc::clone(&stop),
            );
            tokio::spawn(async move {
                let mut written = BTreeSet::new();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("{writer}/{number:06}");
                    let mut change = Transaction::default();
                    change.claim(Key::new(&name), "");
                    match store.commit(change).await {
                        Ok(_) => {
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                            written.insert(name);
                        }
                        Err(StoreError::Unavailable { .. }) => {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        Err(StoreError::Uncertain { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                written
            })
        })
        .collect();
    for round in 1..=4 {
        let enough = async {
            while acknowledged.load(Ordering::Relaxed) < round * 200 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, enough).await.unwrap();
        etcd.kill();
        etcd.start_again();
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = BTreeSet::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    commit_at_last(store.as_ref(), &put("end", "")).await;
    let second = another_head(two.path(), &settings).await;
    for place in [store.as_ref() as &dyn Store, &second] {
        let snapshot = place.scan("").await.unwrap();
        let found: BTreeSet<&str> = snapshot.records.iter().map(|r| r.key.as_str()).collect();
        for name in &written {
            assert!(found.contains(name.as_str()), "{name} is lost");
        }
    }
    assert_eq!(
        store.scan("").await.unwrap(),
        second.scan("").await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_etcd_unreachable_the_cluster_is_read_and_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut etcd) = server::start(directory.path()) else {
        return;
    };
    let settings = etcd.settings("pilotlight/");
    let own = tempfile::tempdir().unwrap();
    let store = first_head(own.path(), &settings).await;
    let revision = store.commit(put("a", "1")).await.unwrap();
    store.close().await;
    etcd.kill();

    let store = restarted_head(own.path(), &settings).await;
    assert_eq!(store.scan("").await.unwrap().revision, revision);
    assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
    store.check().await.unwrap();
    for error in [
        store.commit(put("a", "2")).await.unwrap_err(),
        store.writable().await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&etcd.endpoint()), "{text}");
        assert!(text.contains("refused"), "{text}");
    }
    link_becomes(&store, is_down).await;

    etcd.start_again();
    let next = commit_at_last(&store, &put("a", "2")).await;
    assert_eq!(next.0, revision.0 + 1);
    store.writable().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_has_never_seen_its_cluster_says_why_it_cannot() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let own = tempfile::tempdir().unwrap();
    let path = own.path().join("pilotlight.db");
    let nobody = server::own_address();
    let nobody = format!("http://{nobody}:{}", server::free_port(nobody));
    let unreachable = EtcdSettings {
        endpoints: vec![nobody.clone()],
        ..EtcdSettings::default()
    };
    let empty = etcd.settings("nothing/");
    let replica = Arc::new(store::SqliteStore::create_replica(&path).unwrap());
    for (settings, expected) in [
        (unreachable, nobody.as_str()),
        (empty, "there is no cluster"),
    ] {
        let opened = store::EtcdStore::open(Arc::clone(&replica), settings).await;
        let Err(error) = opened else {
            panic!("there is nothing to open");
        };
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// The first endpoint is the one that fails.
async fn commits_go_on(how: &str, fail: impl FnOnce(&mut server::Etcd)) {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut members) = server::start_three(directory.path()) else {
        return;
    };
    let settings = EtcdSettings {
        endpoints: members.iter().map(server::Etcd::endpoint).collect(),
        ..EtcdSettings::default()
    };
    let own = tempfile::tempdir().unwrap();
    first_head(own.path(), &settings).await.close().await;
    let store = restarted_head(own.path(), &settings).await;
    let first = members[0].endpoint();
    let at_first = |link: &Link| matches!(link, Link::Up { endpoint } if *endpoint == first);
    link_becomes(&store, at_first).await;
    store.commit(put("a", "1")).await.unwrap();

    fail(&mut members[0]);
    let begun = Instant::now();
    commit_at_last(&store, &put("a", "2")).await;
    let _ = writeln!(
        io::stderr(),
        "{how}: the next commit succeeded after {:.2?}",
        begun.elapsed()
    );
    assert!(!at_first(&store.link().borrow()));
    assert_eq!(value(&store, "a").await.as_deref(), Some("2"));

    // Two of three are needed.
    members[1].kill();
    let refused = async {
        loop {
            match store.commit(put("a", "3")).await {
                Err(StoreError::Unavailable { .. }) => return,
                Ok(_) | Err(StoreError::Uncertain { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(LONG, refused).await.unwrap();
    link_becomes(&store, is_down).await;
    assert!(value(&store, "a").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_go_on_when_the_member_in_use_is_killed() {
    commits_go_on("killed", server::Etcd::kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_go_on_when_the_member_in_use_falls_silent() {
    commits_go_on("frozen", |member| member.freeze()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_may_be_replaced_while_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut members) = server::start_three(directory.path()) else {
        return;
    };
    let own = tempfile::tempdir().unwrap();
    let settings = members[0].settings("pilotlight/");
    first_head(own.path(), &settings).await.close().await;
    let store = restarted_head(own.path(), &settings).await;
    store.commit(put("a", "1")).await.unwrap();

    let others = || members[1..].iter().map(server::Etcd::endpoint).collect();
    store.set_endpoints(others());
    let second = members[1].endpoint();
    link_becomes(
        &store,
        |link| matches!(link, Link::Up { endpoint } if *endpoint == second),
    )
    .await;
    store.commit(put("a", "2")).await.unwrap();

    // A member that comes first is gone to as soon as it is known.
    let all = members.iter().map(server::Etcd::endpoint).collect();
    store.set_endpoints(all);
    let first = members[0].endpoint();
    link_becomes(
        &store,
        |link| matches!(link, Link::Up { endpoint } if *endpoint == first),
    )
    .await;
    members[0].kill();
    commit_at_last(&store, &put("a", "3")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_etcd_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let own = tempfile::tempdir().unwrap();
    let store = first_head(own.path(), &etcd.settings("pilotlight/")).await;
    let mut many = Transaction::default();
    for number in 0..200 {
        many.put(Key::new(number.to_string()), "");
    }
    let mut large = Transaction::default();
    large.put(Key::new("large"), vec![0; 1_800_000]);
    for (change, option) in [(many, "--max-txn-ops"), (large, "--max-request-bytes")] {
        let error = store.commit(change).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains(option), "{error}");
    }
    assert_eq!(store.scan("").await.unwrap().records, []);
    store.commit(put("a", "1")).await.unwrap();
}
