//! What is recorded of a fetch: [`Fetch`] as a request hands it over, [`Entry`] as others read it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use model::Uid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// One answer to a boot request, finished or cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// When the answer ended.
    pub time: Timestamp,
    /// The node that asked, where it was recognised.
    pub node: Option<Recognised>,
    /// The address that asked.
    pub address: IpAddr,
    /// The path asked for. No query string: it may hold what must not be written down.
    pub path: Box<str>,
    /// The HTTP status answered.
    pub status: u16,
    /// Length in bytes of the body that the answer promised.
    pub bytes: u64,
    /// Bytes of the body that were sent.
    pub sent: u64,
    /// Whether the client got the whole answer.
    pub complete: bool,
    /// SHA-256 of the whole content, where there was one.
    pub sha256: Option<[u8; 32]>,
    /// From the request's arrival to the end of the answer.
    pub elapsed: Duration,
    /// Why it failed: the line the client was given.
    pub reason: Option<Box<str>>,
    /// The revision of the file that was served.
    pub file_revision: Option<Box<str>>,
    /// The revision of the node it was rendered for.
    pub node_revision: Option<u64>,
}

/// The node that asked, and how it was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// The node's UID.
    pub uid: Uid,
    /// The node's name at the time.
    pub name: Arc<str>,
    /// How it was recognised.
    pub how: How,
}

/// How a node was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It owns the address that asked.
    Address,
    /// It owns the MAC of an `X-RHN-Provisioning-MAC-<i>` header.
    MacHeader,
    /// An administrator's token let the request name it.
    Token,
}

impl How {
    /// The word for it in logs and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::MacHeader => "mac-header",
            Self::Token => "token",
        }
    }
}

/// A fetch as the ledger's readers see it; a JSON log line holds the same fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Grows with every fetch this head records, over restarts too.
    pub id: i64,
    /// When the answer ended: RFC 3339, UTC, milliseconds.
    #[serde(serialize_with = "milliseconds")]
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// The head that answered.
    pub head: String,
    /// The name of the node that asked, where it was recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The address that asked.
    pub address: IpAddr,
    /// How the node was recognised; null where none was.
    pub how: Option<How>,
    /// The path asked for.
    pub path: String,
    /// The HTTP status answered.
    pub status: u16,
    /// Length in bytes of the body that the answer promised.
    pub bytes: u64,
    /// Bytes of the body that were sent.
    pub sent: u64,
    /// Whether the client got the whole answer.
    pub complete: bool,
    /// SHA-256 of the whole content, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Milliseconds from the request's arrival to the end of the answer.
    pub ms: f64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The UID of the node that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_uid: Option<Uid>,
    /// The revision of the file that was served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_revision: Option<String>,
    /// The revision of the node it was rendered for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_revision: Option<u64>,
}

impl Entry {
    pub(super) fn new(id: i64, head: &str, fetch: &Fetch) -> Self {
        let node = fetch.node.as_ref();
        Self {
            id,
            time: fetch.time,
            head: head.to_owned(),
            node: node.map(|node| node.name.to_string()),
            address: fetch.address,
            how: node.map(|node| node.how),
            path: fetch.path.to_string(),
            status: fetch.status,
            bytes: fetch.bytes,
            sent: fetch.sent,
            complete: fetch.complete,
            sha256: fetch.sha256.as_ref().map(hex),
            ms: fetch.elapsed.as_micros() as f64 / 1000.0,
            reason: fetch.reason.as_deref().map(str::to_owned),
            node_uid: node.map(|node| node.uid),
            file_revision: fetch.file_revision.as_deref().map(str::to_owned),
            node_revision: fetch.node_revision,
        }
    }
}

pub(super) fn milliseconds<S: Serializer>(
    time: &Timestamp,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

pub(super) fn hex(digest: &[u8; 32]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    digest
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Fetches for the tests of this module.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod sample {
    use super::*;

    /// Node n4 got a kickstart.
    pub(in crate::ledger) fn served() -> Fetch {
        Fetch {
            time: "2026-11-22T23:11:02.123456Z".parse().unwrap(),
            node: Some(Recognised {
                uid: Uid::from_bytes([4; 16]),
                name: "n4".into(),
                how: How::Address,
            }),
            address: "10.1.2.3".parse().unwrap(),
            path: "/kickstart/basic.ks".into(),
            status: 200,
            bytes: 4096,
            sent: 4096,
            complete: true,
            sha256: Some([0xab; 32]),
            elapsed: Duration::from_micros(412),
            reason: None,
            file_revision: Some("7c".into()),
            node_revision: Some(9),
        }
    }

    /// An address that no node owns asked, and went away before the answer.
    pub(in crate::ledger) fn refused() -> Fetch {
        Fetch {
            time: "2026-11-22T23:11:03Z".parse().unwrap(),
            node: None,
            address: "fd00::1".parse().unwrap(),
            path: "/ztp/script".into(),
            status: 404,
            bytes: 32,
            sent: 0,
            complete: false,
            sha256: None,
            elapsed: Duration::from_millis(1500),
            reason: Some("no node has address fd00::1".into()),
            file_revision: None,
            node_revision: None,
        }
    }
}
