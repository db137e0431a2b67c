//! From SQLite to etcd, and back.

use std::sync::Arc;

use model::{Expect, Key, Revision, Transaction};
use store::{ClusterStore, Engine, EtcdSettings, SqliteStore, Store, StoreError, move_to_sqlite};
use tokio::task::JoinSet;

use super::{
    another_head, first_head, is_down, link_becomes, put, restarted_head, server, single, value,
};

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_records_move_there_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let settings = etcd.settings("pilotlight/");
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let path = one.path().join("pilotlight.db");
    let sqlite = single(one.path(), &Transaction::default());
    for hundred in 0..50_u8 {
        let mut change = Transaction::default();
        for node in 0..100_u8 {
            let value = vec![hundred ^ node; usize::from(node) * 10];
            change.put(Key::new(format!("node/{hundred:02}{node:02}")), value);
        }
        sqlite.commit(change).await.unwrap();
    }
    let mut watch = sqlite.watch(Revision(50)).await.unwrap();
    let before = sqlite.scan("").await.unwrap();
    assert_eq!(before.records.len(), 5_000);

    let store = ClusterStore::new(Arc::clone(&sqlite));
    assert_eq!(
        (store.engine(), store.link().is_none()),
        (Engine::Sqlite, true)
    );
    store.move_to_etcd(settings.clone()).await.unwrap();
    assert_eq!(
        (store.engine(), store.link().is_none()),
        (Engine::Etcd, false)
    );
    assert_eq!(store.scan("").await.unwrap(), before);
    let second = another_head(two.path(), &settings).await;
    assert_eq!(second.scan("").await.unwrap(), before);

    // Revisions from before hold, on every head.
    for store in [&store as &dyn Store, &second] {
        let record = store.get(&Key::new("node/0000")).await.unwrap().unwrap();
        let mut change = put("node/0000", "changed");
        change.expect(
            record.key.clone(),
            Expect::At(Revision(record.revision.0 + 1)),
        );
        let conflict = store.commit(change).await.unwrap_err();
        assert_eq!(
            conflict,
            StoreError::Conflict {
                key: record.key.clone()
            }
        );
        let mut change = put("node/0000", "changed");
        change.expect(record.key.clone(), Expect::At(record.revision));
        let revision = store.commit(change.clone()).await.unwrap();
        let conflict = store.commit(change).await.unwrap_err();
        assert_eq!(conflict, StoreError::Conflict { key: record.key });
        super::reach(&second, revision).await;
    }
    // Whoever watched the database goes on.
    for revision in [51, 52] {
        assert_eq!(watch.next().await.unwrap().revision, Revision(revision));
    }

    let mut change = put("node/9999", "new");
    change.delete(Key::new("node/0001"));
    let last = second.commit(change).await.unwrap();
    assert_eq!(last, Revision(53));
    let expected = second.scan("").await.unwrap();
    store.close().await;
    assert_eq!(
        SqliteStore::open(&path).unwrap_err(),
        StoreError::Replica { path: path.clone() }
    );
    let moved = move_to_sqlite(&path, Some(settings.clone())).await;
    assert_eq!(moved, Ok(last));

    // The others are told, and cannot change it any more.
    link_becomes(&second, is_down).await;
    let refused = second.commit(put("a", "1")).await.unwrap_err();
    assert!(refused.to_string().contains("moved away"), "{refused}");
    assert_eq!(second.scan("").await.unwrap(), expected);

    let sqlite = Arc::new(SqliteStore::open(&path).unwrap());
    sqlite.check().await.unwrap();
    assert_eq!(sqlite.scan("").await.unwrap(), expected);
    assert_eq!(sqlite.commit(put("a", "1")).await, Ok(Revision(54)));

    // And there again.
    let store = ClusterStore::new(sqlite);
    store.move_to_etcd(settings).await.unwrap();
    assert_eq!(store.commit(put("a", "2")).await, Ok(Revision(55)));
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_wait_while_the_cluster_moves() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let settings = etcd.settings("pilotlight/");
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let store = Arc::new(ClusterStore::new(single(one.path(), &put("first", "1"))));
    let mut watch = store.watch(Revision(1)).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let mut last = Revision(0);
            for number in 0..100 {
                let mut change = Transaction::default();
                change.claim(Key::new(format!("{writer}/{number}")), "");
                let revision = store.commit(change).await.unwrap();
                assert!(revision > last);
                last = revision;
            }
        });
    }
    for _ in 0..100 {
        watch.next().await.unwrap();
    }
    store.move_to_etcd(settings.clone()).await.unwrap();
    writers.join_all().await;
    let snapshot = store.scan("").await.unwrap();
    assert_eq!(
        (snapshot.records.len(), snapshot.revision),
        (801, Revision(801))
    );
    for revision in 102..=801 {
        assert_eq!(watch.next().await.unwrap().revision, Revision(revision));
    }
    let second = another_head(two.path(), &settings).await;
    assert_eq!(second.scan("").await.unwrap(), snapshot);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founding_that_was_cut_short_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let settings = etcd.settings("pilotlight/");
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut client = etcd.client().await;
    let begun = r#"{"format":1,"cluster":"0123456789abcdef0123456789abcdef","state":"founding"}"#;
    client.put("pilotlight/cluster", begun, None).await.unwrap();
    client
        .put("pilotlight/record/half", "\0\0\0\0\0\0\0\x01x", None)
        .await
        .unwrap();
    let replica = SqliteStore::create_replica(two.path().join("pilotlight.db")).unwrap();
    let unfinished = store::EtcdStore::open(Arc::new(replica), settings.clone()).await;
    let Err(error) = unfinished else {
        panic!("there is no whole cluster yet");
    };
    assert!(error.to_string().contains("still being founded"), "{error}");

    let store = ClusterStore::new(single(one.path(), &put("whole", "1")));
    store.move_to_etcd(settings).await.unwrap();
    let kept = client.get(
        "pilotlight/record/",
        Some(etcd_client::GetOptions::new().with_prefix()),
    );
    let kept = kept.await.unwrap();
    assert_eq!(kept.kvs().len(), 1);
    assert_eq!(kept.kvs()[0].key(), b"pilotlight/record/whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founding_whose_success_was_not_noticed_is_recognised() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let settings = etcd.settings("pilotlight/");
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    // The database as it was when the head died between etcd's last word and its own.
    let store = first_head(one.path(), &settings).await;
    store.close().await;
    let path = one.path().join("pilotlight.db");
    let set_moving = || {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .execute("UPDATE role SET name = 'moving'", [])
            .unwrap();
    };
    set_moving();
    let store = ClusterStore::new(Arc::new(SqliteStore::open(&path).unwrap()));
    store.move_to_etcd(settings.clone()).await.unwrap();
    store.close().await;

    // The same, and then the head went on alone for a while.
    set_moving();
    let store = ClusterStore::new(Arc::new(SqliteStore::open(&path).unwrap()));
    store.commit(put("alone", "1")).await.unwrap();
    store.move_to_etcd(settings.clone()).await.unwrap();
    let second = another_head(two.path(), &settings).await;
    assert_eq!(value(&second, "alone").await.as_deref(), Some("1"));
    second.commit(put("together", "1")).await.unwrap();
    store.close().await;

    // The same, but others went on with it: that cluster is not replaced.
    set_moving();
    let store = ClusterStore::new(Arc::new(SqliteStore::open(&path).unwrap()));
    store.commit(put("alone", "2")).await.unwrap();
    let error = store.move_to_etcd(settings).await.unwrap_err();
    assert!(matches!(error, StoreError::Occupied { .. }), "{error:?}");
    assert_eq!(value(&second, "together").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_taken_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let taken = first_head(one.path(), &etcd.settings("taken/")).await;
    taken.commit(put("a", "theirs")).await.unwrap();
    let mut client = etcd.client().await;
    client.put("foreign/key", "theirs", None).await.unwrap();

    let store = ClusterStore::new(single(two.path(), &put("a", "ours")));
    for (prefix, why) in [("taken/", "lives there"), ("foreign/", "1 keys")] {
        let error = store.move_to_etcd(etcd.settings(prefix)).await.unwrap_err();
        assert!(matches!(error, StoreError::Occupied { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(value(&taken, "a").await.as_deref(), Some("theirs"));
    assert_eq!(store.engine(), Engine::Sqlite);
    store.commit(put("a", "still ours")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_fails_leaves_everything_as_it_was() {
    let own = tempfile::tempdir().unwrap();
    let store = ClusterStore::new(single(own.path(), &put("a", "1")));
    let nobody = server::own_address();
    let nobody = format!("http://{nobody}:{}", server::free_port(nobody));
    let settings = EtcdSettings {
        endpoints: vec![nobody.clone()],
        ..EtcdSettings::default()
    };
    let error = store.move_to_etcd(settings).await.unwrap_err();
    assert!(error.to_string().contains(&nobody), "{error}");
    assert_eq!(store.engine(), Engine::Sqlite);
    store.commit(put("a", "2")).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(own.path().join("pilotlight.db")).unwrap();
    assert_eq!(value(&store, "a").await.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_becomes_a_single_head_when_etcd_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut etcd) = server::start(directory.path()) else {
        return;
    };
    let settings = etcd.settings("pilotlight/");
    let own = tempfile::tempdir().unwrap();
    let path = own.path().join("pilotlight.db");
    let store = first_head(own.path(), &settings).await;
    let revision = store.commit(put("a", "1")).await.unwrap();
    let backup = own.path().join("backup");
    store.backup(&backup).await.unwrap();
    store.close().await;
    etcd.kill();

    // What a backup was made of, it is.
    assert!(matches!(
        SqliteStore::open(&backup),
        Err(StoreError::Replica { .. })
    ));
    for path in [&path, &backup] {
        assert_eq!(move_to_sqlite(path, None).await, Ok(revision));
        let store = SqliteStore::open(path).unwrap();
        assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
        store.commit(put("a", "2")).await.unwrap();
        store.close().await;
        assert!(matches!(
            SqliteStore::open_replica(path),
            Err(StoreError::NotAReplica { .. })
        ));
    }
    // A replica of nothing yet is no cluster.
    let empty = own.path().join("empty.db");
    drop(SqliteStore::create_replica(&empty).unwrap());
    let error = move_to_sqlite(&empty, None).await.unwrap_err();
    assert!(error.to_string().contains("never seen"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_refuses_commits_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start(directory.path()) else {
        return;
    };
    let own = tempfile::tempdir().unwrap();
    let path = own.path().join("pilotlight.db");
    let sqlite = single(own.path(), &put("a", "1"));
    let store = ClusterStore::new(Arc::clone(&sqlite));
    let settings = etcd.settings("pilotlight/");
    store.move_to_etcd(settings.clone()).await.unwrap();
    let refused = sqlite.commit(put("a", "2")).await;
    assert_eq!(refused, Err(StoreError::Replica { path: path.clone() }));
    let again = store.move_to_etcd(settings.clone()).await;
    assert_eq!(again, Err(StoreError::Replica { path }));
    assert_eq!(store.commit(put("a", "3")).await, Ok(Revision(2)));
    store.close().await;
    let store = restarted_head(own.path(), &settings).await;
    assert_eq!(value(&store, "a").await.as_deref(), Some("3"));
}
