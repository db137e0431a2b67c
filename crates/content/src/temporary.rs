//! The file that something new is written to before it takes its name.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fchmod, fstat, fsync, openat, renameat, unlinkat,
};
use rustix::io::Errno;

use crate::walk::walk;
use crate::{ContentError, FileId, FileRoot};

/// What the names of files begin with that are uploaded. No boot file has such a name.
pub(crate) const UPLOAD: &str = ".pilotlight-upload-";

/// The same of files that are fetched from another head, and go on from where they were.
pub(crate) const PARTIAL: &str = ".pilotlight-partial-";

/// How long a partial file is kept that nobody goes on with.
const KEPT: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn is_temporary(component: &str) -> bool {
    component.starts_with(UPLOAD) || component.starts_with(PARTIAL)
}

/// A file that vanishes unless it is published or kept.
#[derive(Debug)]
pub(crate) struct Temporary {
    directory: OwnedFd,
    name: String,
    is_kept: bool,
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
            let name = format!("{UPLOAD}{:016x}", RandomState::new().hash_one(0));
            match openat(&directory, &name, flags, mode) {
                Err(Errno::EXIST) => {}
                opened => break (name, File::from(opened?)),
            }
        };
        let temporary = Self {
            directory,
            name,
            is_kept: false,
            file,
        };
        // A file system without locks only loses the distinction; uploads are still whole.
        let _ = temporary.file.try_lock();
        fchmod(&temporary.file, mode)?;
        Ok(temporary)
    }

    /// Opens or creates the partial file of this `key` in `directory`. It stays when this is dropped.
    ///
    /// # Errors
    /// [`Errno::AGAIN`] when somebody writes to it already.
    pub(crate) fn partial(directory: OwnedFd, key: &str) -> Result<Self, Errno> {
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let name = format!("{PARTIAL}{key}");
        let file = File::from(openat(
            &directory,
            &name,
            flags,
            Mode::from_raw_mode(0o600),
        )?);
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
            return Err(Errno::AGAIN);
        }
        Ok(Self {
            directory,
            name,
            is_kept: true,
            file,
        })
    }

    /// Lets the file vanish.
    pub(crate) fn discard(mut self) {
        self.is_kept = false;
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
        if self.is_kept {
            return;
        }
        // Once published there is no such name any more.
        let _ = unlinkat(&self.directory, &self.name, AtFlags::empty());
    }
}

/// Removes the temporary files that nobody writes to, and of the partial ones those that were given up.
pub(crate) fn remove_abandoned(root: &FileRoot) -> Result<(), ContentError> {
    remove_abandoned_at(root, SystemTime::now())
}

fn remove_abandoned_at(root: &FileRoot, now: SystemTime) -> Result<(), ContentError> {
    walk(root, |found| {
        if !is_temporary(found.name) || found.file_type != FileType::RegularFile {
            return;
        }
        // For writing, without which NFS gives no exclusive lock.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(found.directory, found.name, flags, Mode::empty()).map(File::from);
        let is_abandoned = |file: &File| !found.name.starts_with(PARTIAL) || is_old(file, now);
        if file.is_ok_and(|file| is_abandoned(&file) && file.try_lock().is_ok()) {
            let _ = unlinkat(found.directory, found.name, AtFlags::empty());
        }
    })
}

/// Whether nobody has touched a file for long. Not by its `mtime`, which a file that is whole has from elsewhere.
fn is_old(file: &File, now: SystemTime) -> bool {
    let touched = fstat(file).map(|stat| FileId::of(&stat).ctime);
    touched.is_ok_and(|touched| now.duration_since(touched).is_ok_and(|age| age > KEPT))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_partial_file_is_kept_for_a_day() {
        let home = tempfile::tempdir().unwrap();
        let directory = || OwnedFd::from(File::open(home.path()).unwrap());
        let of = |key| Temporary::partial(directory(), key);
        for key in ["old", "running", "unwanted"] {
            fs::write(home.path().join(format!("{PARTIAL}{key}")), "half").unwrap();
        }
        let running = of("running").unwrap();
        assert_eq!(of("running").unwrap_err(), Errno::AGAIN);
        of("unwanted").unwrap().discard();
        let left = || {
            ["old", "running", "unwanted"]
                .map(|key| home.path().join(format!("{PARTIAL}{key}")).exists())
        };

        let root = FileRoot::open(home.path()).unwrap();
        assert_eq!(left(), [true, true, false]);
        let tomorrow = SystemTime::now() + KEPT + Duration::from_secs(60);
        remove_abandoned_at(&root, tomorrow).unwrap();
        assert_eq!(left(), [false, true, false]);
        running.publish("x.ks").unwrap();
        assert_eq!(fs::read(home.path().join("x.ks")).unwrap(), b"half");
    }

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
