//! What is copied to the directories, and what is found there.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;

use content::Sha256Digest;
use package::Kind;

use super::build::{Rpm, can_build, deb, tar};
use super::log;
use super::site::{Site, is_whole, read};

#[tokio::test]
async fn packages_that_are_copied_there_are_served() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    assert!(site.get(Kind::Rpm, "copied").await.is_err());

    let rpm = Rpm {
        scriptlets: "%post\necho configured",
        ..Rpm::new("copied", "1.0-1")
    };
    let rpm = rpm.build();
    let later = site.rpms().join("site/later");
    fs::create_dir_all(&later).unwrap();
    let deb = deb("copied", "1:2.0-3");
    let tar = tar("copied-4.0.tar.xz");
    rpm.copy_to(&site.rpms());
    rpm.copy_to(&later);
    deb.copy_to(&site.directory.join("deb"));
    tar.copy_to(&site.tars());

    let entry = site.listed("rpm/copied-1.0-1.x86_64.rpm", is_whole).await;
    let package = entry.package().unwrap();
    assert_eq!(package.identity.to_string(), "copied-1.0-1.x86_64");
    assert_eq!(package.sha256, Sha256Digest::of(&rpm.bytes()));
    assert_eq!(package.scriptlets, ["post"]);
    assert_eq!(package.made_of, None);
    site.listed("rpm/site/later/copied-1.0-1.x86_64.rpm", is_whole)
        .await;
    let entry = site.listed("deb/copied_1:2.0-3_all.deb", is_whole).await;
    assert_eq!(
        entry.package().unwrap().identity.version.to_string(),
        "1:2.0-3"
    );
    site.listed("tar/copied-4.0.tar.xz", is_whole).await;
    for (kind, built) in [(Kind::Rpm, rpm), (Kind::Deb, deb), (Kind::Tar, tar)] {
        let opened = site.get(kind, "copied").await.unwrap();
        assert_eq!(read(&opened), built.bytes());
        assert_eq!(opened.file.id(), opened.entry.file_id);
    }

    fs::remove_file(site.rpms().join("copied-1.0-1.x86_64.rpm")).unwrap();
    // Noticed by asking, not only by watching.
    let opened = site.get(Kind::Rpm, "copied").await.unwrap();
    assert_eq!(
        opened.entry.file.to_string(),
        "rpm/site/later/copied-1.0-1.x86_64.rpm"
    );
    fs::remove_dir_all(site.rpms().join("site")).unwrap();
    site.until("nothing of it is left", |listing| {
        listing.packages(Kind::Rpm).count() == 0
    })
    .await;
    site.packages.close().await;
}

#[tokio::test]
async fn half_a_package_is_not_served_and_the_whole_is() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let bytes = Rpm::new("halves", "1-1").build().bytes();
    let (first, second) = bytes.split_at(bytes.len() - 40);
    let mut file = File::create(site.rpms().join("halves-1-1.rpm")).unwrap();
    file.write_all(first).unwrap();
    // Long enough for it to rest: then it is broken.
    let entry = site
        .listed("rpm/halves-1-1.rpm", |entry| entry.fault().is_some())
        .await;
    assert_eq!(entry.sha256(), Some(Sha256Digest::of(first)));
    let fault = entry.fault().unwrap().to_owned();
    for wanted in ["halves", "halves-1", "halves-1-1.rpm"] {
        let error = site.get(Kind::Rpm, wanted).await.unwrap_err();
        let said = format!("rpm/halves-1-1.rpm (broken: {fault})");
        assert!(error.contains(&said), "{error}");
    }

    file.write_all(second).unwrap();
    drop(file);
    site.listed("rpm/halves-1-1.rpm", is_whole).await;
    assert_eq!(read(&site.get(Kind::Rpm, "halves").await.unwrap()), bytes);
    assert_eq!(log::lines(&["WARN", "halves-1-1.rpm", "broken"]).len(), 1);
    site.packages.close().await;
}

#[tokio::test]
async fn what_is_no_package_is_listed_with_its_fault() {
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let files = ["rpm/no.rpm", "deb/no_1_all.deb", "tar/no-1.tar.gz"];
    for path in files {
        fs::write(site.directory.join(path), "no package at all").unwrap();
    }
    fs::write(site.rpms().join("empty.rpm"), "").unwrap();
    fs::write(
        site.rpms().join("README"),
        "no package, and none by its name",
    )
    .unwrap();
    for path in files.into_iter().chain(["rpm/empty.rpm"]) {
        let entry = site.listed(path, |entry| entry.fault().is_some()).await;
        assert!(!entry.fault().unwrap().is_empty());
    }
    assert_eq!(site.packages.list().entries().count(), 4);
    site.packages.close().await;
}

#[tokio::test]
async fn a_file_that_is_replaced_is_served_as_it_is_now() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let (old, new) = (
        Rpm::new("replaced", "1-1").build(),
        Rpm::new("replaced", "2-1").build(),
    );
    let file = old.copy_to(&site.rpms());
    let entry = site.listed("rpm/replaced-1-1.x86_64.rpm", is_whole).await;
    // Before anybody can have noticed: neither the old bytes nor the old digest may be served.
    fs::write(&file, new.bytes()).unwrap();
    let opened = site.packages.open_package(&entry).await.unwrap();
    assert_eq!(opened.entry.sha256(), Some(Sha256Digest::of(&new.bytes())));
    assert_eq!(read(&opened), new.bytes());

    let other = Rpm::new("other", "1-1").build();
    fs::write(&file, other.bytes()).unwrap();
    let error = site.packages.open_package(&opened.entry).await.unwrap_err();
    assert!(error.to_string().contains("is being written to"), "{error}");
    site.packages.close().await;
}

#[tokio::test]
async fn links_that_lead_out_and_hidden_files_are_no_packages() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let rpm = Rpm::new("linked", "1-1").build();
    symlink(&rpm.file, site.rpms().join("out.rpm")).unwrap();
    symlink(rpm.file.parent().unwrap(), site.rpms().join("outside")).unwrap();
    fs::copy(&rpm.file, site.rpms().join(".linked-1-1.x86_64.rpm.Xy12ab")).unwrap();
    fs::copy(&rpm.file, site.rpms().join(".hidden.rpm")).unwrap();
    fs::copy(&rpm.file, site.rpms().join("inside.rpm")).unwrap();
    symlink("inside.rpm", site.rpms().join("link.rpm")).unwrap();
    site.listed("rpm/inside.rpm", is_whole).await;
    site.listed("rpm/link.rpm", is_whole).await;
    assert_eq!(site.packages.list().entries().count(), 2);
    site.packages.close().await;
}

#[tokio::test]
async fn after_a_restart_only_what_changed_is_read() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let rpm = Rpm::new("kept", "1-1").build();
    rpm.copy_to(&site.rpms());
    fs::write(site.rpms().join("broken.rpm"), "broken").unwrap();
    site.listed("rpm/kept-1-1.x86_64.rpm", is_whole).await;
    site.listed("rpm/broken.rpm", |entry| entry.fault().is_some())
        .await;
    site.packages.close().await;
    let before = site.packages.list();
    drop(site);

    // In the cache the digest of the one stands for that of the other: it can only have come from there.
    let cache = home.path().join("packages.cache");
    let text = fs::read_to_string(&cache).unwrap();
    let (mark, digest) = (Sha256Digest::of(b"mark"), Sha256Digest::of(&rpm.bytes()));
    let (body, _) = text.trim_end().rsplit_once('\n').unwrap();
    let body = format!("{}\n", body.replace(&digest.to_string(), &mark.to_string()));
    fs::write(
        &cache,
        format!("{body}{}\n", Sha256Digest::of(body.as_bytes())),
    )
    .unwrap();
    let site = Site::open(home.path()).await;
    let entries = |listing: &content::packages::Listing| -> Vec<_> {
        listing
            .entries()
            .map(|entry| (entry.file.clone(), entry.sha256()))
            .collect()
    };
    let mut expected = entries(&before);
    expected[1].1 = Some(mark);
    assert_eq!(entries(&site.packages.list()), expected);
    site.packages.close().await;
    drop(site);

    fs::write(&cache, "damaged").unwrap();
    let site = Site::open(home.path()).await;
    assert_eq!(entries(&site.packages.list()), entries(&before));
    let said = log::lines(&["WARN", &cache.display().to_string(), "ignored"]);
    assert_eq!(said.len(), 1, "{said:?}");
    site.packages.close().await;
}
