//! Which file, and which state of it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Stat};

/// The identity of one state of one file: as long as it is equal, so are the bytes.
///
/// Every write moves `ctime`, and no program can set it. There is one gap: two writes within one tick of the file
/// system's clock leave the same time. Whoever trusts an identity must have read it well after its `ctime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Device of the file system.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Length in bytes.
    pub size: u64,
    /// When the content was last written, as far as programs tell: they may set this time.
    pub mtime: SystemTime,
    /// When the inode last changed, by the file system's clock.
    pub ctime: SystemTime,
}

impl FileId {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: stat.st_size.unsigned_abs(),
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// The time `seconds` after 1970 (before it, when negative) plus `nanoseconds` (0 to 999,999,999).
fn time(seconds: i64, nanoseconds: u64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let second = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    let fraction = Duration::from_nanos(nanoseconds);
    second
        .and_then(|second| second.checked_add(fraction))
        .unwrap_or(UNIX_EPOCH)
}

/// What a name leads to when it is not a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A FIFO (named pipe).
    Fifo,
    /// A Unix-domain socket.
    Socket,
    /// A character or block device.
    Device,
    /// A symbolic link that is not followed.
    SymbolicLink,
    /// Anything this program does not know.
    Unknown,
}

impl FileKind {
    /// `None` for a regular file.
    pub(crate) fn of(stat: &Stat) -> Option<Self> {
        Some(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => return None,
            FileType::Directory => Self::Directory,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice | FileType::BlockDevice => Self::Device,
            FileType::Symlink => Self::SymbolicLink,
            FileType::Unknown => Self::Unknown,
        })
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::SymbolicLink => "a symbolic link",
            Self::Unknown => "of an unknown kind",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_count_their_nanoseconds_forward() {
        assert_eq!(
            time(1, 500_000_000),
            UNIX_EPOCH + Duration::from_millis(1500)
        );
        assert_eq!(
            time(-1, 500_000_000),
            UNIX_EPOCH - Duration::from_millis(500)
        );
    }
}
