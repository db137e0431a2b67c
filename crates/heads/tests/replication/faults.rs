//! Heads that cannot hear of each other, and disks that are gone.

use std::fs;

use heads::replication::ReplicationError;

use super::cluster::{Cluster, file, until, until_alike};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_edits_at_once_the_later_wins_and_the_other_is_kept() {
    let cluster = Cluster::new();
    let [one, two, three] = cluster.heads().await;
    let all = [&one, &two, &three];
    one.write("kickstarts/a.ks", "old");
    until("all have it", || {
        all.iter()
            .all(|head| head.text("kickstarts/a.ks").as_deref() == Some("old"))
    })
    .await;
    until_alike(&all).await;

    two.link.cut();
    one.write("kickstarts/a.ks", "edit of one");
    three.until_text("kickstarts/a.ks", "edit of one").await;
    two.write("kickstarts/a.ks", "edit of two");
    two.write("kickstarts/b.ks", "while it was cut off");
    let refused = two.replication.publish(&file("kickstarts/a.ks")).await;
    assert!(
        matches!(refused, Err(ReplicationError::Store { .. })),
        "{refused:?}"
    );
    assert_eq!(one.text("kickstarts/a.ks").as_deref(), Some("edit of one"));
    until("it is told", || !two.replication.report().faults.is_empty()).await;

    two.link.mend();
    for head in all {
        head.until_text("kickstarts/a.ks", "edit of two").await;
        head.until_text("kickstarts/b.ks", "while it was cut off")
            .await;
    }
    until_alike(&all).await;
    let kept = ("kickstarts/a.ks".to_owned(), "edit of one".to_owned());
    assert_eq!(one.conflicts(), std::slice::from_ref(&kept));
    assert_eq!(three.conflicts(), [kept]);
    assert_eq!(two.conflicts(), []);
    until("it is counted", || one.replication.report().conflicts == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_wins_against_a_deletion_that_did_not_know_it() {
    let cluster = Cluster::new();
    let [one, two] = cluster.heads().await;
    for name in ["kickstarts/a.ks", "kickstarts/b.ks", "kickstarts/c.ks"] {
        one.write(name, "old");
        two.until_text(name, "old").await;
    }
    until_alike(&[&one, &two]).await;
    two.link.cut();
    // One deletes what two changes, and the other way round.
    fs::remove_file(one.path("kickstarts/a.ks")).unwrap();
    one.write("kickstarts/b.ks", "new");
    until("one has told", || {
        let manifest = &one.live.get().manifest;
        let content = |path| manifest.get(&file(path)).unwrap().version.content;
        content("kickstarts/a.ks").is_none()
            && content("kickstarts/b.ks").unwrap().size == 3
            && one.replication.report().trees[&model::Tree::Kickstarts].present == 2
    })
    .await;
    two.write("kickstarts/a.ks", "new");
    fs::remove_file(two.path("kickstarts/b.ks")).unwrap();
    two.link.mend();
    one.until_text("kickstarts/a.ks", "new").await;
    two.until_text("kickstarts/b.ks", "new").await;
    until_alike(&[&one, &two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_not_mounted_deletes_nothing() {
    let cluster = Cluster::new();
    let [one, two] = cluster.heads().await;
    for name in ["kickstarts/a.ks", "kickstarts/b.ks"] {
        one.write(name, name);
        two.until_text(name, name).await;
    }
    until_alike(&[&one, &two]).await;
    let mounted = one.path("mounted");
    fs::rename(one.path("kickstarts"), &mounted).unwrap();
    until("it is told", || !one.replication.report().faults.is_empty()).await;
    two.write("kickstarts/a.ks", "new");
    fs::create_dir(one.path("kickstarts")).unwrap();
    one.until_text("kickstarts/a.ks", "new").await;
    one.until_text("kickstarts/b.ks", "kickstarts/b.ks").await;
    until_alike(&[&one, &two]).await;
    let listed = two.live.get();
    assert_eq!(
        listed.manifest.present().count(),
        listed.manifest.iter().count(),
        "a tombstone"
    );
    assert_eq!((one.conflicts(), two.conflicts()), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_empty_at_the_start_deletes_nothing() {
    let cluster = Cluster::new();
    let [one, two] = cluster.heads().await;
    one.write("kickstarts/a.ks", "a");
    two.until_text("kickstarts/a.ks", "a").await;
    until_alike(&[&one, &two]).await;
    let file = one.path("kickstarts/a.ks");
    one.stop().await;
    fs::remove_file(file).unwrap();
    let one = cluster.head(1).await;
    one.until_text("kickstarts/a.ks", "a").await;
    until_alike(&[&one, &two]).await;
    assert_eq!(two.text("kickstarts/a.ks").as_deref(), Some("a"));
    // While it runs, even the only file can be deleted.
    fs::remove_file(one.path("kickstarts/a.ks")).unwrap();
    two.until_gone("kickstarts/a.ks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_edits_on_all_heads_end_alike() {
    let cluster = Cluster::new();
    let [one, two, three] = cluster.heads().await;
    let all = [&one, &two, &three];
    for turn in 0..60_u32 {
        let head = all[turn as usize % 3];
        let name = format!("kickstarts/{}.ks", turn % 4);
        match turn % 7 {
            3 => {
                let _ = fs::remove_file(head.path(&name));
            }
            5 => head.link.cut(),
            _ => head.write(&name, &format!("turn {turn}")),
        }
        if turn % 10 == 9 {
            all.iter().for_each(|head| head.link.mend());
        }
        tokio::task::yield_now().await;
    }
    all.iter().for_each(|head| head.link.mend());
    until_alike(&all).await;
    until("nothing is left to do", || {
        all.iter().all(|head| {
            let report = head.replication.report();
            report.is_caught_up() && report.trees.values().all(|tree| tree.unpublished == 0)
        })
    })
    .await;
    until_alike(&all).await;
}
