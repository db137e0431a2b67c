//! Repositories that keep up with their packages.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use content::packages::{Convert, Packages, Settings};

use super::site::{Site, are_installed};

/// Waits until the index of Debian packages is as it is wanted.
async fn until(site: &Site, wanted: impl Fn(&str) -> bool) {
    let mut index = String::new();
    for _ in 0..3000 {
        index = fs::read_to_string(site.path("repo/deb/Packages")).unwrap_or_default();
        if wanted(&index) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("in vain: {index}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_arrives_is_offered_and_one_that_goes_is_not() {
    if !are_installed(&["dpkg-deb"]) {
        return;
    }
    let site = Site::new();
    site.add_deb("one", "1", "");
    let packages = Packages::open(Settings {
        directory: site.path("packages"),
        cache: site.path("cache"),
        convert: Convert::OnRequest,
        convert_wait: Duration::from_secs(1),
        limits: package::rpm::Limits::default(),
    });
    let packages = packages.await.unwrap();
    let repository = Arc::new(site.repository(None));
    let following = tokio::spawn(repository.follow(packages.changes()));
    until(&site, |index| index.contains("Package: one\n")).await;

    site.add_deb("two", "1", "");
    until(&site, |index| index.contains("Package: two\n")).await;

    fs::remove_file(site.packages("deb").join("one_1.deb")).unwrap();
    until(&site, |index| !index.contains("Package: one\n")).await;
    until(&site, |index| index.contains("Package: two\n")).await;

    packages.close().await;
    drop(packages);
    following.await.unwrap();
}
