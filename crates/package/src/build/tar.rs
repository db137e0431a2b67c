//! Tar archives of a package's files.

use std::{collections::BTreeSet, io, path::Path};

use tar::{Builder, EntryType, Header};

use super::{BuildError, Contents, Member, gzip::gzip, relative};

/// The members alone: the directory entry of one that others share, say `/etc`, would change its owner and mode.
pub(super) fn build(contents: &Contents<'_>) -> Result<Vec<u8>, BuildError> {
    let mut archive = Archive::new(contents.modified);
    for member in &contents.members {
        archive.add(member)?;
    }
    Ok(gzip(&archive.finish()?)?)
}

/// A tar archive that is being written, in which all belongs to root and has the same time.
pub(super) struct Archive {
    modified: u32,
    tar: Builder<Vec<u8>>,
    directories: BTreeSet<String>,
}

impl Archive {
    pub(super) fn new(modified: u32) -> Self {
        Self {
            modified,
            tar: Builder::new(Vec::new()),
            directories: BTreeSet::new(),
        }
    }

    /// Adds the directories that lead to a member, unless they are there.
    pub(super) fn add_parents(&mut self, member: &Member<'_>) -> Result<(), BuildError> {
        let path = member.path();
        for (at, _) in path.match_indices('/').skip(1) {
            self.add_directory(&path[..at], 0o755)?;
        }
        Ok(())
    }

    pub(super) fn add(&mut self, member: &Member<'_>) -> Result<(), BuildError> {
        match *member {
            Member::Directory { path, mode } => self.add_directory(path, mode),
            Member::File {
                path, mode, bytes, ..
            } => Ok(self.add_file(relative(path)?, mode, bytes)?),
            Member::Symlink { path, target } => {
                let mut header = self.header(EntryType::Symlink, 0o777)?;
                Ok(self.tar.append_link(&mut header, relative(path)?, target)?)
            }
        }
    }

    pub(super) fn add_file(&mut self, path: &Path, mode: u16, bytes: &[u8]) -> io::Result<()> {
        let mut header = self.header(EntryType::Regular, mode)?;
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, path, bytes)
    }

    fn add_directory(&mut self, path: &str, mode: u16) -> Result<(), BuildError> {
        if self.directories.insert(path.to_owned()) {
            let mut header = self.header(EntryType::Directory, mode)?;
            let name = format!("{}/", relative(path)?.display());
            self.tar.append_data(&mut header, name, io::empty())?;
        }
        Ok(())
    }

    fn header(&self, kind: EntryType, mode: u16) -> io::Result<Header> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode.into());
        header.set_mtime(self.modified.into());
        header.set_size(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root")?;
        header.set_groupname("root")?;
        Ok(header)
    }

    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        self.tar.into_inner()
    }
}
