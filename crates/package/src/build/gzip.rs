//! Compression that every machine can undo.

use std::io::Write;
use std::num::NonZero;
use std::thread;

use super::BuildError;
use crate::gzip::Gzip;

/// Lets `write` write, and puts what it wrote into `out`, compressed on all processors.
pub(super) fn gzip<W: Write>(
    out: W,
    write: impl FnOnce(&mut Gzip<W>) -> Result<(), BuildError>,
) -> Result<W, BuildError> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let mut gzip = Gzip::begin(scope, threads, out, "")?;
        write(&mut gzip)?;
        Ok(gzip.finish()?)
    })
}
