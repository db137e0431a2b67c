//! HTTP: who is asking, endpoints, replies, authentication, limits.
//!
//! Start with [`routes`], the table of all endpoints; `service` follows a request from there to its answer.

mod asking;
mod audit;
pub mod auth;
mod base_url;
mod boot;
mod call;
mod digests;
mod envelope;
mod error;
mod glob;
mod head;
mod health;
mod install;
pub mod ledger;
pub mod listen;
mod manage;
mod metrics;
pub mod new_cluster;
pub mod openapi;
mod path;
mod query;
mod replicated;
pub mod reply;
mod repo;
mod reports;
mod routes;
mod service;
mod status;

pub use boot::ignition::configs::check_fetched;
pub use boot::ignition_bin::IgnitionBinPaths;
pub use error::{Error, with_causes};
pub use head::{Head, HeadError, Settings, Sources};
pub use install::own_packages::{OwnPackages, OwnPackagesSettings};
pub use reports::Reports;
pub use service::Service;
