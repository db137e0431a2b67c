//! The repositories, as the real createrepo_c, dnf and apt see them.
#![allow(clippy::unwrap_used)]

mod clients;
mod following;
mod publishing;
mod site;
