//! Reading that ends when this head does.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use tokio_util::sync::CancellationToken;

/// A file that cannot be read any more once `closing` is cancelled: some packages take many seconds.
pub(super) struct UntilClosing<'a> {
    pub(super) file: &'a mut File,
    pub(super) closing: &'a CancellationToken,
}

impl Read for UntilClosing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.closing.is_cancelled() {
            return Err(io::Error::other("this head is shutting down"));
        }
        self.file.read(buffer)
    }
}

impl Seek for UntilClosing<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
