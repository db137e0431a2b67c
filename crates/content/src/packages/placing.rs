//! Packages that come from another head.

use super::index::{Change, Index};
use super::reading::identify;
use super::{Entry, Fault, PackageFile};
use crate::{ContentError, FileState, PartialFile, Sha256Digest};

impl Index {
    /// As [`Packages::place`](super::Packages::place).
    pub(super) fn place(
        &self,
        package: &PackageFile,
        file: PartialFile,
        sha256: Sha256Digest,
        expected: Option<FileState>,
    ) -> Result<FileState, ContentError> {
        let identified = identify(package, &mut file.file());
        let root = self.directories.root(package.kind()).without_links();
        let change = self.change();
        let placed = root.place(package.name(), file, expected)?;
        list(
            &change,
            Entry {
                file: package.clone(),
                file_id: placed.id,
                content: match identified {
                    Ok(unhashed) => Ok(unhashed.with(sha256)),
                    Err(reason) => Err(Fault {
                        reason,
                        sha256: Some(sha256),
                    }),
                },
            },
        );
        Ok(placed)
    }

    /// As [`Packages::set_metadata`](super::Packages::set_metadata).
    pub(super) fn set_metadata(
        &self,
        package: &PackageFile,
        expected: FileState,
        mode: u32,
        mtime: i64,
    ) -> Result<FileState, ContentError> {
        let root = self.directories.root(package.kind()).without_links();
        let change = self.change();
        let set = root.set_metadata(package.name(), expected, mode, mtime)?;
        if let Some(known) = self.listing().get(package)
            && known.file_id == expected.id
        {
            list(
                &change,
                Entry {
                    file_id: set.id,
                    ..Entry::clone(known)
                },
            );
        }
        Ok(set)
    }

    /// As [`Packages::remove_replica`](super::Packages::remove_replica).
    pub(super) fn remove_replica(
        &self,
        package: &PackageFile,
        expected: FileState,
    ) -> Result<(), ContentError> {
        let root = self.directories.root(package.kind()).without_links();
        let change = self.change();
        root.remove(package.name(), expected)?;
        change.check(package);
        Ok(())
    }
}

fn list(change: &Change<'_>, entry: Entry) {
    // Where another program changed it at once, a look at the directories will tell.
    let _ = change.list(entry);
}
