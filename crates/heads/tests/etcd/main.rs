//! What heads do with the real etcd: run it, and become members of it.

#![allow(clippy::unwrap_used)]

mod cluster;
mod process;
mod test_head;
