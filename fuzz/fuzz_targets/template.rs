//! Any bytes, parsed and rendered as a boot file: nothing panics or hangs, and the laws of the language hold.

#![no_main]

#[path = "../../crates/template/tests/laws/mod.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|source: &[u8]| laws::hold(source));
