//! Reading a file that others may be writing to.

use std::fs::File;
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;

use crate::{ContentError, FileId, FileName, FileRoot};

/// After this time no write can leave a file's `ctime` as it is: it is a tick of the coarsest clock a file system
/// has (FAT counts in steps of 2 s).
pub(crate) const SETTLING: Duration = Duration::from_secs(2);

/// How often a file that changes while it is read is read again.
const TRIES: u32 = 5;

/// What was read of a file, and of which state of it.
#[derive(Debug)]
pub(crate) struct Reading<T> {
    pub(crate) value: T,
    /// The same before and after the reading.
    pub(crate) id: FileId,
    /// When the reading began: it shows every write that was complete then.
    pub(crate) began: Instant,
    /// Whether `id` proves the bytes: any later write must change it.
    pub(crate) settled: bool,
}

/// Reads the file `name` with `read`, again if it changes meanwhile. `read` gives `None` when what it read does
/// not fit the identity.
///
/// # Errors
/// [`ContentError::Changing`] when the file never rests; what opening the file or `read` fails with.
pub(crate) fn read_at_rest<T>(
    root: &FileRoot,
    name: &FileName,
    settling: Duration,
    read: impl FnMut(&mut File, FileId) -> Result<Option<T>, ContentError>,
) -> Result<Reading<T>, ContentError> {
    let (open, identify) = (
        || root.open_file(name),
        |file: &File| root.identify(name, file),
    );
    let reading = read_opened_at_rest(settling, open, identify, read)?;
    reading.ok_or_else(|| root.failed("read", name, Errno::AGAIN.into()))
}

/// The same for a file that is opened and identified in another way. `None` when it never rests.
///
/// # Errors
/// What opening the file, identifying it or `read` fails with.
pub(crate) fn read_opened_at_rest<T, E>(
    settling: Duration,
    open: impl Fn() -> Result<File, E>,
    identify: impl Fn(&File) -> Result<FileId, E>,
    mut read: impl FnMut(&mut File, FileId) -> Result<Option<T>, E>,
) -> Result<Option<Reading<T>>, E> {
    for _ in 0..TRIES {
        let (began, clock) = (Instant::now(), SystemTime::now());
        let mut file = open()?;
        let id = identify(&file)?;
        let outcome = read(&mut file, id);
        if identify(&file)? != id {
            continue;
        }
        if let Some(value) = outcome? {
            return Ok(Some(Reading {
                value,
                id,
                began,
                settled: is_settled(id, settling, clock),
            }));
        }
    }
    Ok(None)
}

/// Whether `id`, read at the time `clock`, proves the bytes.
pub(crate) fn is_settled(id: FileId, settling: Duration, clock: SystemTime) -> bool {
    id.ctime
        .checked_add(settling)
        .is_some_and(|settled| settled <= clock)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::io::Read as _;

    use super::*;

    /// Reads the file, and has it changed by `change` each time after half of it is read.
    fn read_while(
        content: &str,
        mut change: impl FnMut(&std::path::Path, u32),
    ) -> Result<Reading<String>, ContentError> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x");
        fs::write(&path, content).unwrap();
        let root = FileRoot::open(home.path()).unwrap();
        let mut turn = 0;
        read_at_rest(&root, &"x".parse().unwrap(), SETTLING, |file, id| {
            let mut half = vec![0; content.len() / 2];
            file.read_exact(&mut half).unwrap();
            change(&path, turn);
            turn += 1;
            let mut text = String::from_utf8(half).unwrap();
            file.read_to_string(&mut text).unwrap();
            Ok((text.len() as u64 == id.size).then_some(text))
        })
    }

    #[test]
    fn a_file_truncated_while_it_is_read_is_read_again() {
        let reading = read_while("0123456789", |path, turn| {
            if turn == 0 {
                let file = File::options().write(true).open(path).unwrap();
                file.set_len(6).unwrap();
            }
        })
        .unwrap();
        assert_eq!(reading.value, "012345");
        assert_eq!(reading.id.size, 6);
    }

    #[test]
    fn a_file_rewritten_in_place_while_it_is_read_is_read_again() {
        let reading = read_while("0123456789", |path, turn| {
            if turn == 0 {
                fs::write(path, "abcdefghij").unwrap();
                // The clock may stand still for some milliseconds; this moves the time for certain.
                let file = File::options().write(true).open(path).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
        })
        .unwrap();
        assert_eq!(reading.value, "abcdefghij");
    }

    #[test]
    fn a_file_replaced_while_it_is_read_is_whole() {
        // The open file is the old one still, and it did not change.
        let reading = read_while("0123456789", |path, _| {
            let next = path.with_extension("next");
            fs::write(&next, "abcdefghij").unwrap();
            fs::rename(&next, path).unwrap();
        })
        .map(|reading| reading.value);
        // Its link count did, which moves ctime: the new one, or none, but never a mixture.
        match reading {
            Ok(text) => assert!(text == "0123456789" || text == "abcdefghij", "{text}"),
            Err(error) => assert!(matches!(error, ContentError::Changing { .. }), "{error}"),
        }
    }

    #[test]
    fn a_file_that_never_rests_is_changing() {
        let error = read_while("0123456789", |path, turn| {
            fs::write(path, "0123456789".repeat(turn as usize + 2)).unwrap();
        })
        .unwrap_err();
        assert!(matches!(error, ContentError::Changing { .. }), "{error}");
    }

    #[test]
    fn an_identity_proves_the_bytes_once_its_ctime_is_past() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("x"), "x").unwrap();
        let root = FileRoot::open(home.path()).unwrap();
        let id = root.stat(&"x".parse().unwrap()).unwrap();
        let after = |seconds| id.ctime + Duration::from_secs(seconds);
        assert!(!is_settled(
            id,
            SETTLING,
            id.ctime - Duration::from_secs(3600)
        ));
        assert!(!is_settled(id, SETTLING, id.ctime));
        assert!(!is_settled(id, SETTLING, after(1)));
        assert!(is_settled(id, SETTLING, after(2)));
    }
}
