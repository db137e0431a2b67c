//! [`PartialFile`]: a file that is fetched from another head.

use std::fs::File;

use crate::temporary::Temporary;
use crate::{ContentError, FileName, FileRoot, Sha256Digest};

/// A file that comes piece by piece, and goes on after a cut or a restart from where it was.
///
/// It lies beside the file it is to be, under a hidden name that says what it will hold. It stays there until it is
/// published or discarded; one that nobody goes on with for a day is removed by [`FileRoot::open`].
#[derive(Debug)]
pub struct PartialFile {
    root: FileRoot,
    name: FileName,
    temporary: Temporary,
}

impl PartialFile {
    /// Opens what there is of the file that is to be `name` and have this digest, or creates it, with the
    /// directories it needs.
    ///
    /// # Errors
    /// [`ContentError::Changing`] when somebody else is writing it; a full disk, a file where a directory must be.
    pub fn open(
        root: &FileRoot,
        name: &FileName,
        sha256: Sha256Digest,
    ) -> Result<Self, ContentError> {
        // Two names of one directory may be to have the same content.
        let key = Sha256Digest::of(format!("{sha256} {}", name.as_str()).as_bytes()).revision();
        let temporary = root.open_partial(name, &key)?;
        Ok(Self {
            root: root.clone(),
            name: name.clone(),
            temporary,
        })
    }

    /// The name it is to have.
    #[must_use]
    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// Its bytes.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.temporary.file
    }

    /// Gives the file its name for good: whether there was none of that name before. It must be synced.
    ///
    /// # Errors
    /// A directory of that name, or a disk that fails.
    pub fn publish(self) -> Result<bool, ContentError> {
        self.root.publish(self.temporary, &self.name)
    }

    /// Removes it.
    pub fn discard(self) {
        self.temporary.discard();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn what_was_written_is_there_after_a_restart_until_it_is_published() {
        let home = tempfile::tempdir().unwrap();
        let name = "sub/x.rpm".parse().unwrap();
        let sha256 = Sha256Digest::of(b"whole");
        let open = || {
            let root = FileRoot::open(home.path()).unwrap();
            PartialFile::open(&root, &name, sha256)
        };
        let partial = open().unwrap();
        partial.file().write_all(b"who").unwrap();
        let error = open().unwrap_err();
        assert!(matches!(error, ContentError::Changing { .. }), "{error}");
        drop(partial);

        let partial = open().unwrap();
        let mut text = String::new();
        partial.file().read_to_string(&mut text).unwrap();
        assert_eq!(text, "who");
        partial.file().write_all(b"le").unwrap();
        assert!(partial.publish().unwrap());
        assert_eq!(fs::read(home.path().join("sub/x.rpm")).unwrap(), b"whole");
        assert_eq!(fs::read_dir(home.path().join("sub")).unwrap().count(), 1);
    }

    #[test]
    fn files_of_one_content_are_fetched_side_by_side() {
        let home = tempfile::tempdir().unwrap();
        let root = FileRoot::open(home.path()).unwrap();
        let open = |name: &str, text: &[u8]| {
            PartialFile::open(&root, &name.parse().unwrap(), Sha256Digest::of(text)).unwrap()
        };
        let others = [open("a", b"1"), open("b", b"1"), open("a", b"2")];
        open("c", b"1").discard();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), others.len());
    }
}
