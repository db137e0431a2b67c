//! [`Cluster`]: what holds for the whole cluster.

use serde::{Deserialize, Serialize};

use crate::{Key, Name, PasswordHash, Uid};

/// Settings of the whole cluster; one record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: Name,
    /// The domain of nodes whose names have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Name>,
    /// The group whose attributes every node has unless something else sets them.
    pub default_group: Uid,
    /// The cluster database password, which lets a server join.
    pub database_password: PasswordHash,
}

impl Cluster {
    /// The key that holds the cluster's settings.
    pub fn key() -> Key {
        Key::new("cluster")
    }

    /// The record as it is stored.
    pub fn record(&self) -> Vec<u8> {
        // Text and a UID: serde_json cannot fail on them.
        serde_json::to_vec(self).expect("a record serialises")
    }
}
