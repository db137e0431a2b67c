//! All packages there are.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use package::{Kind, PackageName, Version};

use super::{Entry, Package, PackageFile};
use crate::Sha256Digest;

/// All files among the packages that rest: whole packages, and broken ones with their fault.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    entries: BTreeMap<PackageFile, Arc<Entry>>,
    by_name: BTreeMap<(Kind, PackageName), BTreeSet<PackageFile>>,
    complete: bool,
}

impl Listing {
    /// All of them, by kind and name.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// Whole packages of a kind, by file name.
    pub fn packages(&self, kind: Kind) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries()
            .filter(move |entry| entry.kind() == kind && entry.package().is_some())
    }

    /// The file of that name.
    #[must_use]
    pub fn get(&self, file: &PackageFile) -> Option<&Arc<Entry>> {
        self.entries.get(file)
    }

    /// The file of that [`Entry::id`].
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Arc<Entry>> {
        self.entries().find(|entry| entry.id() == id)
    }

    /// Whether all that lay there at the start has been read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The tar that Pilotlight made of that rpm.
    pub(super) fn tar_made_of(&self, name: &PackageName, rpm: Sha256Digest) -> Option<&Arc<Entry>> {
        let made = |entry: &&Arc<Entry>| {
            let package = entry.package();
            package.is_some_and(|package| package.made_of == Some(rpm))
        };
        self.named_entries(Kind::Tar, name).find(made)
    }

    /// The names of all whole packages of a kind.
    pub(super) fn names(&self, kind: Kind) -> impl Iterator<Item = &PackageName> {
        let names = self.by_name.keys().filter(move |(other, _)| *other == kind);
        names.map(|(_, name)| name)
    }

    /// Whole packages of that name.
    pub(super) fn named_entries(
        &self,
        kind: Kind,
        name: &PackageName,
    ) -> impl Iterator<Item = &Arc<Entry>> {
        let files = self
            .by_name
            .get(&(kind, name.clone()))
            .into_iter()
            .flatten();
        files.filter_map(|file| self.entries.get(file))
    }

    /// Of each name and architecture the newest package.
    pub(super) fn newest_of_each(&self, kind: Kind) -> impl Iterator<Item = &Arc<Entry>> {
        let mut newest: BTreeMap<_, (&Arc<Entry>, &Version)> = BTreeMap::new();
        for entry in self.packages(kind) {
            let Ok(Package { identity, .. }) = &entry.content else {
                continue;
            };
            let known = newest.entry((&identity.name, &identity.architecture));
            known
                .and_modify(|(known, version)| {
                    if compare(kind, &identity.version, version) == Ordering::Greater {
                        (*known, *version) = (entry, &identity.version);
                    }
                })
                .or_insert((entry, &identity.version));
        }
        newest.into_values().map(|(entry, _)| entry)
    }

    pub(super) fn insert(&mut self, entry: Arc<Entry>) {
        self.remove(&entry.file);
        if let Some(package) = entry.package() {
            let name = package.identity.name.clone();
            let files = self.by_name.entry((entry.kind(), name)).or_default();
            files.insert(entry.file.clone());
        }
        self.entries.insert(entry.file.clone(), entry);
    }

    pub(super) fn remove(&mut self, file: &PackageFile) -> Option<Arc<Entry>> {
        let entry = self.entries.remove(file)?;
        if let Some(package) = entry.package() {
            let name = (entry.kind(), package.identity.name.clone());
            if let Some(files) = self.by_name.get_mut(&name) {
                files.remove(file);
                if files.is_empty() {
                    self.by_name.remove(&name);
                }
            }
        }
        Some(entry)
    }

    pub(super) fn complete(&mut self) {
        self.complete = true;
    }
}

/// Which version is newer, as the packaging system orders them. A tar is most often an rpm's.
pub(super) fn compare(kind: Kind, a: &Version, b: &Version) -> Ordering {
    match kind {
        Kind::Rpm | Kind::Tar => a.compare_as_rpm(b),
        Kind::Deb => a.compare_as_deb(b),
    }
}
