//! Several heads, one cluster: who they are, how one joins, and how files get from one to the others.
//!
//! Each head has an [`Identity`] that the cluster's own certificate authority has signed. By it heads know each other
//! ([`exchange`]), and the members of etcd do ([`etcd`]). What lies in their directories is kept alike by
//! [`replication`].

pub mod authority;
mod background;
pub mod etcd;
pub mod exchange;
pub mod identity;
pub mod join;
pub mod membership;
pub mod replication;
pub mod reports;

pub use background::Background;
pub use identity::Identity;
