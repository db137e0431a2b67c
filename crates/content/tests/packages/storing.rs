//! Uploads and deletions.

use std::io::{self, Write as _};
use std::time::Duration;

use bytes::Bytes;
use content::packages::{PackagesError, Stored};
use content::{ContentError, PartialFile, Sha256Digest};
use futures_util::stream;
use package::Kind;

use super::build::{Rpm, can_build, tar};
use super::site::{Site, file, names, read};

async fn put(
    site: &Site,
    path: &str,
    parts: Vec<io::Result<Bytes>>,
) -> Result<Stored, PackagesError> {
    site.packages
        .put(&file(path), None, stream::iter(parts))
        .await
}

fn parts(bytes: &[u8]) -> Vec<io::Result<Bytes>> {
    let part = |part: &[u8]| Ok(Bytes::copy_from_slice(part));
    bytes.chunks(1000).map(part).collect()
}

#[tokio::test]
async fn an_upload_is_served_at_once() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let one = Rpm::new("uploaded", "1-1").build().bytes();
    let stored = put(&site, "rpm/sub/uploaded.rpm", parts(&one))
        .await
        .unwrap();
    assert!(stored.created);
    assert_eq!(stored.entry.sha256(), Some(Sha256Digest::of(&one)));
    let opened = site.get(Kind::Rpm, "uploaded").await.unwrap();
    assert_eq!(opened.entry, stored.entry);
    assert_eq!(read(&opened), one);

    let two = Rpm::new("uploaded", "2-1").build().bytes();
    let stored = put(&site, "rpm/sub/uploaded.rpm", parts(&two))
        .await
        .unwrap();
    assert!(!stored.created);
    assert_eq!(read(&site.get(Kind::Rpm, "uploaded").await.unwrap()), two);
    assert_eq!(opened.file.sha256().unwrap(), Sha256Digest::of(&one));
    assert_eq!(names(&site.rpms().join("sub")), ["uploaded.rpm"]);

    site.packages
        .remove(&file("rpm/sub/uploaded.rpm"), None)
        .await
        .unwrap();
    assert!(names(&site.rpms()).is_empty());
    assert!(site.get(Kind::Rpm, "uploaded").await.is_err());
    let error = site
        .packages
        .remove(&file("rpm/sub/uploaded.rpm"), None)
        .await
        .unwrap_err();
    assert!(
        matches!(error, PackagesError::File(ContentError::NotFound { .. })),
        "{error}"
    );
    site.packages.close().await;
}

#[tokio::test]
async fn an_upload_that_is_no_package_or_breaks_off_leaves_nothing() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let whole = Rpm::new("broken", "1-1").build().bytes();
    let half = &whole[..whole.len() / 2];
    for path in ["rpm/x/y/half.rpm", "deb/half.deb", "tar/half-1.tar"] {
        let error = put(&site, path, parts(half)).await.unwrap_err();
        assert!(matches!(error, PackagesError::Broken { .. }), "{error}");
    }
    let mut broken = parts(half);
    broken.push(Err(io::ErrorKind::ConnectionReset.into()));
    let error = put(&site, "rpm/x/half.rpm", broken).await.unwrap_err();
    assert!(
        matches!(error, PackagesError::File(ContentError::Upload { .. })),
        "{error}"
    );

    // The client is gone, and with it whoever waited for the rest.
    let endless = async_part(parts(&whole));
    let file = file("rpm/x/gone.rpm");
    let storing = site.packages.put(&file, None, endless);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), storing)
            .await
            .is_err()
    );
    site.packages.close().await;
    for kind in ["rpm", "deb", "tar"] {
        assert!(names(&site.directory.join(kind)).is_empty(), "{kind}");
    }
    assert_eq!(site.packages.list().entries().count(), 0);
}

/// These parts, and then a client that says nothing more.
fn async_part(
    parts: Vec<io::Result<Bytes>>,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send {
    use futures_util::StreamExt as _;
    stream::iter(parts).chain(stream::pending())
}

#[tokio::test]
async fn conditions_guard_uploads_and_deletions() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let (one, two) = (tar("one-1.tar").bytes(), tar("two-2.tar").bytes());
    let name = file("tar/guarded-1.tar");
    let digest = Sha256Digest::of(&one);
    let put = |bytes: &[u8], condition| {
        site.packages
            .put(&name, Some(condition), stream::iter(parts(bytes)))
    };
    let refused = |error: PackagesError| match error {
        PackagesError::File(ContentError::Precondition { found, .. }) => found,
        error => panic!("{error}"),
    };
    let error = put(&one, Box::new(|found| found.is_some()))
        .await
        .unwrap_err();
    assert_eq!(refused(error), None);
    put(&one, Box::new(|found| found.is_none())).await.unwrap();
    let error = put(&two, Box::new(|found| found.is_none()))
        .await
        .unwrap_err();
    assert_eq!(refused(error), Some(digest));
    put(&two, Box::new(move |found| found == Some(&digest)))
        .await
        .unwrap();
    let condition =
        Some(Box::new(move |found: Option<&Sha256Digest>| found == Some(&digest)) as Box<_>);
    let error = site.packages.remove(&name, condition).await.unwrap_err();
    assert_eq!(refused(error), Some(Sha256Digest::of(&two)));
    let opened = site.get(Kind::Tar, "guarded").await.unwrap();
    assert_eq!(read(&opened), two);
    site.packages.close().await;
}

#[tokio::test]
async fn what_another_head_had_is_listed_with_its_file() {
    if !can_build() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let site = Site::open(home.path()).await;
    let rpm = file("rpm/sub/one-1-1.rpm");
    let arrived = |bytes: &[u8]| {
        let root = site.packages.root(Kind::Rpm);
        let partial = PartialFile::open(root, rpm.name(), Sha256Digest::of(bytes)).unwrap();
        (&mut partial.file()).write_all(bytes).unwrap();
        partial
    };
    let listed = || site.packages.list().get(&rpm).cloned().unwrap();
    let one = Rpm::new("one", "1-1").build().bytes();
    let sha256 = Sha256Digest::of(&one);
    let placed = site
        .packages
        .place(&rpm, arrived(&one), sha256, None)
        .unwrap();
    assert_eq!(listed().package().unwrap().sha256, sha256);
    assert_eq!(read(&site.get(Kind::Rpm, "one").await.unwrap()), one);

    // Another time is another state of the file, of the same package.
    let set = site
        .packages
        .set_metadata(&rpm, placed, 0o600, 1_000_000_000);
    let set = set.unwrap();
    assert_eq!(listed().file_id, set.id);
    assert_eq!(listed().package().unwrap().sha256, sha256);

    let half = &one[..one.len() / 2];
    let sha256 = Sha256Digest::of(half);
    let placed = site
        .packages
        .place(&rpm, arrived(half), sha256, Some(set))
        .unwrap();
    assert!(listed().fault().is_some());
    assert_eq!(listed().sha256(), Some(sha256));
    site.packages.remove_replica(&rpm, placed).unwrap();
    assert_eq!(site.packages.list().entries().count(), 0);
    assert!(names(&site.rpms()).is_empty());
    site.packages.close().await;
}
