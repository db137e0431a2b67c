//! A files directory on disk.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use ignition::butane::{Files, LocalError, TreeEntry, TreeEntryKind};

pub(crate) struct FilesDirectory(PathBuf);

impl FilesDirectory {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.canonicalize().unwrap())
    }

    /// Where a name leads, if that is inside.
    fn inside(&self, name: &str) -> Result<PathBuf, LocalError> {
        let path = self
            .0
            .join(name)
            .canonicalize()
            .map_err(|error| unreadable(name, &error))?;
        match path.starts_with(&self.0) {
            true => Ok(path),
            false => Err(LocalError::Outside(name.into())),
        }
    }

    fn list(&self, path: &Path, name: &str, entries: &mut Vec<TreeEntry>) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = format!("{name}{}", entry.file_name().to_str().unwrap());
            let kind = if metadata.is_dir() {
                self.list(&entry.path(), &format!("{name}/"), entries)?;
                TreeEntryKind::Directory
            } else if metadata.is_file() {
                TreeEntryKind::File {
                    executable: metadata.permissions().mode() & 0o111 != 0,
                }
            } else if metadata.is_symlink() {
                TreeEntryKind::Symlink {
                    target: fs::read_link(entry.path())?.to_str().unwrap().into(),
                }
            } else {
                TreeEntryKind::Other
            };
            entries.push(TreeEntry { name, kind });
        }
        Ok(())
    }
}

impl Files for FilesDirectory {
    fn read(&self, name: &str) -> Result<Vec<u8>, LocalError> {
        fs::read(self.inside(name)?).map_err(|error| unreadable(name, &error))
    }

    fn tree(&self, name: &str) -> Result<Vec<TreeEntry>, LocalError> {
        let path = self.inside(name)?;
        if !path.is_dir() {
            return Err(unreadable(name, &io::ErrorKind::NotADirectory.into()));
        }
        if let Ok(target) = fs::read_link(self.0.join(name)) {
            let kind = TreeEntryKind::Symlink {
                target: target.to_str().unwrap().into(),
            };
            return Ok(vec![TreeEntry {
                name: String::new(),
                kind,
            }]);
        }
        let mut entries = Vec::new();
        self.list(&path, "", &mut entries)
            .map_err(|error| unreadable(name, &error))?;
        Ok(entries)
    }
}

fn unreadable(name: &str, error: &io::Error) -> LocalError {
    LocalError::Unreadable {
        name: name.into(),
        reason: error.to_string(),
    }
}
