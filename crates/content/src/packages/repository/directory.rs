//! A directory whose files are replaced whole.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::SystemTime;

use super::RepositoryError;
use crate::temporary::{Temporary, is_temporary};

pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Makes it if need be, and removes what a crash left there.
    pub(super) fn create(path: PathBuf) -> Result<Self, RepositoryError> {
        let this = Self { path };
        this.explain(fs::create_dir_all(&this.path))?;
        for (name, _) in this.files()? {
            if is_temporary(&name) {
                this.remove(&name)?;
            }
        }
        Ok(this)
    }

    /// The directory of this name in it.
    pub(super) fn inner(&self, name: &str) -> Result<Self, RepositoryError> {
        Self::create(self.path.join(name))
    }

    /// A file to be written and [published](Self::publish).
    pub(super) fn temporary(&self) -> Result<Temporary, RepositoryError> {
        let directory = self.explain(File::open(&self.path))?;
        self.explain(Temporary::create(directory.into()).map_err(io::Error::from))
    }

    /// Gives the file its name, as soon as it is safe on the disk. What had that name is gone.
    pub(super) fn publish(&self, file: Temporary, name: &str) -> Result<(), RepositoryError> {
        self.explain(file.file.sync_all())?;
        self.explain(file.publish(name).map_err(io::Error::from))
    }

    /// The same; without a file, what had that name is removed.
    pub(super) fn replace(
        &self,
        file: Option<Temporary>,
        name: &str,
    ) -> Result<(), RepositoryError> {
        match file {
            Some(file) => self.publish(file, name),
            None => self.remove(name),
        }
    }

    /// Removes the file, if it is there.
    fn remove(&self, name: &str) -> Result<(), RepositoryError> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => self.explain(result),
        }
    }

    /// Removes the files that are not `current`, but for the newest `kept` of them.
    pub(super) fn sweep(&self, current: &[String], kept: usize) -> Result<(), RepositoryError> {
        let mut old = self.files()?;
        old.retain(|(name, _)| !current.contains(name));
        old.sort_by_key(|(_, modified)| *modified);
        let removed = old.len().saturating_sub(kept);
        old.iter()
            .take(removed)
            .try_for_each(|(name, _)| self.remove(name))
    }

    /// The same error, with what it is about.
    pub(super) fn explain<T>(&self, result: io::Result<T>) -> Result<T, RepositoryError> {
        result.map_err(|source| RepositoryError::Write {
            path: self.path.clone(),
            source,
        })
    }

    /// Name and time of each file.
    fn files(&self) -> Result<Vec<(String, SystemTime)>, RepositoryError> {
        let mut files = Vec::new();
        for entry in self.explain(fs::read_dir(&self.path))? {
            let entry = self.explain(entry)?;
            let stat = self.explain(entry.metadata())?;
            if let Ok(name) = entry.file_name().into_string()
                && stat.is_file()
            {
                files.push((name, self.explain(stat.modified())?));
            }
        }
        Ok(files)
    }
}
