//! The three directories, one for each packaging system.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use package::Kind;

use super::{Entry, Opened, PackageFile, PackagesError};
use crate::{ContentError, FileId, FileRoot, OpenFile};

/// All packaging systems.
pub(super) const KINDS: [Kind; 3] = [Kind::Rpm, Kind::Deb, Kind::Tar];

/// The directories of all kinds. Each may be a symbolic link to somewhere else; what is in it may not.
#[derive(Debug)]
pub(super) struct Directories {
    rpm: FileRoot,
    deb: FileRoot,
    tar: FileRoot,
}

impl Directories {
    /// Makes those that are missing, and removes what a crash left half written in the others.
    pub(super) fn open(path: &Path) -> Result<Self, PackagesError> {
        let open = |kind: Kind| {
            let path = path.join(kind.to_string());
            match fs::create_dir_all(&path) {
                Ok(()) => Ok(FileRoot::open(&path)?),
                Err(source) => Err(PackagesError::Directory { path, source }),
            }
        };
        Ok(Self {
            rpm: open(Kind::Rpm)?,
            deb: open(Kind::Deb)?,
            tar: open(Kind::Tar)?,
        })
    }

    pub(super) fn root(&self, kind: Kind) -> &FileRoot {
        match kind {
            Kind::Rpm => &self.rpm,
            Kind::Deb => &self.deb,
            Kind::Tar => &self.tar,
        }
    }

    /// The state that `file` is in now.
    pub(super) fn stat(&self, file: &PackageFile) -> Result<FileId, ContentError> {
        self.root(file.kind()).stat(file.name())
    }

    /// Opens `file` in the state it is in.
    pub(super) fn open_file(&self, file: &PackageFile) -> Result<OpenFile, ContentError> {
        OpenFile::beneath(self.root(file.kind()), file.name())
    }

    /// The file of `entry`, if it is still in the state that was read.
    pub(super) fn open_as_read(&self, entry: &Arc<Entry>) -> Result<Option<Opened>, ContentError> {
        let file = self.open_file(&entry.file)?;
        Ok((file.id() == entry.file_id).then(|| Opened {
            file,
            entry: entry.clone(),
        }))
    }
}
