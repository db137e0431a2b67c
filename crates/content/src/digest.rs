//! Hashing what passes by.

use std::io;

use model::Sha256Digest;
use sha2::{Digest as _, Sha256};

/// Hashes and counts what is written to it.
#[derive(Default)]
pub(crate) struct Hasher {
    sha256: Sha256,
    size: u64,
}

impl Hasher {
    pub(crate) fn finish(self) -> (u64, Sha256Digest) {
        (
            self.size,
            Sha256Digest::from(<[u8; 32]>::from(self.sha256.finalize())),
        )
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
