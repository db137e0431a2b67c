//! Heads that come late, or come back.

use std::fs;
use std::time::Duration;

use heads::replication::Fetched;
use tokio::time::Instant;

use super::cluster::{Cluster, file, until, until_alike};

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_was_away_catches_up() {
    let cluster = Cluster::new();
    let [one, two] = cluster.heads().await;
    for name in ["edited", "deleted", "kept", "mine"] {
        one.write(&format!("kickstarts/{name}"), "old");
        two.until_text(&format!("kickstarts/{name}"), "old").await;
    }
    until_alike(&[&one, &two]).await;
    let home = two.home.clone();
    two.stop().await;

    one.write("kickstarts/edited", "new");
    one.write("kickstarts/added", "new");
    fs::remove_file(one.path("kickstarts/deleted")).unwrap();
    let manifest = || one.live.get().manifest.present().count();
    until("it is deleted", || {
        manifest() == 4
            && one
                .live
                .get()
                .manifest
                .get(&file("kickstarts/deleted"))
                .unwrap()
                .version
                .content
                .is_none()
    })
    .await;
    // Meanwhile its own administrator changed something as well.
    fs::write(home.join("kickstarts/mine"), "mine").unwrap();
    fs::remove_file(home.join("kickstarts/kept")).unwrap();

    let two = cluster.head(2).await;
    two.until_text("kickstarts/edited", "new").await;
    two.until_text("kickstarts/added", "new").await;
    two.until_gone("kickstarts/deleted").await;
    one.until_text("kickstarts/mine", "mine").await;
    one.until_gone("kickstarts/kept").await;
    until_alike(&[&one, &two]).await;
    assert_eq!((one.conflicts(), two.conflicts()), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_joins_takes_what_the_cluster_has() {
    let cluster = Cluster::new();
    let one = cluster.head(1).await;
    one.write("kickstarts/a.ks", "the cluster's");
    one.write("kickstarts/gone.ks", "old");
    one.write("kickstarts/same.ks", "same");
    until("all is published", || {
        one.live.get().manifest.present().count() == 3
    })
    .await;
    fs::remove_file(one.path("kickstarts/gone.ks")).unwrap();
    until("it is deleted", || {
        one.live.get().manifest.present().count() == 2
    })
    .await;

    let home = cluster.home(2);
    fs::create_dir_all(home.join("kickstarts")).unwrap();
    for (name, text) in [
        ("a.ks", "mine"),
        ("gone.ks", "mine, too"),
        ("same.ks", "same"),
        ("new.ks", "new"),
    ] {
        fs::write(home.join("kickstarts").join(name), text).unwrap();
    }
    let two = cluster.head(2).await;
    assert!(two.replication.caught_up().await);
    two.until_text("kickstarts/a.ks", "the cluster's").await;
    two.until_gone("kickstarts/gone.ks").await;
    assert_eq!(two.text("kickstarts/new.ks").as_deref(), Some("new"));
    one.until_text("kickstarts/new.ks", "new").await;
    until_alike(&[&one, &two]).await;
    let aside = |path: &str, text: &str| (format!("kickstarts/{path}"), text.to_owned());
    assert_eq!(
        two.conflicts(),
        [aside("a.ks", "mine"), aside("gone.ks", "mine, too")]
    );
    assert_eq!(one.conflicts(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_what_was_agreed_on_costs_hashing_only() {
    let cluster = Cluster::new();
    let [one, two] = cluster.heads().await;
    one.write("kickstarts/a.ks", "a");
    one.write("kickstarts/b.ks", "b");
    until_alike(&[&one, &two]).await;
    two.until_text("kickstarts/b.ks", "b").await;
    let home = two.home.clone();
    two.stop().await;
    one.write("kickstarts/a.ks", "new");
    until("it is published", || {
        let manifest = &one.live.get().manifest;
        manifest
            .get(&file("kickstarts/a.ks"))
            .unwrap()
            .version
            .content
            .unwrap()
            .size
            == 3
    })
    .await;
    fs::write(home.join("replication.json"), "damaged").unwrap();
    let two = cluster.head(2).await;
    two.until_text("kickstarts/a.ks", "new").await;
    until_alike(&[&one, &two]).await;
    // Nobody knows any more that it was only old.
    assert_eq!(
        two.conflicts(),
        [("kickstarts/a.ks".to_owned(), "a".to_owned())]
    );
    assert_eq!(one.conflicts(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_waits_for_comes_first() {
    let cluster = Cluster::new();
    let [one, two] = cluster.heads().await;
    two.is_open.send_replace(false);
    one.write("kickstarts/a.ks", "a");
    one.write("kickstarts/b.ks", "b");
    let (a, b) = (file("kickstarts/a.ks"), file("kickstarts/b.ks"));
    let is_listed = |path| two.live.get().manifest.get(path).is_some();
    until("they are in the manifest", || {
        is_listed(&a) && is_listed(&b)
    })
    .await;
    let soon = Instant::now() + Duration::from_secs(60);
    assert_eq!(two.replication.fetch(&a, soon).await, Fetched::Here);
    assert_eq!(two.text("kickstarts/a.ks").as_deref(), Some("a"));
    assert_eq!(two.text("kickstarts/b.ks"), None);
    let unknown = two.replication.fetch(&file("kickstarts/c.ks"), soon).await;
    assert_eq!(unknown, Fetched::Unknown);
    until("what is to come is told", || {
        let report = two.replication.report();
        let tree = report.trees[&model::Tree::Kickstarts];
        (tree.present, tree.missing, tree.bytes_to_come) == (1, 1, 1) && !report.is_caught_up()
    })
    .await;

    // Nobody has it who could give it: the asker does not wait for ever.
    one.stop().await;
    let now = Instant::now() + Duration::from_millis(200);
    assert_eq!(two.replication.fetch(&b, now).await, Fetched::NotYet);
    let one = cluster.head(1).await;
    two.is_open.send_replace(true);
    two.until_text("kickstarts/b.ks", "b").await;
    drop(one);
}
