//! Measurements, each beside something well known in the same run.

pub(crate) mod boot;
pub(crate) mod state;

mod api;
mod cluster;
mod machine;
mod network;
mod nginx;
mod outcome;
mod pilotlight;
mod process;
mod storm;
mod wrk;
