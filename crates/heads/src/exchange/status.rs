//! [`HeadStatus`]: how a head is, as it tells the others.

use model::{Name, Revision, Uid};
use serde::{Deserialize, Serialize};

/// How a head is, as it tells the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadStatus {
    /// Its UID.
    pub uid: Uid,
    /// Its name.
    pub name: Name,
    /// The version of Pilotlight it runs.
    pub version: String,
    /// The revision of the cluster it serves: behind the others' if it is behind.
    pub revision: Revision,
    /// Its connection to the cluster's database.
    pub link: LinkStatus,
    /// Its files, compared with what all heads are to have.
    pub files: FileCounts,
    /// How many versions of files it keeps that lost against a later change.
    pub conflicts: u64,
}

/// A head's connection to the cluster's database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum LinkStatus {
    /// It has the database to itself.
    Single,
    /// It is not connected yet.
    Connecting,
    /// It is connected.
    Up {
        /// To which member.
        endpoint: String,
    },
    /// It serves the last state it knew.
    Down {
        /// Why.
        why: String,
    },
}

/// How the files of a head compare with what all heads are to have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCounts {
    /// Whether all are compared: the counts leave out what is being read, or written to.
    pub are_compared: bool,
    /// How many are as they are to be.
    pub alike: u64,
    /// How many are not there yet.
    pub missing: u64,
    /// How many are there in another version.
    pub differing: u64,
    /// How many are there that no other head knows of yet.
    pub unpublished: u64,
    /// The paths of some of those, `kickstarts/a.ks`.
    pub examples: Vec<String>,
    /// Why nothing can be done about some files now.
    pub faults: Vec<String>,
}

impl FileCounts {
    /// How many paths it names at most.
    pub const EXAMPLES: usize = 100;
}
