//! Any bytes, converted as an rpm: there is an error, or a tar that is whole and known again.

#![no_main]

use std::io::Cursor;

use package::rpm::{Limits, to_tar};

libfuzzer_sys::fuzz_target!(|package: &[u8]| {
    let limits = Limits {
        unpacked: 1 << 20,
        members: 1 << 10,
        ratio: 100,
    };
    let mut tar = Vec::new();
    if let Ok(rpm) = to_tar(Cursor::new(package), [1; 32], &mut tar, limits, 1) {
        let known = package::tar::read(&tar[..], "unknown").unwrap();
        assert_eq!(known.identity, rpm.identity);
        assert_eq!(known.made_of, Some([1; 32]));
    }
});
