//! Any bytes, translated as a Butane document: nothing panics or hangs, and there is a config or an error.

#![no_main]

#[path = "../../crates/ignition/tests/butane_corpus/laws.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|text: &[u8]| laws::hold(text));
