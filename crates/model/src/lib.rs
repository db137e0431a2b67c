//! What a cluster is: nodes, attribute groups, boot configurations, git repositories, and the state that holds them. No
//! I/O.
//!
//! An administrator's wish becomes a [`Transaction`]: [`creation`], [`Object::replacement`] or [`Object::deletion`]. A
//! store makes it durable and sends it round as [`Change`]s, and [`ClusterState::apply`] is the only thing that alters
//! the state, so that every head comes to the same one.

mod address;
mod admin;
mod attributes;
mod authority;
mod boot_config;
mod cluster;
mod digest;
mod effective;
mod error;
mod git_repo;
mod git_url;
mod group;
mod head;
mod manifest;
mod name;
mod node;
mod object;
mod state;
mod sync_period;
mod transaction;
mod uid;

pub use address::{Ip, MacAddr};
pub use admin::{Admin, AdminSpec, PasswordHash, Session, TokenHash};
pub use attributes::{Attributes, Facts};
pub use authority::Authority;
pub use boot_config::{BootConfig, BootConfigSpec};
pub use cluster::Cluster;
pub use digest::Sha256Digest;
pub use effective::SetBy;
pub use error::{BadRecord, Invalid};
pub use git_repo::{GitRepo, GitRepoSpec};
pub use git_url::GitUrl;
pub use group::{AttributeGroup, GroupSpec};
pub use head::{EtcdMember, Head, HeadSpec};
pub use manifest::{FileContent, FilePath, FileVersion, Listed, Manifest, Tree, file_change};
pub use name::{AttributeName, Name};
pub use node::{Interface, Node, NodeSpec};
pub use object::{Kind, Object, Spec, creation};
pub use state::{ClusterState, Collection, Nodes, Sessions};
pub use sync_period::SyncPeriod;
pub use transaction::{Change, Expect, Key, Revision, Transaction};
pub use uid::Uid;
