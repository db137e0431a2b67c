//! etcd's data directory.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// Something is wrong with etcd's data directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot use etcd's data directory {path}: {source}")]
pub struct DirectoryError {
    path: PathBuf,
    source: io::Error,
}

/// `DIR/etcd`.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(super) fn of(data: &Path) -> Self {
        Self {
            path: data.join("etcd"),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, for this user alone.
    pub(super) fn make(&self) -> Result<(), DirectoryError> {
        let made = match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::set_permissions(&self.path, Permissions::from_mode(0o700))
            }
            made => made,
        };
        made.map_err(|source| self.error(source))
    }

    /// Whether a member was begun in it.
    pub(super) fn holds_a_member(&self) -> bool {
        self.path.join("member").exists()
    }

    /// Removes all that is in it.
    pub(super) fn clear(&self) -> Result<(), DirectoryError> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.error(error)),
            _ => Ok(()),
        }
    }

    /// Whether a process has its database open; which one, if that can be told.
    pub(super) fn holder(&self) -> Option<Holder> {
        let database = self.path.join("member/snap/db");
        let file = File::open(database).ok()?;
        // etcd holds this lock as long as it runs.
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            return None;
        }
        let inode = file.metadata().ok()?.ino();
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        Some(Holder {
            pid: locks.lines().find_map(|line| holder_of(line, inode)),
        })
    }

    fn error(&self, source: io::Error) -> DirectoryError {
        DirectoryError {
            path: self.path.clone(),
            source,
        }
    }
}

/// A process that uses a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: Option<u32>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// Who holds the lock on this inode, by a line of `/proc/locks`: `1: FLOCK  ADVISORY  WRITE 812 fd:01:1579 0 EOF`.
fn holder_of(line: &str, inode: u64) -> Option<u32> {
    let mut fields = line.split_whitespace();
    let kind = fields.nth(1)?;
    let pid = fields.nth(2)?;
    let file = fields.next()?;
    let same = kind == "FLOCK" && file.rsplit(':').next()?.parse() == Ok(inode);
    same.then(|| pid.parse().ok()).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_the_database_is_named() {
        let home = tempfile::tempdir().unwrap();
        let directory = Directory::of(home.path());
        assert_eq!(directory.holder(), None);
        fs::create_dir_all(directory.path().join("member/snap")).unwrap();
        let database = File::create(directory.path().join("member/snap/db")).unwrap();
        assert!(directory.holds_a_member());
        assert_eq!(directory.holder(), None);
        flock(&database, FlockOperation::NonBlockingLockExclusive).unwrap();
        let holder = directory.holder().unwrap();
        assert_eq!(holder.pid, Some(std::process::id()));
        drop(database);
        assert_eq!(directory.holder(), None);
    }

    #[test]
    fn it_is_for_its_owner_alone_and_can_be_cleared() {
        let home = tempfile::tempdir().unwrap();
        let directory = Directory::of(home.path());
        directory.make().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        directory.make().unwrap();
        let mode = fs::metadata(directory.path()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::create_dir(directory.path().join("member")).unwrap();
        directory.clear().unwrap();
        assert!(!directory.holds_a_member());
        directory.clear().unwrap();
    }
}
