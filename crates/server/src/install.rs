//! What installs and configures a node from its head.

pub(crate) mod attributes;
pub(crate) mod download;
pub(crate) mod installer;
