//! What installs and configures a node from its head, and what makes a head of another machine.

pub(crate) mod attributes;
pub(crate) mod download;
pub(crate) mod head;
pub(crate) mod installer;
pub(crate) mod join;
pub(crate) mod own_packages;
pub(crate) mod password;
pub(crate) mod repo;
mod shell;
