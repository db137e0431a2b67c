//! Several heads that serve one cluster, as real processes, each with a data directory and an address of its own.
//!
//! `cargo test` does what is done again and again a few times; `cargo xtask test --heads` as often as it takes to find
//! what is rare.
#![allow(clippy::unwrap_used)]

mod alone;
mod asking;
mod boots;
mod claims;
mod cluster;
mod databases;
mod edits;
mod from_nothing;
#[path = "../head/mod.rs"]
mod head;
mod joining;
mod journal;
mod lab;
mod losing_heads;
mod members;
mod network;
mod passwords;

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::time::Duration;

/// How often something is tried: `few` times, or `many` where time is taken for it.
fn times(few: usize, many: usize) -> usize {
    if env::var_os("HEADS_IN_FULL").is_some() {
        many
    } else {
        few
    }
}

/// Any number below this one.
fn any_below(end: u64) -> u64 {
    RandomState::new().hash_one(()) % end
}

/// Says a figure and what is aimed at, past the capture of the test runner. It fails no test: other work on this machine
/// may have taken the time.
fn measured(what: &str, took: Duration, aim: Duration) {
    // Where even this cannot be said, nobody listens.
    let _ = writeln!(
        io::stderr(),
        "MEASURED: {what}: {:.2} s (aim: {} s)",
        took.as_secs_f64(),
        aim.as_secs()
    );
}
