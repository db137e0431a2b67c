//! What can be wrong with a value or a change.

use crate::{Key, Kind};

/// A value that no cluster may hold, or a reference to something that is not there.
///
/// The text says what the value was and what would be accepted; it is meant for the administrator who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not 32 lower-case hex digits.
    #[error("{0:?} is not a UID: 32 lower-case hex digits")]
    Uid(String),
    /// Not a MAC address a machine can own.
    #[error("{value:?} is not a usable MAC address: {why}")]
    Mac {
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not an IP address a machine can own.
    #[error("{value:?} is not a usable IP address: {why}")]
    Ip {
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not a name of a node or another object.
    #[error("{value:?} is not a usable name: {why}")]
    Name {
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not the name of an attribute.
    #[error(
        "{0:?} is not an attribute name: a letter or '_', then letters, digits or '_', at most 253"
    )]
    AttributeName(String),
    /// A text that is too long or holds a NUL.
    #[error("{field}: {why}")]
    Text {
        /// Which field.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// Not the URL of a git repository. It is not repeated, since it may hold a password.
    #[error("url: {0}")]
    GitUrl(&'static str),
    /// Not a time after which a git repository is asked for news.
    #[error("sync_period: {0:?} is none from \"5s\" to \"7d\": a whole number, then s, m, h or d")]
    SyncPeriod(String),
    /// A node gives one address two owners.
    #[error("interface {mac} has both {one} and {other} as its address")]
    InterfaceTwice {
        /// The MAC that stands twice.
        mac: crate::MacAddr,
        /// The address given first.
        one: crate::Ip,
        /// The address given second.
        other: crate::Ip,
    },
    /// One address on two interfaces of a node.
    #[error("address {0} stands on two interfaces")]
    AddressTwice(crate::Ip),
    /// A reference to an object that does not exist.
    #[error("there is no {kind} {id:?}")]
    NoSuch {
        /// What kind of object.
        kind: Kind,
        /// The name or UID that was given.
        id: String,
    },
}

/// A record of the store, or a change from its feed, that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the stored record {key} cannot be read: {source}")]
pub struct BadRecord {
    /// Which record.
    pub key: Key,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
