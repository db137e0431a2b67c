//! When an index changes, and what of it can be seen meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use content::Sha256Digest;
use content::packages::RepositoryError;

use super::site::{Gpg, Site, are_installed};

const PLAIN: &str = "%description\nplain\n%files\n";

fn with_both() -> Option<Site> {
    if !are_installed(&["rpmbuild", "dpkg-deb"]) {
        return None;
    }
    let site = Site::new();
    site.add_rpm("one", "1", PLAIN);
    site.add_rpm("two", "1", PLAIN);
    site.add_deb("one", "1", "");
    site.add_deb("two", "1", "");
    Some(site)
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn index_of_debs(site: &Site) -> String {
    fs::read_to_string(site.path("repo/deb/Packages")).unwrap()
}

/// Panics if something is not there that the index of rpms names, or is not what it says.
fn assert_rpm_index_is_whole(repository: &Path) {
    let repomd = fs::read_to_string(repository.join("repodata/repomd.xml")).unwrap();
    let parts = repomd.split("href=\"").skip(1);
    let parts: Vec<_> = parts.map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(parts.len(), 3, "{repomd}");
    for part in parts {
        let digest = Sha256Digest::of(&fs::read(repository.join(part)).unwrap()).to_string();
        assert!(part.contains(&digest), "{part}");
    }
}

/// The same of the index of Debian packages, as apt asks for it.
fn assert_deb_index_is_whole(repository: &Path) {
    let release = fs::read_to_string(repository.join("Release")).unwrap();
    let (_, sums) = release.split_once("SHA256:\n").unwrap();
    assert_eq!(sums.lines().count(), 2, "{release}");
    for line in sums.lines() {
        let [digest, size, _name] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{release}");
        };
        let file = fs::read(repository.join("by-hash/SHA256").join(digest)).unwrap();
        assert_eq!(Sha256Digest::of(&file).to_string(), digest);
        assert_eq!(file.len().to_string(), size);
    }
}

#[test]
fn whoever_reads_while_it_changes_finds_all_that_an_index_names() {
    let Some(site) = with_both() else {
        return;
    };
    let repository = site.repository(None);
    let all = site.entries();
    repository.rebuild(&all).unwrap();
    let (rpms, debs) = (site.path("repo/rpm"), site.path("repo/deb"));
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut rounds = 0;
            while !is_done.load(Ordering::Relaxed) || rounds == 0 {
                assert_rpm_index_is_whole(&rpms);
                assert_deb_index_is_whole(&debs);
                rounds += 1;
            }
        });
        for round in 0..40 {
            let packages = if round % 2 == 0 { &all[1..3] } else { &all[..] };
            repository.rebuild(packages).unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    // Nothing that was being written is left.
    for directory in [
        rpms.join("repodata"),
        debs.clone(),
        debs.join("by-hash/SHA256"),
    ] {
        assert!(
            names(&directory).iter().all(|name| !name.starts_with('.')),
            "{directory:?}"
        );
    }
}

#[test]
fn old_parts_are_kept_for_some_generations_and_then_removed() {
    let Some(site) = with_both() else {
        return;
    };
    let repository = site.repository(None);
    let directories = [
        site.path("repo/rpm/repodata"),
        site.path("repo/deb/by-hash/SHA256"),
    ];
    let mut all = Vec::new();
    for generation in 0..30 {
        for name in ["x.rpm", "x.deb"] {
            let kind = &name[2..];
            let from: PathBuf = site.packages(kind).join(match kind {
                "rpm" => "one-1-1.noarch.rpm",
                _ => "one_1.deb",
            });
            fs::copy(
                from,
                site.packages(kind).join(format!("{generation}-{name}")),
            )
            .unwrap();
        }
        repository.rebuild(&site.entries()).unwrap();
        all.push(directories.each_ref().map(|directory| names(directory)));
    }
    for (number, directory) in directories.iter().enumerate() {
        let kept = names(directory);
        let [first, last] = [&all[0][number], &all[28][number]];
        let gone = first.iter().filter(|name| name.as_str() != "repomd.xml");
        assert!(gone.clone().count() > 0);
        for name in gone {
            assert!(!kept.contains(name), "{name}");
        }
        // Those of the generation before, the newest of what there was then, are still there.
        assert!(
            last.iter().filter(|name| kept.contains(name)).count() > 30,
            "{kept:?}"
        );
    }
}

#[test]
fn what_crashed_leaves_nothing() {
    let Some(site) = with_both() else {
        return;
    };
    fs::create_dir_all(site.path("repo/rpm/repodata")).unwrap();
    let left = site.path("repo/rpm/repodata/.pilotlight-upload-0123456789abcdef");
    fs::write(&left, "half").unwrap();
    site.repository(None).rebuild(&site.entries()).unwrap();
    assert!(!left.exists());
}

#[test]
fn the_same_packages_leave_an_index_as_it_is() {
    let Some(site) = with_both() else {
        return;
    };
    let repository = site.repository(None);
    repository.rebuild(&site.entries()).unwrap();
    let files = ["repo/rpm/repodata/repomd.xml", "repo/deb/Release"].map(|file| site.path(file));
    // Which a rebuild would replace.
    for file in &files {
        fs::write(file, "untouched").unwrap();
    }
    repository.rebuild(&site.entries()).unwrap();
    for file in &files {
        assert_eq!(fs::read_to_string(file).unwrap(), "untouched");
    }
    site.add_deb("three", "1", "");
    repository.rebuild(&site.entries()).unwrap();
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), "untouched");
    assert!(
        fs::read_to_string(&files[1])
            .unwrap()
            .starts_with("Origin: Pilotlight\n")
    );
}

#[test]
fn a_package_that_cannot_be_read_is_left_out_until_it_can() {
    let Some(site) = with_both() else {
        return;
    };
    let repository = site.repository(None);
    let entries = site.entries();
    let (rpm, deb) = (
        site.packages("rpm").join("one-1-1.noarch.rpm"),
        site.packages("deb").join("one_1.deb"),
    );
    let aside = site.path("aside");
    fs::create_dir(&aside).unwrap();
    for file in [&rpm, &deb] {
        fs::rename(file, aside.join(file.file_name().unwrap())).unwrap();
    }
    repository.rebuild(&entries).unwrap();
    assert!(!index_of_debs(&site).contains("Package: one\n"));
    assert!(index_of_debs(&site).contains("Package: two\n"));
    assert_rpm_index_is_whole(&site.path("repo/rpm"));

    for file in [&rpm, &deb] {
        fs::rename(aside.join(file.file_name().unwrap()), file).unwrap();
    }
    repository.rebuild(&site.entries()).unwrap();
    assert!(index_of_debs(&site).contains("Package: one\n"));
}

#[test]
fn without_a_signature_the_index_stays_as_it_was() {
    let Some(site) = with_both().filter(|_| are_installed(&["gpg"])) else {
        return;
    };
    let gpg = Gpg::with_key("a@example.com");
    site.repository(Some(gpg.key("a@example.com")))
        .rebuild(&site.entries()[..1])
        .unwrap();
    let read = |file| fs::read(site.path(file)).unwrap();
    let files = [
        "repo/rpm/repodata/repomd.xml",
        "repo/rpm/repodata/repomd.xml.asc",
        "repo/deb/InRelease",
        "repo/key.asc",
    ];
    let before = files.map(read);

    let repository = site.repository(Some(gpg.key("b@example.com")));
    for _ in 0..2 {
        let error = repository.rebuild(&site.entries()).unwrap_err();
        assert!(matches!(error, RepositoryError::Sign { .. }), "{error}");
        assert!(error.to_string().contains("b@example.com"), "{error}");
        assert_eq!(files.map(read), before);
    }

    // Nor is a signature left of what is not signed any more.
    site.repository(None).rebuild(&site.entries()).unwrap();
    for file in [
        "repo/rpm/repodata/repomd.xml.asc",
        "repo/deb/InRelease",
        "repo/deb/Release.gpg",
        "repo/key.asc",
    ] {
        assert!(!site.path(file).exists(), "{file}");
    }
}
