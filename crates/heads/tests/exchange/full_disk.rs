//! Pulling to a disk that is full.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use content::ContentError;
use heads::exchange::{PullError, RateLimit, Urgency};
use model::{FilePath, Tree};

use crate::cluster::Cluster;

/// A file system in memory, mounted until this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mounted = mount(&at, &format!("size={size}"));
        mounted.then_some(Self(at))
    }

    fn resize(&self, size: &str) {
        assert!(mount(&self.0, &format!("remount,size={size}")));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn mount(at: &Path, options: &str) -> bool {
    let output = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(at)
        .output()
        .unwrap();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        // Where even this cannot be said, nobody listens.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: a full disk: cannot mount one: {said}"
        );
    }
    output.status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_what_fitted_is_kept() {
    let cluster = Cluster::new().await;
    let Some(disk) = SmallDisk::mount(cluster.home.path().join("head2"), "8m") else {
        return;
    };
    let (first, second) = (cluster.head(1).await, cluster.head(2).await);
    let puller = second.puller(RateLimit::new(None));
    let path = FilePath::new(Tree::Clientpkgs, "rpm/a.rpm");
    let content = first.local.put(&path, &vec![7; 10 << 20]);
    let error = puller
        .pull(&path, &content, Urgency::Background)
        .await
        .unwrap_err();
    let PullError::Store(cause) = &error else {
        panic!("{error}");
    };
    assert!(matches!(**cause, ContentError::NoSpace { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("no room for \"rpm/a.rpm\" in "), "{said}");
    let before = puller.status().bytes;

    // Of a large file it is known before anything is fetched.
    let large = FilePath::new(Tree::Clientpkgs, "rpm/large.rpm");
    let larger = first.local.put(&large, &vec![8; 20 << 20]);
    let error = puller.pull(&large, &larger, Urgency::Background).await;
    assert!(matches!(error, Err(PullError::Store(_))));
    assert_eq!(puller.status().bytes, before);

    disk.resize("64m");
    for (path, content) in [(&path, &content), (&large, &larger)] {
        puller
            .pull(path, content, Urgency::Background)
            .await
            .unwrap();
        assert_eq!(
            fs::metadata(second.local.path(path)).unwrap().len(),
            content.size
        );
    }
    let fetched = puller.status().bytes - before;
    assert!(
        fetched < content.size / 2 + larger.size,
        "it went on: {fetched}"
    );
}
