//! [`Authority`]: the certificate authority that the heads of a cluster know each other by.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BadRecord, Key};

/// A cluster's own certificate authority; one record, made when the cluster is.
///
/// Whoever holds the key can be a head, so it stays where heads keep their state.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Its certificate, in PEM.
    pub certificate: String,
    /// Its private key (PKCS #8), in PEM.
    pub key: String,
}

impl Authority {
    /// The key that holds it.
    pub fn key() -> Key {
        Key::new("authority")
    }

    /// The record as it is stored.
    pub fn record(&self) -> Vec<u8> {
        // Two texts: serde_json cannot fail on them.
        serde_json::to_vec(self).expect("a record serialises")
    }

    pub(crate) fn read(value: &[u8]) -> Result<Self, BadRecord> {
        serde_json::from_slice(value).map_err(|source| BadRecord {
            key: Self::key(),
            source: source.into(),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(…)")
    }
}
