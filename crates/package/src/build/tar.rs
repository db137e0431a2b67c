//! Tar archives of a package's files.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::Path,
};

use tar::{Builder, EntryType, Header};

use super::{BuildError, Contents, Member, gzip::gzip, relative};

/// The members alone: the directory entry of one that others share, say `/etc`, would change its owner and mode.
pub(super) fn write(contents: &Contents<'_>, out: &mut impl Write) -> Result<(), BuildError> {
    gzip(out, |out| {
        let mut archive = Archive::new(out, contents.modified);
        for member in &contents.members {
            archive.add(member)?;
        }
        Ok(archive.finish()?)
    })?;
    Ok(())
}

/// A tar archive that is being written, in which all belongs to root and has the same time.
pub(super) struct Archive<W: Write> {
    modified: u32,
    tar: Builder<W>,
    directories: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W, modified: u32) -> Self {
        Self {
            modified,
            tar: Builder::new(out),
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

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.tar.finish()
    }
}
