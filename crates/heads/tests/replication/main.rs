//! Heads in one process, each with directories and a state of its own, keep their files alike.
#![allow(clippy::unwrap_used)]

mod changes;
mod cluster;
mod faults;
mod joining;
mod store;
