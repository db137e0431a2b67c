//! [`FileState`]: a file as another head is to have it too; finding such files, and changing them.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fchmod, fstat,
    futimens, statat,
};
use rustix::io::Errno;

use crate::digest::Hasher;
use crate::reading::{SETTLING, read_at_rest};
use crate::walk::walk;
use crate::{ContentError, FileId, FileKind, FileName, FileRoot, PartialFile, Sha256Digest, Watch};

/// A regular file in one state: which it is, and who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    /// Which file, in which state.
    pub id: FileId,
    /// Its permission bits, without those that lend the rights of its owner.
    pub mode: u32,
}

impl FileState {
    fn of(stat: &Stat) -> Self {
        Self {
            id: FileId::of(stat),
            mode: stat.st_mode & 0o777,
        }
    }

    /// When the file was last written, in nanoseconds after 1970.
    #[must_use]
    pub fn mtime(&self) -> i64 {
        nanoseconds(self.id.mtime)
    }

    /// When its inode last changed, likewise.
    #[must_use]
    pub fn ctime(&self) -> i64 {
        nanoseconds(self.id.ctime)
    }
}

/// How many nanoseconds after 1970 a time is.
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    let count = |duration: Duration| i64::try_from(duration.as_nanos());
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => count(after).unwrap_or(i64::MAX),
        Err(before) => count(before.duration()).map_or(i64::MIN, |before| -before),
    }
}

/// A regular file, its state and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed {
    /// The state of the file that was read.
    pub state: FileState,
    /// The digest of its bytes.
    pub sha256: Sha256Digest,
    /// Whether the state proves the bytes, because any later write must change it.
    pub is_settled: bool,
}

/// What lies in a directory and below it.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The regular files.
    pub files: Vec<(FileName, FileState)>,
    /// How many symbolic links there are. None is followed.
    pub symbolic_links: u64,
    /// The inode of the directory itself.
    pub top: u64,
}

impl FileRoot {
    /// What lies here, files that are not whole yet and names that [`FileName`] refuses left out. Has all directories
    /// watched before they are read.
    ///
    /// A file that is missing here may lie in a directory that cannot be read: [`state`](Self::state) tells.
    ///
    /// # Errors
    /// [`ContentError::Directory`] when the directory itself cannot be read.
    pub fn survey(&self, watch: Option<&Watch>) -> Result<Survey, ContentError> {
        let top = self.open_directory("").and_then(fstat);
        let mut survey = Survey {
            top: top.map_err(|error| self.unusable(error))?.st_ino,
            ..Survey::default()
        };
        let add_watch = |path: &Path| watch.iter().for_each(|watch| watch.add(path));
        add_watch(self.path());
        walk(self, |found| match found.file_type {
            FileType::Directory => add_watch(&self.path().join(found.path)),
            FileType::Symlink => survey.symbolic_links += 1,
            FileType::RegularFile => {
                let stat = statat(found.directory, found.name, AtFlags::SYMLINK_NOFOLLOW);
                if let Ok(stat) = stat
                    && FileKind::of(&stat).is_none()
                    && let Ok(name) = FileName::parse(found.path.as_bytes())
                {
                    survey.files.push((name, FileState::of(&stat)));
                }
            }
            _ => {}
        })?;
        Ok(survey)
    }

    /// The state of the file `name`; `None` when there is certainly no such file.
    ///
    /// # Errors
    /// Something else than a file is there, a link is on the way, or nobody can tell.
    pub fn state(&self, name: &FileName) -> Result<Option<FileState>, ContentError> {
        let opened = match self.open_beneath(name, OFlags::PATH | OFlags::NOFOLLOW) {
            Err(ContentError::NotFound { .. }) => return Ok(None),
            opened => opened?,
        };
        let stat = fstat(opened).map_err(|error| self.failed("read", name, error.into()))?;
        match FileKind::of(&stat) {
            None => Ok(Some(FileState::of(&stat))),
            // As far as files go, there is none of this name.
            Some(FileKind::Directory) => Ok(None),
            Some(kind) => Err(self.not_regular(name, kind)),
        }
    }

    /// Reads the file `name`.
    ///
    /// # Errors
    /// As [`state`](Self::state); there is no such file, or it never rests.
    pub fn hash(&self, name: &FileName) -> Result<Hashed, ContentError> {
        let failed = |error| self.failed("read", name, error);
        let reading = read_at_rest(self, name, SETTLING, |file, id| {
            let mut hasher = Hasher::default();
            io::copy(
                &mut BufReader::with_capacity(128 << 10, &*file),
                &mut hasher,
            )
            .map_err(failed)?;
            let (size, sha256) = hasher.finish();
            let stat = fstat(file).map_err(|error| failed(error.into()))?;
            Ok((size == id.size).then_some((stat.st_mode & 0o777, sha256)))
        })?;
        let (mode, sha256) = reading.value;
        Ok(Hashed {
            state: FileState {
                id: reading.id,
                mode,
            },
            sha256,
            is_settled: reading.settled,
        })
    }

    /// Gives a file that is whole and synced the name `name`, if that is in the state `expected`: the state it is in
    /// then.
    ///
    /// # Errors
    /// [`ContentError::Changing`] when it is in another state; something else than a file is in the way.
    pub fn place(
        &self,
        name: &FileName,
        file: PartialFile,
        expected: Option<FileState>,
    ) -> Result<FileState, ContentError> {
        self.check(name, expected)?;
        let placed = file.file().try_clone();
        let placed = placed.map_err(|error| self.failed("open", name, error))?;
        file.publish()?;
        self.now(name, &placed)
    }

    /// Sets permission bits and time of the file `name`, if it is in the state `expected`: the state it is in then.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub fn set_metadata(
        &self,
        name: &FileName,
        expected: FileState,
        mode: u32,
        mtime: i64,
    ) -> Result<FileState, ContentError> {
        self.check(name, Some(expected))?;
        let failed = |error: Errno| self.failed("change", name, error.into());
        let file = self.open_file(name)?;
        fchmod(&file, Mode::from_raw_mode(mode & 0o777)).map_err(failed)?;
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: mtime.div_euclid(1_000_000_000),
                tv_nsec: mtime.rem_euclid(1_000_000_000),
            },
        };
        futimens(&file, &times).map_err(failed)?;
        self.now(name, &file)
    }

    /// Deletes the file `name`, if it is in the state `expected`, and the directories that are empty then.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub fn remove(&self, name: &FileName, expected: FileState) -> Result<(), ContentError> {
        self.check(name, Some(expected))?;
        self.delete(name)?;
        self.remove_emptied_directories(name);
        Ok(())
    }

    fn check(&self, name: &FileName, expected: Option<FileState>) -> Result<(), ContentError> {
        if self.state(name)? == expected {
            return Ok(());
        }
        Err(self.failed("change", name, Errno::AGAIN.into()))
    }

    /// Of the file itself: by now, another one may have its name.
    fn now(&self, name: &FileName, file: &File) -> Result<FileState, ContentError> {
        let stat = fstat(file).map_err(|error| self.failed("read", name, error.into()))?;
        Ok(FileState::of(&stat))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn name(name: &str) -> FileName {
        name.parse().unwrap()
    }

    #[test]
    fn only_regular_files_lie_there_and_none_has_two_names() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("sub/empty")).unwrap();
        fs::write(home.path().join("sub/a"), "a").unwrap();
        fs::write(home.path().join(".pilotlight-upload-1"), "half").unwrap();
        fs::write(home.path().join("back\\slash"), "odd").unwrap();
        symlink("sub/a", home.path().join("link")).unwrap();
        symlink("sub", home.path().join("linked")).unwrap();
        let root = FileRoot::open(home.path()).unwrap().without_links();
        let survey = root.survey(None).unwrap();
        let names: Vec<_> = survey.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, survey.symbolic_links), (vec!["sub/a"], 2));

        assert_eq!(root.state(&name("sub/a")).unwrap(), Some(survey.files[0].1));
        for absent in ["b", "sub/b", "sub/a/b", "sub/empty", "no/such"] {
            assert_eq!(root.state(&name(absent)).unwrap(), None, "{absent}");
        }
        // Neither there nor missing.
        for doubtful in ["link", "linked/a"] {
            assert!(root.state(&name(doubtful)).is_err(), "{doubtful}");
        }
        let gone = home.path().join("sub");
        let root = FileRoot::open(&gone).unwrap().without_links();
        fs::rename(&gone, home.path().join("moved")).unwrap();
        assert!(
            root.state(&name("a")).is_err(),
            "the directory itself is gone"
        );
        assert!(root.survey(None).is_err());
    }

    #[test]
    fn a_file_is_changed_only_in_the_state_that_was_expected() {
        let home = tempfile::tempdir().unwrap();
        let root = FileRoot::open(home.path()).unwrap().without_links();
        let a = name("sub/a");
        let arrived = |text: &str| {
            let file = PartialFile::open(&root, &a, Sha256Digest::of(text.as_bytes())).unwrap();
            fs::write(format!("/proc/self/fd/{}", fd(&file)), text).unwrap();
            file
        };
        let placed = root.place(&a, arrived("one"), None).unwrap();
        let is_changing = |error: &ContentError| matches!(error, ContentError::Changing { .. });
        assert!(is_changing(
            &root.place(&a, arrived("two"), None).unwrap_err()
        ));
        assert_eq!(fs::read(home.path().join("sub/a")).unwrap(), b"one");
        let placed = root.place(&a, arrived("two"), Some(placed)).unwrap();
        assert_eq!(root.hash(&a).unwrap().sha256, Sha256Digest::of(b"two"));

        let set = root
            .set_metadata(&a, placed, 0o4750, -1_500_000_000)
            .unwrap();
        assert_eq!((set.mode, set.mtime()), (0o750, -1_500_000_000));
        let mode = fs::metadata(home.path().join("sub/a"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o7777, 0o750);
        assert!(is_changing(&root.remove(&a, placed).unwrap_err()));
        fs::set_permissions(home.path().join("sub/a"), Permissions::from_mode(0o600)).unwrap();
        assert!(is_changing(&root.remove(&a, set).unwrap_err()));
        let now = root.state(&a).unwrap().unwrap();
        root.remove(&a, now).unwrap();
        assert!(!home.path().join("sub").exists());
    }

    fn fd(file: &PartialFile) -> i32 {
        use std::os::fd::AsRawFd as _;
        file.file().as_raw_fd()
    }
}
