//! Which package is wanted.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use package::{Architecture, Kind};

use super::listing::compare;
use super::{Entry, Listing, Package, PackageFile, PackagesError};
use crate::FileName;

/// How many files an error names.
const SHOWN: usize = 20;

/// Where a tar is to be had.
#[derive(Debug)]
pub(super) enum Tar {
    There(Arc<Entry>),
    /// Made of this rpm, already or only now.
    OfRpm(Arc<Entry>),
}

impl Listing {
    /// As [`Packages::find`](super::Packages::find).
    ///
    /// # Errors
    /// [`PackagesError::NotFound`]
    pub fn find(
        &self,
        kind: Kind,
        architecture: Architecture,
        wanted: &str,
    ) -> Result<Arc<Entry>, PackagesError> {
        match self.newest(kind, architecture, wanted, |_| true) {
            Some(entry) => Ok(Arc::clone(entry)),
            None => Err(PackagesError::NotFound {
                kind,
                architecture,
                wanted: wanted.to_owned(),
                there: self.what_is_there(kind, wanted),
            }),
        }
    }

    /// The tar that `wanted` names: an administrator's; else the one to be made of the newest rpm; else one that was
    /// made of an rpm that is gone.
    pub(super) fn tar(
        &self,
        architecture: Architecture,
        wanted: &str,
    ) -> Result<Tar, PackagesError> {
        let given = |package: &Package| package.made_of.is_none();
        if let Some(tar) = self.newest(Kind::Tar, architecture, wanted, given) {
            return Ok(Tar::There(Arc::clone(tar)));
        }
        let of_rpm = wanted.strip_suffix(".tar.gz").unwrap_or(wanted);
        if let Some(rpm) = self.newest(Kind::Rpm, architecture, of_rpm, |_| true) {
            return Ok(Tar::OfRpm(Arc::clone(rpm)));
        }
        if let Some(tar) = self.newest(Kind::Tar, architecture, wanted, |_| true) {
            return Ok(Tar::There(Arc::clone(tar)));
        }
        let [tars, rpms] = [Kind::Tar, Kind::Rpm].map(|kind| self.what_is_there(kind, wanted));
        Err(PackagesError::NotFound {
            kind: Kind::Tar,
            architecture,
            wanted: wanted.to_owned(),
            there: format!("{tars}; among the rpms {rpms}"),
        })
    }

    /// The newest package that `wanted` can mean, among the `eligible`: a file of that name, whatever it runs on; else
    /// a package of that name; else one of that name and version.
    pub(super) fn newest<'a>(
        &'a self,
        kind: Kind,
        architecture: Architecture,
        wanted: &str,
        eligible: impl Fn(&Package) -> bool,
    ) -> Option<&'a Arc<Entry>> {
        let newest = |entries: Vec<&'a Arc<Entry>>, meant: &dyn Fn(&Package) -> bool| {
            let packages = entries
                .into_iter()
                .filter_map(|entry| Some((entry, entry.package()?)))
                .filter(|(_, package)| meant(package) && eligible(package));
            let newest = packages.max_by(|a, b| precedence(kind, architecture, *a, *b));
            newest.map(|(entry, _)| entry)
        };
        let runs = |package: &Package| package.identity.architecture.runs_on(architecture);
        newest(self.called(kind, wanted), &|_| true)
            .or_else(|| newest(self.named(kind, wanted), &runs))
            .or_else(|| {
                wanted.rmatch_indices('-').find_map(|(end, _)| {
                    let (name, version) = (&wanted[..end], &wanted[end + 1..]);
                    newest(self.named(kind, name), &|package| {
                        runs(package) && is_version(package, version)
                    })
                })
            })
    }

    /// The files called `wanted`, in whatever directory; but if it is a path, that very file.
    fn called(&self, kind: Kind, wanted: &str) -> Vec<&Arc<Entry>> {
        let name = wanted.parse::<FileName>().ok();
        let Some(file) = name.and_then(|name| PackageFile::new(kind, name).ok()) else {
            return Vec::new();
        };
        if let Some(entry) = self.get(&file) {
            return vec![entry];
        }
        let packages = self.packages(kind);
        packages
            .filter(|entry| entry.file.base_name() == wanted)
            .collect()
    }

    fn named(&self, kind: Kind, name: &str) -> Vec<&Arc<Entry>> {
        let name = name.parse().ok();
        let entries = name.map(|name| self.named_entries(kind, &name).collect());
        entries.unwrap_or_default()
    }

    /// What there is of a kind that may have been meant, else what there is at all.
    fn what_is_there(&self, kind: Kind, wanted: &str) -> String {
        let files = || self.entries().filter(|entry| entry.kind() == kind);
        let alike = files().filter(|entry| {
            let name = entry
                .package()
                .map(|package| package.identity.name.as_str());
            entry.file.base_name().starts_with(wanted)
                || name.is_some_and(|name| wanted.starts_with(name))
        });
        let alike: Vec<_> = alike
            .map(|entry| match entry.fault() {
                None => entry.file.to_string(),
                Some(fault) => format!("{} (broken: {fault})", entry.file),
            })
            .collect();
        if !alike.is_empty() {
            return format!("there is {}", shown(&alike));
        }
        let names: Vec<_> = self.names(kind).map(ToString::to_string).collect();
        match files().count() {
            0 => format!("there are no {kind} packages at all"),
            _ if names.is_empty() => format!("all {kind} packages are broken"),
            _ => format!("there is {}", shown(&names)),
        }
    }
}

fn shown(names: &[String]) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let names = &names[..names.len() - more];
    match more {
        0 => names.join(", "),
        _ => format!("{}, and {more} more", names.join(", ")),
    }
}

/// Which of two packages is to be had: the newer one; of these, one for the architecture rather than for all.
fn precedence(
    kind: Kind,
    architecture: Architecture,
    (a_entry, a): (&Arc<Entry>, &Package),
    (b_entry, b): (&Arc<Entry>, &Package),
) -> Ordering {
    let is_exact =
        |package: &Package| package.identity.architecture.as_str().parse() == Ok(architecture);
    compare(kind, &a.identity.version, &b.identity.version)
        .then_with(|| is_exact(a).cmp(&is_exact(b)))
        .then_with(|| Reverse(&a_entry.file).cmp(&Reverse(&b_entry.file)))
}

/// Whether `text` is `version[-release][.architecture]` of the package, with or without the epoch.
fn is_version(package: &Package, text: &str) -> bool {
    let version = &package.identity.version;
    let architecture = package.identity.architecture.as_str();
    let text = text
        .strip_prefix(&format!("{}:", version.epoch()))
        .unwrap_or(text);
    let Some(rest) = text.strip_prefix(version.version()) else {
        return false;
    };
    let rest = match version.release() {
        Some(release) if !rest.is_empty() => rest
            .strip_prefix('-')
            .and_then(|rest| rest.strip_prefix(release)),
        _ => Some(rest),
    };
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.') == Some(architecture))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::SystemTime;

    use package::Architecture::{Aarch64, X86_64};
    use package::Identity;

    use super::super::Fault;
    use super::*;
    use crate::{FileId, Sha256Digest};

    fn entry(path: &str, content: Result<Package, Fault>) -> Arc<Entry> {
        let (kind, name) = path.split_once('/').unwrap();
        Arc::new(Entry {
            file: PackageFile::new(kind.parse().unwrap(), name.parse().unwrap()).unwrap(),
            file_id: FileId {
                dev: 0,
                ino: 0,
                size: 0,
                mtime: SystemTime::UNIX_EPOCH,
                ctime: SystemTime::UNIX_EPOCH,
            },
            content,
        })
    }

    fn package(path: &str, name: &str, version: &str, architecture: &str) -> Arc<Entry> {
        let identity = Identity {
            name: name.parse().unwrap(),
            version: version.parse().unwrap(),
            architecture: architecture.parse().unwrap(),
        };
        let package = Package {
            identity,
            sha256: Sha256Digest::of(path.as_bytes()),
            scriptlets: Vec::new(),
            made_of: None,
        };
        entry(path, Ok(package))
    }

    fn made(path: &str, name: &str, version: &str, rpm: &str) -> Arc<Entry> {
        let mut tar = Entry::clone(&package(path, name, version, "x86_64"));
        if let Ok(package) = &mut tar.content {
            package.made_of = Some(Sha256Digest::of(rpm.as_bytes()));
        }
        Arc::new(tar)
    }

    fn broken(path: &str) -> Arc<Entry> {
        let fault = Fault {
            reason: "cut short".to_owned(),
            sha256: None,
        };
        entry(path, Err(fault))
    }

    fn listing(entries: impl IntoIterator<Item = Arc<Entry>>) -> Listing {
        let mut listing = Listing::default();
        entries.into_iter().for_each(|entry| listing.insert(entry));
        listing
    }

    fn site() -> Listing {
        listing([
            package("rpm/a-1.9-1.rpm", "a", "1.9-1", "x86_64"),
            package("rpm/a-1.10-1.rpm", "a", "1.10-1", "x86_64"),
            package("rpm/a-1.10-1.arm.rpm", "a", "1.10-1", "aarch64"),
            package("rpm/a-2-1.arm.rpm", "a", "2-1", "aarch64"),
            package("rpm/misnamed.rpm", "a-b", "1:1.0-1", "noarch"),
            package("rpm/old/a-b-3.0-1.rpm", "a-b", "3.0-1", "noarch"),
            package("rpm/c.noarch.rpm", "c", "1-1", "noarch"),
            package("rpm/c.x86_64.rpm", "c", "1-1", "x86_64"),
            package("rpm/z/c.x86_64.rpm", "c", "1-1", "x86_64"),
            package("deb/a_1.0~rc1_all.deb", "a", "1.0~rc1-1", "all"),
            package("deb/a_1.0_all.deb", "a", "1.0-1", "all"),
            broken("rpm/broken-7.rpm"),
        ])
    }

    #[test]
    fn the_wanted_package_is_found() {
        let site = site();
        let table = [
            (Kind::Rpm, X86_64, "a", "rpm/a-1.10-1.rpm"),
            (Kind::Rpm, Aarch64, "a", "rpm/a-2-1.arm.rpm"),
            (Kind::Rpm, X86_64, "a-1.9", "rpm/a-1.9-1.rpm"),
            (Kind::Rpm, X86_64, "a-1.9-1", "rpm/a-1.9-1.rpm"),
            (Kind::Rpm, X86_64, "a-1.9-1.x86_64", "rpm/a-1.9-1.rpm"),
            (Kind::Rpm, Aarch64, "a-1.10", "rpm/a-1.10-1.arm.rpm"),
            // The epoch counts above the version, and may be left out.
            (Kind::Rpm, X86_64, "a-b", "rpm/misnamed.rpm"),
            (Kind::Rpm, X86_64, "a-b-1.0", "rpm/misnamed.rpm"),
            (Kind::Rpm, X86_64, "a-b-1:1.0-1", "rpm/misnamed.rpm"),
            (Kind::Rpm, X86_64, "a-b-3.0", "rpm/old/a-b-3.0-1.rpm"),
            // A file by its name, whatever it runs on and wherever it is.
            (Kind::Rpm, X86_64, "a-2-1.arm.rpm", "rpm/a-2-1.arm.rpm"),
            (Kind::Rpm, X86_64, "a-b-3.0-1.rpm", "rpm/old/a-b-3.0-1.rpm"),
            (
                Kind::Rpm,
                X86_64,
                "old/a-b-3.0-1.rpm",
                "rpm/old/a-b-3.0-1.rpm",
            ),
            // What is made for the architecture before what is made for all, then the first by name.
            (Kind::Rpm, X86_64, "c", "rpm/c.x86_64.rpm"),
            (Kind::Rpm, Aarch64, "c", "rpm/c.noarch.rpm"),
            (Kind::Deb, X86_64, "a", "deb/a_1.0_all.deb"),
            (Kind::Deb, Aarch64, "a-1.0~rc1", "deb/a_1.0~rc1_all.deb"),
        ];
        for (kind, architecture, wanted, expected) in table {
            let found = site.find(kind, architecture, wanted);
            let found = found.unwrap_or_else(|error| panic!("{wanted}: {error}"));
            assert_eq!(found.file.to_string(), expected, "{kind} {wanted}");
        }
    }

    #[test]
    fn what_is_not_found_is_told_with_what_there_is() {
        let table = [
            (Kind::Rpm, "a-3", "rpm/a-1.10-1.arm.rpm"),
            (Kind::Rpm, "a-1.9-2", "rpm/a-1.9-1.rpm"),
            (Kind::Rpm, "misnamed", "rpm/misnamed.rpm"),
            (
                Kind::Rpm,
                "broken-7.rpm",
                "rpm/broken-7.rpm (broken: cut short)",
            ),
            (Kind::Rpm, "broken", "rpm/broken-7.rpm (broken: cut short)"),
            (Kind::Rpm, "nothing", "there is a, a-b, c"),
            (Kind::Rpm, "../../etc/passwd", "there is a, a-b, c"),
            (Kind::Rpm, "", "rpm/a-1.10-1.arm.rpm"),
            (Kind::Tar, "a", "there are no tar packages at all"),
        ];
        for (kind, wanted, expected) in table {
            let error = site().find(kind, X86_64, wanted).unwrap_err().to_string();
            let begin = format!("no {kind} package \"{wanted}\" for x86_64; ");
            assert!(error.starts_with(&begin), "{error}");
            assert!(error.contains(expected), "{error}");
        }
        let error = site().find(Kind::Rpm, Aarch64, "c.nothing").unwrap_err();
        assert!(error.to_string().contains("rpm/c.noarch.rpm"), "{error}");
    }

    #[test]
    fn an_administrators_tar_comes_before_the_newest_rpm_and_that_before_what_was_made() {
        let rpm = package("rpm/a-2.rpm", "a", "2-1", "x86_64");
        let old = made("tar/a-1-1.x86_64.tar.gz", "a", "1-1", "rpm/a-1.rpm");
        let given = package("tar/a-0.1.tar", "a", "0.1", "noarch");
        let tar = |listing: &Listing, wanted| match listing.tar(X86_64, wanted).unwrap() {
            Tar::There(entry) => format!("there {}", entry.file),
            Tar::OfRpm(entry) => format!("of {}", entry.file),
        };
        let only_made = listing([Arc::clone(&old)]);
        assert_eq!(tar(&only_made, "a"), "there tar/a-1-1.x86_64.tar.gz");
        let with_rpm = listing([Arc::clone(&old), Arc::clone(&rpm)]);
        assert_eq!(tar(&with_rpm, "a"), "of rpm/a-2.rpm");
        assert_eq!(tar(&with_rpm, "a-2-1.x86_64.tar.gz"), "of rpm/a-2.rpm");
        assert_eq!(tar(&with_rpm, "a-1"), "there tar/a-1-1.x86_64.tar.gz");
        let with_given = listing([old, rpm, given]);
        assert_eq!(tar(&with_given, "a"), "there tar/a-0.1.tar");
        assert_eq!(tar(&with_given, "a-2"), "of rpm/a-2.rpm");
        let error = with_given.tar(Aarch64, "b").unwrap_err().to_string();
        let expected = "no tar package \"b\" for aarch64; there is a; among the rpms there is a";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_package_that_changes_its_name_is_not_found_by_the_old_one() {
        let mut listing = site();
        listing.insert(package("rpm/c.x86_64.rpm", "d", "1-1", "x86_64"));
        let found = listing.find(Kind::Rpm, X86_64, "c").unwrap();
        assert_eq!(found.file.to_string(), "rpm/z/c.x86_64.rpm");
        let found = listing.find(Kind::Rpm, X86_64, "d").unwrap();
        assert_eq!(listing.by_id(&found.id()), Some(&found));
        listing.remove(&found.file);
        assert!(listing.find(Kind::Rpm, X86_64, "d").is_err());
        assert!(listing.get(&found.file).is_none());
        assert!(listing.by_id(&found.id()).is_none());
    }

    #[test]
    fn of_each_name_and_architecture_the_newest_is_told() {
        let site = site();
        let newest = site.newest_of_each(Kind::Rpm);
        let newest: Vec<_> = newest.map(|entry| entry.file.to_string()).collect();
        let expected = [
            "rpm/a-2-1.arm.rpm",
            "rpm/a-1.10-1.rpm",
            "rpm/misnamed.rpm",
            "rpm/c.noarch.rpm",
            "rpm/c.x86_64.rpm",
        ];
        assert_eq!(newest, expected);
    }
}
