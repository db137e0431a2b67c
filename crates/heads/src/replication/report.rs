//! [`Report`]: how the files of a head differ from the manifest.

use std::collections::BTreeMap;

use model::{FilePath, Revision, Tree};

use crate::exchange::FileCounts;

/// How the files of a head differ from the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// For each tree.
    pub trees: BTreeMap<Tree, TreeReport>,
    /// The revision of the store that the files were compared with.
    pub revision: Revision,
    /// Whether it is of all files: none is being read, or written to.
    pub is_complete: bool,
    /// Overridden versions that lie in the conflicts directory.
    pub conflicts: u64,
    /// Some of the files that are missing, differ or are not published.
    pub examples: Vec<FilePath>,
    /// Why nothing can be done about some files now.
    pub faults: Vec<String>,
}

/// The files of one tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeReport {
    /// Files that are as the manifest has them.
    pub present: u64,
    /// Files of the manifest that are not here.
    pub missing: u64,
    /// Files that are here and not as the manifest has them.
    pub differing: u64,
    /// Files that are here and that the manifest does not know yet.
    pub unpublished: u64,
    /// Bytes of the missing and differing files.
    pub bytes_to_come: u64,
    /// Symbolic links, which are not replicated.
    pub symbolic_links: u64,
}

impl Report {
    /// Whether every file of the manifest is here as it is to be.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        let is_alike = |tree: &TreeReport| tree.missing == 0 && tree.differing == 0;
        self.is_complete && self.trees.values().all(is_alike)
    }
}

impl From<&Report> for FileCounts {
    fn from(report: &Report) -> Self {
        let sum = |count: fn(&TreeReport) -> u64| report.trees.values().map(count).sum();
        Self {
            are_compared: report.is_complete,
            alike: sum(|tree| tree.present),
            missing: sum(|tree| tree.missing),
            differing: sum(|tree| tree.differing),
            unpublished: sum(|tree| tree.unpublished),
            examples: report.examples.iter().map(ToString::to_string).collect(),
            faults: report.faults.clone(),
        }
    }
}
