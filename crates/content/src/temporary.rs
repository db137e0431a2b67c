//! The file that something new is written to before it takes its name.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchmod, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::walk::walk;
use crate::{ContentError, FileRoot};

/// What the names of temporary files begin with. No boot file has such a name.
pub(crate) const PREFIX: &str = ".pilotlight-upload-";

pub(crate) fn is_temporary(component: &str) -> bool {
    component.starts_with(PREFIX)
}

/// A file that vanishes unless it is published.
#[derive(Debug)]
pub(crate) struct Temporary {
    directory: OwnedFd,
    name: String,
    /// Locked while it is written, which tells it from one left by a crash.
    pub(crate) file: File,
}

impl Temporary {
    /// Creates an empty file in `directory`, with mode 0644 whatever the umask.
    pub(crate) fn create(directory: OwnedFd) -> Result<Self, Errno> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let (name, file) = loop {
            let name = format!("{PREFIX}{:016x}", RandomState::new().hash_one(0));
            match openat(&directory, &name, flags, mode) {
                Err(Errno::EXIST) => {}
                opened => break (name, File::from(opened?)),
            }
        };
        let temporary = Self {
            directory,
            name,
            file,
        };
        // A file system without locks only loses the distinction; uploads are still whole.
        let _ = temporary.file.try_lock();
        fchmod(&temporary.file, mode)?;
        Ok(temporary)
    }

    /// The directory it is in.
    pub(crate) fn directory(&self) -> &impl AsFd {
        &self.directory
    }

    /// Gives the file its name for good, atomically and across a power cut. The content must be synced.
    pub(crate) fn publish(self, name: &str) -> Result<(), Errno> {
        renameat(&self.directory, &self.name, &self.directory, name)?;
        fsync(&self.directory)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Once published there is no such name any more.
        let _ = unlinkat(&self.directory, &self.name, AtFlags::empty());
    }
}

/// Removes the temporary files that no running upload writes to.
pub(crate) fn remove_abandoned(root: &FileRoot) -> Result<(), ContentError> {
    walk(root, |found| {
        if !is_temporary(found.name) || found.file_type != FileType::RegularFile {
            return;
        }
        // For writing, without which NFS gives no exclusive lock.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(found.directory, found.name, flags, Mode::empty()).map(File::from);
        if file.is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = unlinkat(found.directory, found.name, AtFlags::empty());
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_a_crash_left_is_removed_and_a_running_upload_is_not() {
        let home = tempfile::tempdir().unwrap();
        let sub = home.path().join("sub");
        fs::create_dir(&sub).unwrap();
        fs::write(home.path().join(".pilotlight-upload-1"), "half").unwrap();
        fs::write(sub.join(".pilotlight-upload-2"), "half").unwrap();
        fs::write(sub.join("x.ks"), "whole").unwrap();
        let running = Temporary::create(File::open(&sub).unwrap().into()).unwrap();

        FileRoot::open(home.path()).unwrap();
        assert!(!home.path().join(".pilotlight-upload-1").exists());
        assert!(!sub.join(".pilotlight-upload-2").exists());
        assert!(sub.join("x.ks").exists());
        running.publish("y.ks").unwrap();
        assert!(sub.join("y.ks").exists());
    }
}
