//! Opening a path so that it cannot leave a directory.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, statat,
};
use rustix::io::Errno;

/// How paths are kept beneath a directory. Chosen once, by what the kernel and its seccomp filters permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beneath {
    /// `openat2(2)` (Linux 5.6): symbolic links are followed as long as they stay inside.
    Openat2,
    /// Component by component with `O_NOFOLLOW`: no symbolic link is followed.
    NoFollow,
}

/// How often `openat2` is retried when a rename anywhere on the system made its check of a `..` uncertain.
const TRIES: u32 = 64;

impl Beneath {
    /// Tries `openat2` on `directory` itself. Kernels before 5.6 know no such call; container runtimes of that
    /// time forbid what they do not know.
    pub(crate) fn probe(directory: BorrowedFd<'_>) -> Self {
        match Self::Openat2.open(directory, "", OFlags::PATH) {
            Err(Errno::NOSYS | Errno::PERM) => Self::NoFollow,
            _ => Self::Openat2,
        }
    }

    /// Opens `path` (components joined by single slashes, none of them `.` or `..`; empty: the directory itself).
    ///
    /// # Errors
    /// `XDEV` when the path leads outside, `LOOP` for a symbolic link that is not followed, `AGAIN` when it
    /// cannot be decided while others rename, and what `open` fails with.
    pub(crate) fn open(
        self,
        directory: BorrowedFd<'_>,
        path: &str,
        flags: OFlags,
    ) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        let path = if path.is_empty() { "." } else { path };
        match self {
            Self::Openat2 => {
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
                let mut tries = 0;
                loop {
                    match openat2(directory, path, flags, Mode::empty(), resolve) {
                        Err(Errno::AGAIN) if tries < TRIES => tries += 1,
                        outcome => return outcome,
                    }
                }
            }
            Self::NoFollow => match path.rsplit_once('/') {
                None => open_component(directory, path, flags),
                Some((parents, last)) => {
                    let mut parent = None;
                    for component in parents.split('/') {
                        let from = parent.as_ref().map_or(directory, std::os::fd::AsFd::as_fd);
                        parent = Some(open_component(
                            from,
                            component,
                            OFlags::PATH | OFlags::DIRECTORY,
                        )?);
                    }
                    open_component(
                        parent.as_ref().map_or(directory, std::os::fd::AsFd::as_fd),
                        last,
                        flags,
                    )
                }
            },
        }
    }

    /// What `path` leads to. One system call for a single component that is no symbolic link, which cannot lead
    /// outside; else a confined open.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn stat(self, directory: BorrowedFd<'_>, path: &str) -> Result<Stat, Errno> {
        if !path.contains('/')
            && let Ok(stat) = statat(directory, path, AtFlags::SYMLINK_NOFOLLOW)
            && !is_symlink(&stat)
        {
            return Ok(stat);
        }
        let stat = fstat(self.open(directory, path, OFlags::PATH)?)?;
        // Opened itself, where links are not followed.
        if is_symlink(&stat) {
            Err(Errno::LOOP)
        } else {
            Ok(stat)
        }
    }
}

fn is_symlink(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

/// Opens one component, which must not be a symbolic link.
fn open_component(
    directory: BorrowedFd<'_>,
    component: &str,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, component, flags, Mode::empty()).map_err(|error| {
        // A link where a directory must be is "not a directory" to the kernel; tell it apart from a file.
        let is_link = || {
            statat(directory, component, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| is_symlink(&stat))
        };
        if error == Errno::NOTDIR && is_link() {
            Errno::LOOP
        } else {
            error
        }
    })
}
