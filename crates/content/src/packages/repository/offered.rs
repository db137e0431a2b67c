//! The packages of one kind, as they are read for an index.

use std::fmt::Display;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::packages::{Entry, Package};
use crate::{ContentError, FileRoot};

/// The packages that a repository is to offer.
pub(super) struct Offered {
    root: FileRoot,
    entries: Vec<Arc<Entry>>,
    is_complete: bool,
}

impl Offered {
    pub(super) fn new(root: &Path, entries: Vec<Arc<Entry>>) -> Result<Self, ContentError> {
        Ok(Self {
            root: FileRoot::at(root)?,
            entries,
            is_complete: true,
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Whether none was left out.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Reads each package by `read`, and hands what that gives to `then`. A package that cannot be read, or is not what
    /// it was when it was listed, is left out from now on.
    pub(super) fn for_each<T, R: Display, E>(
        &mut self,
        read: impl Fn(File) -> Result<T, R>,
        mut then: impl FnMut(&Entry, &Package, T) -> Result<(), E>,
    ) -> Result<(), E> {
        for entry in std::mem::take(&mut self.entries) {
            let Some(package) = entry.package() else {
                continue;
            };
            let file = self.open(&entry);
            match file.and_then(|file| read(file).map_err(|why| why.to_string())) {
                Ok(content) => {
                    then(&entry, package, content)?;
                    self.entries.push(entry);
                }
                Err(why) => {
                    tracing::warn!(file = %entry.file, "package is not in the repository: {why}");
                    self.is_complete = false;
                }
            }
        }
        Ok(())
    }

    fn open(&self, entry: &Entry) -> Result<File, String> {
        let name = entry.file.name();
        let opened = self.root.open_file(name).and_then(|file| {
            let id = self.root.identify(name, &file)?;
            Ok((file, id))
        });
        match opened {
            Ok((file, id)) if id == entry.file_id => Ok(file),
            Ok(_) => Err("it has changed since it was listed".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}
