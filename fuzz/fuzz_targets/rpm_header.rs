//! Any bytes, read as an rpm's headers: nothing panics, hangs, or takes more memory than there are bytes for.

#![no_main]

use std::io::Cursor;

libfuzzer_sys::fuzz_target!(|package: &[u8]| {
    let read = package::rpm::read(Cursor::new(package));
    let metadata = package::rpm::metadata(Cursor::new(package));
    if let Ok(metadata) = metadata {
        assert_eq!(read.ok(), Some(metadata.rpm));
    }
});
