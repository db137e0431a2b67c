//! The packages of the head itself, `pilotlight`: what another machine installs to become a head of the same cluster.
//!
//! A head makes them of its own executable and of files that are part of it. So every head offers the very version that
//! it is, and needs neither tools nor downloads for that. What is put into them beside the executable lies in
//! `packaging/`.

mod contents;
mod made;
mod write;

pub use contents::{Documents, Page};
pub use made::{HeadPackage, HeadPackages};
pub use write::{WriteError, write};
