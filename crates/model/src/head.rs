//! [`Head`]: a server that serves the cluster's nodes.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{Invalid, Kind, Name, Object, Spec};

/// A head as it stands in the cluster.
pub type Head = Object<HeadSpec>;

/// What a head says of itself when it joins, and whenever it starts with something changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadSpec {
    /// Its name.
    pub name: Name,
    /// Where nodes and administrators reach it: `http://10.0.0.1:80`.
    pub url: String,
    /// Where other heads reach it, with certificates of the cluster's authority.
    pub exchange: SocketAddr,
    /// Its own member of etcd, if it runs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdMember>,
    /// The version of Pilotlight it runs.
    pub version: String,
}

/// A member of etcd that a head runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdMember {
    /// Where clients reach it: `https://10.0.0.1:2379`.
    pub client: String,
    /// Where other members reach it: `https://10.0.0.1:2380`.
    pub peer: String,
}

impl Spec for HeadSpec {
    const KIND: Kind = Kind::Head;

    fn name(&self) -> &Name {
        &self.name
    }

    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}
