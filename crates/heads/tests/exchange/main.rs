//! The exchange between heads: real sockets, real certificates, real files.

#![allow(clippy::unwrap_used)]

mod asking;
mod cluster;
mod full_disk;
mod pulling;
mod relay;
