//! A full disk.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use content::packages::{PackagesError, Settings};
use content::{ContentError, Sha256Digest};
use futures_util::stream;
use package::Kind;

use super::build::{Rpm, can_build};
use super::site::{Site, file, names, settings};

const DISK: &str = "PILOTLIGHT_TEST_FULL_DISK";

/// Runs itself again in a mount namespace where the directory is a file system of 1 MiB.
#[tokio::test]
async fn a_full_disk_leaves_no_litter_and_what_was_there() {
    if let Some(disk) = std::env::var_os(DISK) {
        return fill_up(Path::new(&disk)).await;
    }
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mount = r#"mount -t tmpfs -o size=1m,mode=755 tmpfs "$0" || exit 99; exec "$@""#;
    for namespace in ["-Urm", "-m"] {
        let output = Command::new("unshare")
            .args([namespace, "sh", "-c", mount])
            .arg(home.path())
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "full_disk::a_full_disk_leaves_no_litter_and_what_was_there",
            ])
            .env(DISK, home.path())
            .output();
        // 1 and 99: no namespace, no mount. The test harness ends with 0 or 101.
        match output {
            Ok(output) if matches!(output.status.code(), Some(1 | 99)) => {}
            Ok(output) => {
                let stdout = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "{stdout}");
                assert!(stdout.contains("1 passed"), "{stdout}");
                return;
            }
            Err(error) => eprintln!("unshare: {error}"),
        }
    }
    eprintln!("NOT TESTED: a full disk (this system permits no mount namespace)");
}

async fn fill_up(disk: &Path) {
    let elsewhere = tempfile::tempdir().unwrap();
    let site = Site::open_with(Settings {
        directory: disk.to_owned(),
        ..settings(elsewhere.path())
    })
    .await;
    let put = async |path: &str, bytes: Vec<u8>| {
        let body = stream::iter([Ok(Bytes::from(bytes))]);
        site.packages.put(&file(path), None, body).await
    };
    let old = Rpm::new("room", "1-1").build().bytes();
    put("rpm/room.rpm", old.clone()).await.unwrap();
    let noise = 600 << 10;
    let large = Rpm {
        noise,
        ..Rpm::new("large", "1-1")
    };
    put("rpm/large.rpm", large.build().bytes()).await.unwrap();
    let larger = Rpm {
        noise,
        ..Rpm::new("room", "2-1")
    };
    let error = put("rpm/room.rpm", larger.build().bytes())
        .await
        .unwrap_err();
    assert!(
        matches!(error, PackagesError::File(ContentError::NoSpace { .. })),
        "{error}"
    );
    assert_eq!(names(&site.rpms()), ["large.rpm", "room.rpm"]);
    let room = site.get(Kind::Rpm, "room").await.unwrap();
    assert_eq!(room.entry.sha256(), Some(Sha256Digest::of(&old)));

    let error = site.get(Kind::Tar, "large").await.unwrap_err();
    assert!(error.contains("no room for"), "{error}");
    assert!(site.tar_names().is_empty());
    // A small one still fits.
    site.get(Kind::Tar, "room").await.unwrap();

    site.packages.close().await;
}
