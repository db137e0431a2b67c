//! What a cluster looks like in etcd.
//!
//! ```text
//! pilotlight/cluster        which cluster this is, and how far its founding has come: ClusterMark, as JSON
//! pilotlight/record/<key>   each record: the revision it has from before etcd (8 bytes, big-endian; 0 for none), then
//!                           its value
//! ```
//!
//! Revisions go on where those of the head's own database ended: when a cluster is founded in etcd, none of its records
//! is changed by that.

use std::ops::RangeInclusive;

use bytes::Bytes;
use etcd_client::KeyValue;
use model::{Key, Revision, Uid};
use serde::{Deserialize, Serialize};

use super::Trouble;
use crate::Record;

/// The names of a cluster's keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    records: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            records: format!("{prefix}record/"),
        }
    }

    /// What all of them begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What those of records begin with.
    pub(super) fn records(&self) -> &str {
        &self.records
    }

    /// Where the [`ClusterMark`] is.
    pub(super) fn mark(&self) -> String {
        format!("{}cluster", self.prefix)
    }

    pub(super) fn record(&self, key: &Key) -> String {
        format!("{}{key}", self.records)
    }

    /// What is kept under a key of etcd.
    pub(super) fn kind(&self, name: &[u8]) -> KeyKind {
        match name {
            _ if name.starts_with(self.records.as_bytes()) => KeyKind::Record,
            _ if name == self.mark().as_bytes() => KeyKind::Mark,
            _ => KeyKind::Foreign,
        }
    }

    fn key(&self, name: &[u8]) -> Result<Key, Trouble> {
        std::str::from_utf8(name)
            .ok()
            .and_then(|name| name.strip_prefix(&self.records))
            .map(Key::new)
            .ok_or_else(|| Trouble::Foreign {
                key: String::from_utf8_lossy(name).into_owned(),
            })
    }
}

/// What is kept under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// The [`ClusterMark`].
    Mark,
    Record,
    /// Nothing of ours.
    Foreign,
}

/// Which cluster is kept under a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClusterMark {
    /// The layout described above is 1.
    pub(super) format: u32,
    pub(super) cluster: Uid,
    #[serde(flatten)]
    pub(super) state: ClusterState,
}

/// How far a cluster has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(super) enum ClusterState {
    /// Its records are being written. If nobody does, the attempt was cut short.
    Founding,
    /// It lives here. The mark was last written by the revision of etcd that completed it.
    Kept {
        /// The revision it had when it was founded here.
        base: Revision,
        /// How many records it had then.
        records: u64,
    },
    /// It was moved away: nothing may change here any more.
    Retired {
        /// As it was while kept.
        base: Revision,
        /// The revision of etcd that completed it.
        founded: i64,
    },
}

impl ClusterMark {
    pub(super) const FORMAT: u32 = 1;

    pub(super) fn new(cluster: Uid, state: ClusterState) -> Self {
        Self {
            format: Self::FORMAT,
            cluster,
            state,
        }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    pub(super) fn parse(found: &KeyValue) -> Result<Self, Trouble> {
        let foreign = || Trouble::Foreign {
            key: String::from_utf8_lossy(found.key()).into_owned(),
        };
        let mark: Self = serde_json::from_slice(found.value()).map_err(|_| foreign())?;
        match mark.format {
            Self::FORMAT => Ok(mark),
            found => Err(Trouble::TooNew {
                found,
                known: Self::FORMAT,
            }),
        }
    }
}

/// How revisions of etcd and those of the cluster follow from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbering {
    /// The revision of the cluster when it was founded in etcd.
    pub(super) base: Revision,
    /// The revision of etcd that completed the founding.
    pub(super) founded: i64,
}

impl Numbering {
    /// The cluster's revision at a revision of etcd.
    pub(super) fn revision(self, of_etcd: i64) -> Revision {
        let since = u64::try_from(of_etcd.saturating_sub(self.founded)).unwrap_or(0);
        Revision(self.base.0.saturating_add(since))
    }

    /// The revision of etcd at a revision of the cluster: that of its founding for all that were before.
    pub(super) fn of_etcd(self, revision: Revision) -> i64 {
        let since = revision.0.saturating_sub(self.base.0);
        self.founded
            .saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
    }

    /// The revisions that were made before etcd.
    pub(super) fn before_etcd(self) -> RangeInclusive<Revision> {
        Revision(0)..=self.base
    }
}

/// Bytes before the value.
const HEADER: usize = size_of::<u64>();

/// The value of etcd for a record that is written now.
pub(super) fn value_now(value: &[u8]) -> Vec<u8> {
    value_from_before(Revision(0), value)
}

/// The value of etcd for a record that has its revision from before etcd.
pub(super) fn value_from_before(revision: Revision, value: &[u8]) -> Vec<u8> {
    [&revision.0.to_be_bytes(), value].concat()
}

/// The record that a key and value of etcd are.
pub(super) fn record(
    found: &KeyValue,
    keys: &Keys,
    numbering: Numbering,
) -> Result<Record, Trouble> {
    let key = keys.key(found.key())?;
    let Some((before, value)) = found.value().split_first_chunk::<HEADER>() else {
        return Err(Trouble::Foreign {
            key: keys.record(&key),
        });
    };
    let revision = match u64::from_be_bytes(*before) {
        0 => numbering.revision(found.mod_revision()),
        before => Revision(before),
    };
    Ok(Record {
        key,
        value: Bytes::copy_from_slice(value),
        revision,
    })
}

/// The key of a record that was deleted.
pub(super) fn deleted(found: &KeyValue, keys: &Keys) -> Result<Key, Trouble> {
    keys.key(found.key())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn revisions_go_on_from_the_founding() {
        let numbering = Numbering {
            base: Revision(100),
            founded: 7,
        };
        for (of_etcd, revision) in [(1, 100), (7, 100), (8, 101), (20, 113)] {
            assert_eq!(numbering.revision(of_etcd), Revision(revision));
        }
        for (revision, of_etcd) in [(0, 7), (100, 7), (101, 8), (113, 20)] {
            assert_eq!(numbering.of_etcd(Revision(revision)), of_etcd);
        }
    }

    #[test]
    fn keys_are_told_apart() {
        let keys = Keys::new("pilotlight/");
        for (name, kind) in [
            (keys.mark(), KeyKind::Mark),
            (keys.record(&Key::new("cluster")), KeyKind::Record),
            (keys.record(&Key::new("")), KeyKind::Record),
            ("pilotlight/cluster2".to_owned(), KeyKind::Foreign),
            ("pilotlight/records".to_owned(), KeyKind::Foreign),
        ] {
            assert_eq!(keys.kind(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let states = [
            (ClusterState::Founding, r#""state":"founding""#),
            (
                ClusterState::Kept {
                    base: Revision(3),
                    records: 2,
                },
                r#""base":3"#,
            ),
            (
                ClusterState::Retired {
                    base: Revision(3),
                    founded: 9,
                },
                r#""founded":9"#,
            ),
        ];
        for (state, shown) in states {
            let mark = ClusterMark::new(Uid::from_bytes([1; 16]), state);
            let json = mark.to_json();
            assert!(json.contains(shown), "{json}");
            assert_eq!(serde_json::from_str::<ClusterMark>(&json).unwrap(), mark);
        }
    }
}
