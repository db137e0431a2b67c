//! Tars made of rpms.

use std::fs;
use std::process::Command;
use std::time::Duration;

use content::Sha256Digest;
use content::packages::{Conversion, Convert, PackagesError};
use package::{Architecture, Kind};
use tokio::task::JoinSet;

use super::build::{Rpm, can_build, tar};
use super::log;
use super::site::{Site, file, is_whole, read, settings};

/// How often a conversion of this rpm began.
fn conversions(rpm: &str) -> usize {
    log::lines(&[rpm, "making a tar of it"]).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_get_the_tar_of_one_conversion() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let rpm = Rpm {
        noise: 2 << 20,
        scriptlets: "%post\necho configured\n%preun\necho gone",
        ..Rpm::new("asked", "1-1")
    };
    let rpm = rpm.build();
    rpm.copy_to(&site.rpms());
    let entry = site.listed("rpm/asked-1-1.x86_64.rpm", is_whole).await;
    assert_eq!(site.packages.conversion(&entry), Conversion::Idle);

    let mut askers = JoinSet::new();
    for _ in 0..200 {
        let packages = site.packages.clone();
        askers.spawn(async move { packages.get(Kind::Tar, Architecture::X86_64, "asked").await });
    }
    let mut answers = Vec::new();
    while let Some(answer) = askers.join_next().await {
        answers.push(answer.unwrap().unwrap());
    }
    assert_eq!(conversions("asked-1-1.x86_64.rpm"), 1);
    let made = log::lines(&[
        "asked-1-1.x86_64.rpm",
        "made a tar of it",
        "seconds=",
        "bytes=",
    ]);
    assert_eq!(made.len(), 1);
    let scriptlets = log::lines(&["asked-1-1.x86_64.tar.gz", "scriptlets", "post preun"]);
    assert_eq!(scriptlets.len(), 1);
    let first = &answers[0];
    for answer in &answers {
        assert_eq!(answer.file.id(), first.file.id());
        assert_eq!(answer.entry, first.entry);
    }
    let bytes = read(first);
    let package = first.entry.package().unwrap();
    assert_eq!(package.sha256, Sha256Digest::of(&bytes));
    assert_eq!(package.made_of, Some(Sha256Digest::of(&rpm.bytes())));
    assert_eq!(package.scriptlets, ["post", "preun"]);
    let done = Conversion::Done {
        tar: file("tar/asked-1-1.x86_64.tar.gz"),
    };
    assert_eq!(site.packages.conversion(&entry), done);

    let unpacked = tempfile::tempdir().unwrap();
    let status = Command::new("tar")
        .arg("-C")
        .arg(unpacked.path())
        .arg("-xzf")
        .arg(first.file.path())
        .status();
    assert!(status.unwrap().success());
    let version = fs::read_to_string(unpacked.path().join("opt/asked/version"));
    assert_eq!(version.unwrap(), "asked 1\n");
    let listed = first.entry.clone();
    site.packages.close().await;

    // What was listed when it was made is what reading it tells.
    fs::remove_file(home.path().join("packages.cache")).unwrap();
    let site = Site::open(home.path()).await;
    let read = site.listed(&listed.file.to_string(), is_whole).await;
    assert_eq!(read, listed);
    site.packages.close().await;
}

#[tokio::test]
async fn an_administrators_tar_is_served_and_never_replaced() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let given = tar("given-0.1.tar.gz");
    given.copy_to(&site.tars());
    Rpm::new("given", "5-1").build().copy_to(&site.rpms());
    Rpm::new("way", "5-1").build().copy_to(&site.rpms());
    let way = site.tars().join("way-5-1.x86_64.tar.gz");
    fs::write(&way, "broken, but somebody's").unwrap();
    site.listed("tar/given-0.1.tar.gz", is_whole).await;
    site.listed("rpm/given-5-1.x86_64.rpm", is_whole).await;
    site.listed("rpm/way-5-1.x86_64.rpm", is_whole).await;
    assert_eq!(
        read(&site.get(Kind::Tar, "given").await.unwrap()),
        given.bytes()
    );
    assert_eq!(conversions("given-5-1.x86_64.rpm"), 0);

    let error = site.get(Kind::Tar, "way").await.unwrap_err();
    let said = "tar/way-5-1.x86_64.tar.gz is in the way, and was not made by Pilotlight";
    assert!(error.ends_with(said), "{error}");
    assert_eq!(fs::read_to_string(way).unwrap(), "broken, but somebody's");
    site.packages.close().await;
}

#[tokio::test]
async fn a_newer_rpm_makes_a_new_tar_that_replaces_the_old_one() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    Rpm::new("newer", "1.9-1").build().copy_to(&site.rpms());
    site.listed("rpm/newer-1.9-1.x86_64.rpm", is_whole).await;
    let old = site.get(Kind::Tar, "newer").await.unwrap();
    assert_eq!(site.tar_names(), ["newer-1.9-1.x86_64.tar.gz"]);

    Rpm::new("newer", "1.10-1").build().copy_to(&site.rpms());
    site.listed("rpm/newer-1.10-1.x86_64.rpm", is_whole).await;
    let new = site.get(Kind::Tar, "newer").await.unwrap();
    assert_eq!(new.entry.file.to_string(), "tar/newer-1.10-1.x86_64.tar.gz");
    assert_eq!(site.tar_names(), ["newer-1.10-1.x86_64.tar.gz"]);
    assert!(site.packages.list().get(&old.entry.file).is_none());
    // Who is still being sent the old one gets all of it.
    assert_eq!(Some(old.file.sha256().unwrap()), old.entry.sha256());

    // Built again, under the same name.
    let again = Rpm::new("newer", "1.10-1").build();
    again.copy_to(&site.rpms());
    let sha256 = Some(Sha256Digest::of(&again.bytes()));
    site.listed("rpm/newer-1.10-1.x86_64.rpm", |entry| {
        entry.sha256() == sha256
    })
    .await;
    let remade = site.get(Kind::Tar, "newer").await.unwrap();
    assert_eq!(remade.entry.package().unwrap().made_of, sha256);
    assert_eq!(site.tar_names(), ["newer-1.10-1.x86_64.tar.gz"]);
    site.packages.close().await;
}

#[tokio::test]
async fn a_failure_is_remembered_until_the_rpm_changes() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let whole = Rpm::new("failing", "1-1").build().bytes();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let path = site.rpms().join("failing.rpm");
    fs::write(&path, &damaged).unwrap();
    let entry = site.listed("rpm/failing.rpm", is_whole).await;
    let first = site.get(Kind::Tar, "failing").await.unwrap_err();
    let second = site.get(Kind::Tar, "failing").await.unwrap_err();
    assert!(
        first.starts_with("rpm/failing.rpm cannot be made a tar: "),
        "{first}"
    );
    assert_eq!(first, second);
    assert_eq!(conversions("rpm/failing.rpm"), 1);
    let state = site.packages.conversion(&entry);
    let Conversion::Failed { reason } = state else {
        panic!("{state:?}");
    };
    assert!(first.ends_with(&reason), "{reason}");
    assert_eq!(
        log::lines(&["WARN", "rpm/failing.rpm", "cannot be made a tar"]).len(),
        1
    );
    assert!(site.tar_names().is_empty());

    fs::write(&path, &whole).unwrap();
    let sha256 = Some(Sha256Digest::of(&whole));
    site.listed("rpm/failing.rpm", |entry| entry.sha256() == sha256)
        .await;
    let tar = site.get(Kind::Tar, "failing").await.unwrap();
    assert_eq!(tar.entry.package().unwrap().made_of, sha256);
    assert_eq!(conversions("rpm/failing.rpm"), 2);
    site.packages.close().await;
}

#[tokio::test]
async fn one_who_has_waited_long_enough_is_told_to_ask_again() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    settings.convert_wait = Duration::ZERO;
    let site = Site::open_with(settings).await;
    Rpm::new("waited", "1-1").build().copy_to(&site.rpms());
    site.listed("rpm/waited-1-1.x86_64.rpm", is_whole).await;
    let error = site
        .packages
        .tar(Architecture::X86_64, "waited")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, PackagesError::Converting { retry_after, .. } if !retry_after.is_zero()),
        "{error}"
    );
    // It goes on all the same.
    site.listed("tar/waited-1-1.x86_64.tar.gz", is_whole).await;
    site.packages
        .tar(Architecture::X86_64, "waited")
        .await
        .unwrap();
    assert_eq!(conversions("waited-1-1.x86_64.rpm"), 1);
    site.packages.close().await;
}

#[tokio::test]
async fn rpms_become_tars_on_arrival_if_asked_for() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    settings.convert = Convert::OnArrival;
    fs::create_dir_all(settings.directory.join("rpm")).unwrap();
    fs::create_dir_all(settings.directory.join("tar")).unwrap();
    let rpms = settings.directory.join("rpm");
    Rpm::new("arrived", "1-1").build().copy_to(&rpms);
    Rpm::new("arrived", "2-1").build().copy_to(&rpms);
    let mut damaged = Rpm::new("arrived-damaged", "1-1").build().bytes();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(rpms.join("arrived-damaged.rpm"), damaged).unwrap();
    let given = tar("arrived-given-1.tar.gz");
    given.copy_to(&settings.directory.join("tar"));
    let site = Site::open_with(settings).await;
    site.listed("tar/arrived-2-1.x86_64.tar.gz", is_whole).await;
    site.listed("tar/arrived-given-1.tar.gz", is_whole).await;
    Rpm::new("arrived-given", "1-1").build().copy_to(&rpms);
    site.listed("rpm/arrived-given-1-1.x86_64.rpm", is_whole)
        .await;
    site.listed("rpm/arrived-damaged.rpm", is_whole).await;
    Rpm::new("arrived-later", "1-1").build().copy_to(&rpms);
    site.listed("tar/arrived-later-1-1.x86_64.tar.gz", is_whole)
        .await;
    let mut expected = [
        "arrived-2-1.x86_64.tar.gz",
        "arrived-given-1.tar.gz",
        "arrived-later-1-1.x86_64.tar.gz",
    ];
    expected.sort_unstable();
    assert_eq!(site.tar_names(), expected);
    assert_eq!(conversions("arrived-damaged.rpm"), 1);
    site.packages.close().await;
}
