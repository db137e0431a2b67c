//! What boot files there are.

use std::collections::HashMap;
use std::io;
use std::sync::PoisonError;
use std::time::SystemTime;

use rustix::fs::FileType;

use crate::digest::Hasher;
use crate::reading::read_at_rest;
use crate::walk::walk;
use crate::{BootFiles, ContentError, FileId, FileName, Sha256Digest};

/// A file of the kickstarts directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name.
    pub name: FileName,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its content; `None` when it cannot be read.
    pub sha256: Option<Sha256Digest>,
    /// When it was last written.
    pub modified: SystemTime,
}

/// The digests found so far, each with the identity that proves it.
pub(crate) type Digests = HashMap<FileName, (FileId, Sha256Digest)>;

impl BootFiles {
    /// All files that can be asked for, by name. Symbolic links to files count, those to directories are not
    /// followed, and unfinished uploads are left out. What did not change since the last listing is not read again.
    ///
    /// # Errors
    /// [`ContentError::Directory`] when the directory cannot be read.
    pub fn list(&self) -> Result<Vec<FileEntry>, ContentError> {
        let mut names = Vec::new();
        walk(&self.root, |found| {
            if matches!(found.file_type, FileType::RegularFile | FileType::Symlink)
                && let Ok(name) = FileName::parse(found.path.as_bytes())
            {
                names.push(name);
            }
        })?;
        names.sort_unstable();
        let entries: Vec<_> = names
            .iter()
            .filter_map(|name| self.entry(name).ok())
            .collect();
        self.digests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|name, _| names.binary_search(name).is_ok());
        Ok(entries)
    }

    /// The entry of the file `name` in the listing.
    ///
    /// # Errors
    /// No such file, or the way to it is refused.
    pub fn entry(&self, name: &FileName) -> Result<FileEntry, ContentError> {
        let (id, sha256) = match self.digest(name) {
            Ok((id, sha256)) => (id, Some(sha256)),
            Err(_) => (self.root.stat(name)?, None),
        };
        Ok(FileEntry {
            name: name.clone(),
            size: id.size,
            sha256,
            modified: id.mtime,
        })
    }

    /// The digest of the file `name`, and the state that has it. Reads the file only if no trusted digest is known.
    pub(crate) fn digest(&self, name: &FileName) -> Result<(FileId, Sha256Digest), ContentError> {
        if let Some(file) = self.try_cached(name) {
            return Ok((file.id, file.sha256));
        }
        let on_disk = self.root.stat(name)?;
        let digests = || self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&known) = digests().get(name).filter(|(id, _)| *id == on_disk) {
            return Ok(known);
        }
        let reading = read_at_rest(&self.root, name, self.settling, |file, id| {
            let mut hasher = Hasher::default();
            io::copy(file, &mut hasher).map_err(|source| self.root.failed("read", name, source))?;
            let (size, sha256) = hasher.finish();
            Ok((size == id.size).then_some(sha256))
        })?;
        if reading.settled {
            digests().insert(name.clone(), (reading.id, reading.value));
        }
        Ok((reading.id, reading.value))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;
    use crate::FileRoot;

    #[test]
    fn lists_what_can_be_asked_for_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path().join("kickstarts");
        fs::create_dir_all(top.join("sub/empty")).unwrap();
        fs::write(home.path().join("secret"), "secret").unwrap();
        for file in [
            "z.ks",
            "sub/a.ks",
            ".pilotlight-upload-1",
            "new\nline",
            "back\\slash",
        ] {
            fs::write(top.join(file), "text").unwrap();
        }
        symlink("z.ks", top.join("link.ks")).unwrap();
        symlink("../secret", top.join("out.ks")).unwrap();
        symlink("sub", top.join("subdir")).unwrap();
        symlink(".", top.join("loop")).unwrap();
        let files = BootFiles::new(FileRoot::open(&top).unwrap());
        let entries = files.list().unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["link.ks", "sub/a.ks", "z.ks"]);
        for entry in entries {
            assert_eq!(entry.size, 4);
            assert_eq!(entry.sha256, Some(Sha256Digest::of(b"text")));
        }
    }

    #[test]
    fn a_file_that_did_not_change_is_not_read_again() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("x"), "text").unwrap();
        let root = FileRoot::open(home.path()).unwrap();
        let files = BootFiles::with_settling(root, Duration::ZERO);
        files.list().unwrap();
        // A mark in the place of the known digest shows where the next listing takes it from.
        let mark = Sha256Digest::of(b"mark");
        let name: FileName = "x".parse().unwrap();
        files.digests.lock().unwrap().get_mut(&name).unwrap().1 = mark;
        assert_eq!(files.list().unwrap()[0].sha256, Some(mark));
        fs::write(home.path().join("x"), "new text").unwrap();
        assert_eq!(
            files.list().unwrap()[0].sha256,
            Some(Sha256Digest::of(b"new text"))
        );
        fs::remove_file(home.path().join("x")).unwrap();
        assert_eq!(files.list().unwrap(), []);
        assert!(files.digests.lock().unwrap().is_empty());
    }
}
