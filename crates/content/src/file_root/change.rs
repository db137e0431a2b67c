//! Changes below the directory: new files, and the sub-directories they are in.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fsync, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::temporary::Temporary;
use crate::{ContentError, FileKind, FileName, FileRoot};

/// How often the sub-directories of a new file are made when others remove them meanwhile.
const TRIES: u32 = 16;

impl FileRoot {
    /// Creates the file that will be `name`, making the sub-directories it needs.
    ///
    /// # Errors
    /// A full disk, or a file where a directory must be.
    pub(crate) fn create_temporary(&self, name: &FileName) -> Result<Temporary, ContentError> {
        self.with_directory(name, Temporary::create)
    }

    /// The same, but one that is there already is opened, and it is kept. `key` tells it from others.
    ///
    /// # Errors
    /// As above, and [`ContentError::Changing`] when somebody writes to it already.
    pub(crate) fn open_partial(
        &self,
        name: &FileName,
        key: &str,
    ) -> Result<Temporary, ContentError> {
        self.with_directory(name, |directory| Temporary::partial(directory, key))
    }

    fn with_directory(
        &self,
        name: &FileName,
        create: impl Fn(OwnedFd) -> Result<Temporary, Errno>,
    ) -> Result<Temporary, ContentError> {
        let mut tries = 0;
        loop {
            let directory = self.make_directories(name)?;
            match create(directory) {
                // Whoever deleted the last file of the directory took it along.
                Err(Errno::NOENT) if tries < TRIES => tries += 1,
                created => {
                    return created.map_err(|error| self.failed("store", name, error.into()));
                }
            }
        }
    }

    /// Gives a synced file its name for good: whether there was none of that name before.
    ///
    /// # Errors
    /// A directory of that name, or a disk that fails.
    pub(crate) fn publish(
        &self,
        temporary: Temporary,
        name: &FileName,
    ) -> Result<bool, ContentError> {
        let failed = |error: Errno| self.failed("store", name, error.into());
        let (_, last) = name.split();
        let created = match statat(temporary.directory(), last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileKind::of(&stat) == Some(FileKind::Directory) => {
                return Err(self.not_regular(name, FileKind::Directory));
            }
            Ok(_) => false,
            Err(Errno::NOENT) => true,
            Err(error) => return Err(failed(error)),
        };
        temporary.publish(last).map_err(failed)?;
        Ok(created)
    }

    /// Deletes the file `name`, or the symbolic link, for good.
    ///
    /// # Errors
    /// No such file, something else than a file, a disk that fails.
    pub(crate) fn delete(&self, name: &FileName) -> Result<(), ContentError> {
        let failed = |error: Errno| self.failed("delete", name, error.into());
        let (parent, last) = name.split();
        let directory = self.open_directory(parent).map_err(failed)?;
        let stat = statat(&directory, last, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        match FileKind::of(&stat) {
            None | Some(FileKind::SymbolicLink) => {}
            Some(kind) => return Err(self.not_regular(name, kind)),
        }
        unlinkat(&directory, last, AtFlags::empty()).map_err(failed)?;
        fsync(&directory).map_err(failed)
    }

    /// Removes the directories on the way to `name` that are empty.
    pub(crate) fn remove_emptied_directories(&self, name: &FileName) {
        for path in directories(name).collect::<Vec<_>>().into_iter().rev() {
            let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
            let removed = self
                .open_directory(parent)
                .and_then(|parent| unlinkat(parent, last, AtFlags::REMOVEDIR));
            if removed.is_err() {
                return;
            }
        }
    }

    /// Opens the directory of the file `name`, making it and those above it if need be.
    fn make_directories(&self, name: &FileName) -> Result<OwnedFd, ContentError> {
        let top = self.open_directory("");
        let mut directory = top.map_err(|error| self.unusable(error))?;
        for path in directories(name) {
            directory = match self.open_directory(path) {
                Err(Errno::NOENT) => {
                    make_directory(&directory, path).and_then(|()| self.open_directory(path))
                }
                opened => opened,
            }
            .map_err(|error| match error {
                Errno::NOTDIR => ContentError::ParentNotDirectory {
                    name: name.clone(),
                    directory: self.path().to_owned(),
                    parent: path.to_owned(),
                },
                error => self.failed("store", name, error.into()),
            })?;
        }
        Ok(directory)
    }
}

/// The directories on the way to `name`, the outermost first: `a` and `a/b` for `a/b/c.ks`.
fn directories(name: &FileName) -> impl Iterator<Item = &str> {
    let name = name.as_str();
    name.match_indices('/').map(move |(end, _)| &name[..end])
}

/// Makes the last component of `path` in `parent`, for good.
fn make_directory(parent: &OwnedFd, path: &str) -> Result<(), Errno> {
    let last = path.rsplit_once('/').map_or(path, |(_, last)| last);
    let mode = Mode::from_raw_mode(0o755);
    match mkdirat(parent, last, mode) {
        Ok(()) => {
            // Whatever the umask.
            let made = openat(
                parent,
                last,
                OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            fchmod(&made, mode)?;
            fsync(parent)
        }
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}
