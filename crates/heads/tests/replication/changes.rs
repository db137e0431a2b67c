//! What administrators do to files on one head.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use content::Precondition;
use futures_util::stream;
use package::Kind;

use super::cluster::{Cluster, file, until, until_alike};

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_changing_a_file_spreads() {
    let cluster = Cluster::new();
    let [one, two, three] = cluster.heads().await;
    let all = [&one, &two, &three];

    // cp, also into directories that are new.
    one.write("kickstarts/a.ks", "one");
    two.write("kickstarts/rack1/row2/b.sh", "two");
    three.write("ignition/x86_64/ignition", "program");
    three.write("clientpkgs/tar/tool-1.tar", "no tar, but there");
    three.until_text("kickstarts/a.ks", "one").await;
    one.until_text("kickstarts/rack1/row2/b.sh", "two").await;
    two.until_text("ignition/x86_64/ignition", "program").await;
    one.until_text("clientpkgs/tar/tool-1.tar", "no tar, but there")
        .await;
    until_alike(&all).await;

    // An edit in place, one by an editor that renames, and mv.
    let mut open = File::options()
        .append(true)
        .open(two.path("kickstarts/a.ks"))
        .unwrap();
    open.write_all(b" and more").unwrap();
    drop(open);
    one.until_text("kickstarts/a.ks", "one and more").await;
    one.write("kickstarts/.a.ks.swp", "three");
    fs::rename(
        one.path("kickstarts/.a.ks.swp"),
        one.path("kickstarts/a.ks"),
    )
    .unwrap();
    three.until_text("kickstarts/a.ks", "three").await;
    fs::rename(
        three.path("kickstarts/rack1"),
        three.path("kickstarts/rack9"),
    )
    .unwrap();
    one.until_text("kickstarts/rack9/row2/b.sh", "two").await;
    one.until_gone("kickstarts/rack1").await;
    until_alike(&all).await;

    // Nothing but who may use it, and when it was written.
    let path = two.path("kickstarts/a.ks");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    File::open(&path).unwrap().set_modified(long_ago).unwrap();
    until("mode and time are those of head 2", || {
        let metadata = fs::metadata(one.path("kickstarts/a.ks"));
        metadata.is_ok_and(|metadata| {
            metadata.permissions().mode() & 0o777 == 0o640
                && metadata.modified().unwrap() == long_ago
        })
    })
    .await;
    until_alike(&all).await;

    // rm, after which directories that hold nothing are gone.
    fs::remove_file(one.path("kickstarts/rack9/row2/b.sh")).unwrap();
    two.until_gone("kickstarts/rack9").await;
    fs::remove_file(two.path("kickstarts/a.ks")).unwrap();
    three.until_gone("kickstarts/a.ks").await;
    until_alike(&all).await;
    for head in all {
        assert_eq!(head.conflicts(), []);
        assert!(
            head.live
                .get()
                .manifest
                .get(&file("kickstarts/a.ks"))
                .is_some(),
            "no tombstone"
        );
    }
    for head in [one, two, three] {
        head.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_stores_is_in_the_manifest_before_the_answer() {
    let cluster = Cluster::new();
    let [one, two] = cluster.heads().await;
    let name = "api.ks".parse().unwrap();
    one.boot_files
        .put(&name, &b"by the API"[..], Precondition::None)
        .unwrap();
    one.replication
        .publish(&file("kickstarts/api.ks"))
        .await
        .unwrap();
    let listed = one
        .live
        .get()
        .manifest
        .get(&file("kickstarts/api.ks"))
        .cloned()
        .unwrap();
    let sha256 = content::Sha256Digest::of(b"by the API");
    assert_eq!(listed.version.content.unwrap().sha256, sha256);
    two.until_text("kickstarts/api.ks", "by the API").await;

    one.boot_files.delete(&name, Precondition::None).unwrap();
    one.replication
        .publish(&file("kickstarts/api.ks"))
        .await
        .unwrap();
    let listed = one
        .live
        .get()
        .manifest
        .get(&file("kickstarts/api.ks"))
        .cloned()
        .unwrap();
    assert_eq!(listed.version.content, None);
    two.until_gone("kickstarts/api.ks").await;

    // A package is listed by the other head with the file: nobody has to wait until it rests.
    let Some(tar) = tar() else { return };
    let package =
        content::packages::PackageFile::new(Kind::Tar, "site/tool-1.tar".parse().unwrap());
    let package = package.unwrap();
    let body = stream::iter([Ok(tar.into())]);
    let stored = one.packages.put(&package, None, body).await.unwrap();
    one.replication
        .publish(&file("clientpkgs/tar/site/tool-1.tar"))
        .await
        .unwrap();
    let mut listings = two.packages.changes();
    let listing = listings
        .wait_for(|listing| listing.get(&package).is_some())
        .await
        .unwrap();
    let there = listing.get(&package).unwrap();
    assert_eq!(there.package(), stored.entry.package());
    drop(listing);
    until_alike(&[&one, &two]).await;
}

/// A small tar, by tar.
fn tar() -> Option<Vec<u8>> {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("tool"), "tool").unwrap();
    let tar = std::process::Command::new("tar")
        .args(["-c", "tool"])
        .current_dir(&home)
        .output();
    if tar.is_err() {
        eprintln!("SKIPPED: tar is not installed");
    }
    Some(tar.ok()?.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_whole_or_no_file_stays_where_it_is() {
    let cluster = Cluster::new();
    let [one, two] = cluster.heads().await;
    let mut half = File::create(one.path("kickstarts/half.ks")).unwrap();
    half.write_all(b"half").unwrap();
    symlink("/etc/passwd", one.path("kickstarts/link.ks")).unwrap();
    fs::create_dir(one.path("kickstarts/empty")).unwrap();
    one.write("clientpkgs/rpm/README", "no package");
    one.write("clientpkgs/rpm/.hidden.rpm", "rsync is at it");
    one.write("ignition/README", "no program");
    one.write("ignition/riscv64/ignition", "for no machine that is served");
    one.write("kickstarts/back\\slash", "no name");
    one.write("kickstarts/whole.ks", "whole");
    two.until_text("kickstarts/whole.ks", "whole").await;
    let written = half.metadata().unwrap().modified().unwrap();
    let written = written.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    for (path, listed) in two.live.get().manifest.iter() {
        let published = Duration::from_millis(listed.version.changed.try_into().unwrap());
        // Left alone for two seconds, it counts as whole, and this machine may be that slow.
        let is_left_alone =
            *path == file("kickstarts/half.ks") && published >= written + Duration::from_secs(2);
        assert!(
            is_left_alone || *path == file("kickstarts/whole.ks"),
            "{path}"
        );
    }
    until("the link is counted", || {
        let report = one.replication.report();
        report.trees[&model::Tree::Kickstarts].symbolic_links == 1
    })
    .await;

    half.write_all(b" and half").unwrap();
    drop(half);
    two.until_text("kickstarts/half.ks", "half and half").await;
    let listed = one
        .live
        .get()
        .manifest
        .get(&file("kickstarts/half.ks"))
        .cloned()
        .unwrap();
    assert_eq!(
        listed.version.content.unwrap().size,
        13,
        "the half was there before"
    );
    assert!(fs::symlink_metadata(two.path("kickstarts/link.ks")).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_place_of_a_file_is_left_alone() {
    let cluster = Cluster::new();
    let [one, two] = cluster.heads().await;
    one.write("kickstarts/a.ks", "one");
    one.write("kickstarts/b.ks", "b");
    two.until_text("kickstarts/a.ks", "one").await;
    fs::remove_file(two.path("kickstarts/a.ks")).unwrap();
    symlink("b.ks", two.path("kickstarts/a.ks")).unwrap();
    one.write("kickstarts/c.ks", "c");
    two.until_text("kickstarts/c.ks", "c").await;
    one.write("kickstarts/a.ks", "one more");
    one.replication
        .publish(&file("kickstarts/a.ks"))
        .await
        .unwrap();
    until("it is told", || {
        let report = two.replication.report();
        report.trees[&model::Tree::Kickstarts].missing == 1 && !report.faults.is_empty()
    })
    .await;
    assert!(
        fs::symlink_metadata(two.path("kickstarts/a.ks"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(one.text("kickstarts/a.ks").as_deref(), Some("one more"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_files_come_to_be_everywhere() {
    let cluster = Cluster::new();
    for number in 0..2000 {
        let path = cluster
            .home(1)
            .join(format!("kickstarts/{}/{number}.ks", number % 20));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("file {number}")).unwrap();
    }
    let [one, two] = cluster.heads().await;
    until("all are in the manifest", || {
        one.live.get().manifest.present().count() == 2000
    })
    .await;
    until_alike(&[&one, &two]).await;
    assert!(two.replication.caught_up().await);
    let revisions = one.live.get().revision().0;
    assert!(revisions < 200, "{revisions} transactions");
    assert_eq!(two.conflicts(), []);
}
