//! The suite that every store passes.

use std::cell::Cell;
use std::sync::Arc;

use model::{Key, Transaction};
use store::{Engine, EtcdSettings, Store};
use tokio::task::JoinSet;

use super::{commit_at_last, first_head, restarted_head, server};

/// The suite has transactions of 5,000 writes.
const LIMITS: [&str; 4] = ["--max-txn-ops", "20000", "--max-request-bytes", "10485760"];

/// Settings that differ by their prefix, so that each store is new and empty. Nothing else is in this etcd, and one case
/// runs at a time: so revisions are consecutive here, which the suite counts on and stores in etcd do not promise.
fn places(etcd: &server::Etcd) -> impl Fn() -> EtcdSettings {
    let made = Cell::new(0);
    move || {
        made.set(made.get() + 1);
        etcd.settings(&format!("case-{}/", made.get()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start_with(directory.path(), &LIMITS) else {
        return;
    };
    let place = places(&etcd);
    let make = async || {
        let settings = place();
        let own = directory.path().join(&settings.prefix);
        std::fs::create_dir(&own).unwrap();
        first_head(&own, &settings).await.close().await;
        Arc::new(restarted_head(&own, &settings).await) as Arc<dyn Store>
    };
    store::conformance::run(make, outgrow_the_log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_moved_to_etcd_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start_with(directory.path(), &LIMITS) else {
        return;
    };
    let place = places(&etcd);
    let make = async || {
        let settings = place();
        let own = directory.path().join(&settings.prefix);
        std::fs::create_dir(&own).unwrap();
        let store = first_head(&own, &settings).await;
        assert_eq!(store.engine(), Engine::Etcd);
        Arc::new(store) as Arc<dyn Store>
    };
    store::conformance::run(make, outgrow_the_log).await;
}

/// The log of the replica forgets by itself, after some more than 10,000 revisions.
async fn outgrow_the_log(store: &Arc<dyn Store>) {
    let mut commits = JoinSet::new();
    for _ in 0..11_100 {
        let store = Arc::clone(store);
        commits.spawn(async move {
            let mut change = Transaction::default();
            change.put(Key::new("filler"), "");
            // So many at once may cost a busy machine its link.
            commit_at_last(store.as_ref(), &change).await;
        });
    }
    commits.join_all().await;
}
