//! [`Digests`]: what large files hash to, found once for each state of a file.

use std::io;

use content::{FileId, OpenFile, Sha256Digest};
use quick_cache::sync::{Cache, GuardResult};

/// How many files are remembered.
const CAPACITY: usize = 1024;

/// The digests of files that were sent lately.
pub(crate) struct Digests(Cache<FileId, Sha256Digest>);

impl Default for Digests {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl Digests {
    /// The digest of the file. Blocks: it reads the file, or waits for somebody who does.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn of(&self, file: &OpenFile) -> io::Result<Sha256Digest> {
        match self.0.get_value_or_guard(&file.id(), None) {
            GuardResult::Value(sha256) => Ok(sha256),
            GuardResult::Guard(guard) => {
                let sha256 = file.sha256()?;
                // Of a file written just now, another write might leave the same times.
                if file.is_settled() {
                    // Fails only if it was pushed out at once.
                    let _ = guard.insert(sha256);
                }
                Ok(sha256)
            }
            // Without a limit there is no end to it.
            GuardResult::Timeout => file.sha256(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_digest_is_found_once_for_each_state_of_a_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("program");
        let digests = Digests::default();
        let mark = Sha256Digest::of(b"mark");
        fs::write(&path, "one").unwrap();
        let file = OpenFile::open(&path).unwrap();
        digests.0.insert(file.id(), mark);
        assert_eq!(digests.of(&file).unwrap(), mark);

        fs::write(&path, "other").unwrap();
        let file = OpenFile::open(&path).unwrap();
        assert_eq!(digests.of(&file).unwrap(), Sha256Digest::of(b"other"));
        // Not kept of a file written just now.
        assert_eq!(digests.0.get(&file.id()).is_some(), file.is_settled());
    }
}
