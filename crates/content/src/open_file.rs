//! [`OpenFile`]: a file that is sent from disk, since it may be larger than memory.

use std::fs::File;
use std::io::{self, IoSliceMut, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::io::{ReadWriteFlags, preadv2};

use crate::digest::Hasher;
use crate::reading::{SETTLING, is_settled};
use crate::{ContentError, FileId, FileKind, FileName, FileRoot, Sha256Digest};

/// A regular file that is open, and the state it was in when it was opened.
///
/// All reading is of that state: once the file has another length or was written to, it fails. So nobody gets the
/// first half of one file and the second half of another. A file that is replaced (by a rename, or deleted) stays
/// readable as it was.
#[derive(Debug)]
pub struct OpenFile {
    path: PathBuf,
    file: File,
    id: FileId,
    settled: bool,
}

impl OpenFile {
    /// Opens the file at `path`, which is an administrator's, never a client's: links in it are followed.
    ///
    /// # Errors
    /// What the kernel says; [`io::ErrorKind::InvalidInput`] when it is no regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let clock = SystemTime::now();
        // Without NONBLOCK, a FIFO would hold this thread until somebody writes to it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(openat(CWD, path, flags, Mode::empty())?);
        Self::of(path.to_owned(), file, clock)
    }

    /// Opens a file of a directory, under a name that may be a client's.
    ///
    /// # Errors
    /// There is no such file, it is no regular file, or the way to it is refused.
    pub fn beneath(root: &FileRoot, name: &FileName) -> Result<Self, ContentError> {
        let clock = SystemTime::now();
        let file = root.open_file(name)?;
        let path = root.path().join(name.as_str());
        Self::of(path, file, clock).map_err(|error| root.failed("read", name, error))
    }

    /// The same of a file that was opened in another way, at the time `clock` or after it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn of(path: PathBuf, file: File, clock: SystemTime) -> io::Result<Self> {
        let stat = fstat(&file)?;
        if let Some(kind) = FileKind::of(&stat) {
            let reason = format!("it is {kind}, not a regular file");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let id = FileId::of(&stat);
        Ok(Self {
            path,
            file,
            id,
            settled: is_settled(id, SETTLING, clock),
        })
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which file it is, in which state.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Whether [`id`](Self::id) proves the bytes, because any later write must change it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Reads at least one byte at the position `at` into `buffer`, and waits for the disk if it must: how many.
    ///
    /// # Errors
    /// The disk fails, or the file changed since it was opened.
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let length = self.file.read_at(buffer, at)?;
        self.unchanged(length)
    }

    /// The same if the system has the bytes in memory.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if it has not, [`io::ErrorKind::Unsupported`] if this file system cannot tell;
    /// and as [`read_at`](Self::read_at).
    pub fn read_cached_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let buffer = &mut [IoSliceMut::new(buffer)];
        let length = preadv2(&self.file, buffer, at, ReadWriteFlags::NOWAIT)?;
        self.unchanged(length)
    }

    /// The digest of the whole content. Reads all of it.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    pub fn sha256(&self) -> io::Result<Sha256Digest> {
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 128 * 1024];
        let mut at = 0;
        while at < self.id.size {
            let length = self.read_at(&mut buffer, at)?;
            hasher.write_all(&buffer[..length])?;
            at += length as u64;
        }
        Ok(hasher.finish().1)
    }

    /// What was read, if it is of the state that was opened.
    fn unchanged(&self, length: usize) -> io::Result<usize> {
        // Not ctime, which moves when the file gets another name or loses its own, too.
        let now = FileId::of(&fstat(&self.file)?);
        if length == 0 || (now.size, now.mtime) != (self.id.size, self.id.mtime) {
            return Err(io::Error::other("it changed while it was read"));
        }
        Ok(length)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    /// A file of these bytes in a directory of its own.
    fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x");
        fs::write(&path, bytes).unwrap();
        (home, path)
    }

    fn read(open: &OpenFile, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; length];
        let length = open.read_at(&mut buffer, at)?;
        buffer.truncate(length);
        Ok(buffer)
    }

    #[test]
    fn reads_from_where_it_is_told() {
        let (_home, path) = file(b"0123456789");
        let open = OpenFile::open(&path).unwrap();
        assert_eq!(open.id().size, 10);
        assert_eq!(read(&open, 2, 3).unwrap(), b"234");
        assert_eq!(read(&open, 8, 100).unwrap(), b"89");
        assert_eq!(open.sha256().unwrap(), Sha256Digest::of(b"0123456789"));
    }

    #[test]
    fn what_is_in_memory_is_read_without_waiting_or_not_at_all() {
        let (_home, path) = file(b"0123456789");
        let open = OpenFile::open(&path).unwrap();
        let mut buffer = [0; 4];
        match open.read_cached_at(&mut buffer, 3) {
            Ok(length) => assert_eq!(buffer[..length], b"3456"[..length]),
            // The page was written back and dropped meanwhile, or this file system has no such call.
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Unsupported
                ),
                "{error}"
            ),
        }
    }

    #[test]
    fn nothing_is_read_of_a_file_that_changed() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 3] = [
            ("shrank", |path| {
                let file = File::options().write(true).open(path).unwrap();
                file.set_len(5).unwrap();
            }),
            ("grew", |path| {
                let mut file = File::options().append(true).open(path).unwrap();
                file.write_all(b"more").unwrap();
            }),
            ("was rewritten", |path| {
                fs::write(path, b"abcdefghij").unwrap();
                // The clock may stand still for some milliseconds; this moves the time for certain.
                let file = File::options().write(true).open(path).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }),
        ];
        for (what, change) in changes {
            let (_home, path) = file(b"0123456789");
            let open = OpenFile::open(&path).unwrap();
            change(&path);
            for result in [
                read(&open, 0, 4).map(drop),
                read(&open, 8, 4).map(drop),
                open.sha256().map(drop),
            ] {
                let error = result.expect_err(what).to_string();
                assert!(error.contains("changed while it was read"), "{error}");
            }
        }
    }

    #[test]
    fn a_file_that_is_replaced_or_deleted_is_read_as_it_was() {
        let (home, path) = file(b"0123456789");
        let open = OpenFile::open(&path).unwrap();
        fs::write(home.path().join("next"), b"abcdefghij").unwrap();
        fs::rename(home.path().join("next"), &path).unwrap();
        assert_eq!(read(&open, 0, 4).unwrap(), b"0123");
        fs::remove_file(&path).unwrap();
        assert_eq!(open.sha256().unwrap(), Sha256Digest::of(b"0123456789"));
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let home = tempfile::tempdir().unwrap();
        let error = OpenFile::open(home.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("a directory"), "{error}");
        let fifo = home.path().join("fifo");
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(CWD, &fifo, mode).unwrap();
        // Nobody writes to it: this would wait for ever.
        let error = OpenFile::open(&fifo).unwrap_err();
        assert!(error.to_string().contains("a FIFO"), "{error}");
        let error = OpenFile::open(&home.path().join("gone")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
