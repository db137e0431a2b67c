//! One process at a time has a database open.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::failure::io_failure;
use super::file::beside;
use crate::StoreError;

/// The claim on a database: a lock on the file of its name and `-lock`, which the kernel lifts when the process dies.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Claims the database at `path`, whether it exists or not.
    pub(super) fn claim(path: &Path) -> Result<Self, StoreError> {
        let lock_path = beside(path, "-lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| io_failure("open", &lock_path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(io_failure("lock", &lock_path, &error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would not do: a child being started holds the same file until it has become its program.
        let _ = self.0.unlock();
    }
}
