//! What administrators do.

pub(crate) mod admins;
mod attribs;
pub(crate) mod attributes;
mod bootconfigs;
pub(crate) mod check;
pub(crate) mod cluster;
mod condition;
pub(crate) mod files;
mod gitrepos;
pub(crate) mod heads;
pub(crate) mod ledger;
mod list;
pub(crate) mod nodes;
pub(crate) mod objects;
pub(crate) mod packages;
pub(crate) mod render;
