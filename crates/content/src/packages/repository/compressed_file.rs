//! A part of an index: compressed while it is written, and hashed on both sides of that.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{RepositoryError, directory::Directory};
use crate::Sha256Digest;
use crate::digest::Hasher;
use crate::temporary::Temporary;

/// A file that is being written.
pub(super) struct CompressedFile {
    temporary: Temporary,
    out: BufWriter<Hashing<GzEncoder<Hashing<File>>>>,
}

/// A file that is written, and still has no name.
pub(super) struct Written {
    pub(super) temporary: Temporary,
    /// Of the file.
    pub(super) compressed: Sum,
    /// Of what is in it.
    pub(super) plain: Sum,
}

/// Size and digest.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    pub(super) size: u64,
    pub(super) sha256: Sha256Digest,
}

impl CompressedFile {
    pub(super) fn create(directory: &Directory) -> Result<Self, RepositoryError> {
        let temporary = directory.temporary()?;
        let file = Hashing::new(directory.explain(temporary.file.try_clone())?);
        // Without time or name in its header: the same content gives the same file.
        let encoder = GzEncoder::new(file, Compression::default());
        Ok(Self {
            temporary,
            out: BufWriter::new(Hashing::new(encoder)),
        })
    }

    pub(super) fn finish(self) -> io::Result<Written> {
        let (encoder, plain) = self.out.into_inner()?.finish();
        let (_, compressed) = encoder.finish()?.finish();
        Ok(Written {
            temporary: self.temporary,
            compressed,
            plain,
        })
    }
}

impl Write for CompressedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Passes on what is written, and hashes it.
pub(super) struct Hashing<W> {
    out: W,
    hasher: Hasher,
}

impl<W> Hashing<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            hasher: Hasher::default(),
        }
    }

    pub(super) fn finish(self) -> (W, Sum) {
        let (size, sha256) = self.hasher.finish();
        (self.out, Sum { size, sha256 })
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher
            .write_all(bytes.get(..written).unwrap_or(bytes))?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
