//! Any bytes, as a config and as one to put values in: nothing panics or hangs, and what is valid stays so.

#![no_main]

#[path = "../../crates/ignition/tests/laws/mod.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|source: &[u8]| laws::hold(source));
