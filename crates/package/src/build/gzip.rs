//! Compression that every machine can undo.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};

/// Without a name or a time, which would make the bytes differ from run to run.
pub(super) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
