//! The one form every change takes: keys to check, keys to write, all or nothing.
//!
//! `model` decides what a change is; a store (one floor up) makes it durable. What comes back through the store's
//! change feed is a list of [`Change`], and nothing else alters a [`ClusterState`](crate::ClusterState).

use std::fmt;

use bytes::Bytes;

/// A revision of the whole store: grows by one with every transaction that changes something. Zero is the empty store.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key of the store: `/`-separated text such as `node/0123…` or `mac/aa:bb:cc:dd:ee:ff`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// A key from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What must hold of a key for a transaction to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist. Uniqueness of names, MACs and addresses is this.
    Absent,
    /// The key exists, whatever its revision.
    Present,
    /// The key was last written by exactly this revision.
    At(Revision),
}

/// Checks and writes that happen together or not at all.
///
/// A key stands at most once among the writes. Checks see the state before the writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What must hold.
    pub checks: Vec<(Key, Expect)>,
    /// What is written: a value, or `None` to delete.
    pub writes: Vec<(Key, Option<Bytes>)>,
}

impl Transaction {
    /// Adds a check.
    pub fn expect(&mut self, key: Key, expect: Expect) {
        self.checks.push((key, expect));
    }

    /// Adds a write.
    pub fn put(&mut self, key: Key, value: impl Into<Bytes>) {
        self.writes.push((key, Some(value.into())));
    }

    /// Adds a deletion. Deleting what does not exist is no error.
    pub fn delete(&mut self, key: Key) {
        self.writes.push((key, None));
    }

    /// Claims a key nobody may hold: checks that it is absent, and writes it.
    pub fn claim(&mut self, key: Key, value: impl Into<Bytes>) {
        self.expect(key.clone(), Expect::Absent);
        self.put(key, value);
    }
}

/// One key as it stands after a transaction: what a store's feed delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Key,
    /// Its new value, or `None` where it was deleted.
    pub value: Option<Bytes>,
    /// The revision that made it so.
    pub revision: Revision,
}
