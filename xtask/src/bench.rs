//! Measurements, each beside something well known in the same run.

pub(crate) mod boot;
pub(crate) mod heads;
pub(crate) mod ignition;
pub(crate) mod packages;
pub(crate) mod state;

mod api;
mod cluster;
mod directory;
mod machine;
mod network;
mod nginx;
mod outcome;
mod pilotlight;
mod process;
mod release;
mod report;
mod side_by_side;
mod storm;
mod translation;
mod wrk;
