//! Any bytes, read as a Debian package: nothing panics or hangs, and what is read is sound.

#![no_main]

#[path = "../../crates/package/tests/deb/laws.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|package: &[u8]| laws::hold(package));
