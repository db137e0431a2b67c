//! What nodes report to one head, and the others hear from it: [`Reports`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{Facts, Uid};
use serde::{Deserialize, Serialize};

/// What a node reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it did so last.
    pub last_seen: Timestamp,
    /// All that it reported so far; a later value of a key took the place of an earlier one.
    pub status: Facts,
}

/// What nodes reported to a head since another one asked it last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The number of the last report among them, for the next time.
    pub last: u64,
    /// The last one of each node that reported.
    pub reports: BTreeMap<Uid, Report>,
}

/// What nodes reported last, to whichever head.
pub trait Reports: Send + Sync + 'static {
    /// What nodes reported to this very head after the report with the number `known`, or as much of it as is reasonable
    /// at a time: the numbers go on where a head is restarted, and the first to ask for is 0.
    fn news(&self, known: u64) -> News;

    /// Takes what nodes reported to another head, where that is later than what is known.
    fn learn(&self, reports: BTreeMap<Uid, Report>);
}
