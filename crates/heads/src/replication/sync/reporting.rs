//! How the files compare with the manifest, for those who ask.

use std::sync::Arc;

use model::Tree;

use super::{Here, Sync};
use crate::exchange::FileCounts;
use crate::replication::{Report, TreeReport};

/// How many faults are told at a time.
const FAULTS: usize = 20;

impl Sync {
    pub(super) fn report(&mut self) {
        let mut report = Report {
            revision: self.revision,
            is_complete: self.is_complete(),
            conflicts: self.conflicts,
            faults: self.faults(),
            ..Report::default()
        };
        let links = |tree| self.symbolic_links.get(&tree).copied().unwrap_or_default();
        report.trees = Tree::ALL
            .map(|tree| {
                let symbolic_links = links(tree);
                (
                    tree,
                    TreeReport {
                        symbolic_links,
                        ..TreeReport::default()
                    },
                )
            })
            .into();
        for (path, listed) in self.manifest.present() {
            let tree = report.trees.entry(path.tree).or_default();
            match self.here.get(path).map(Here::content) {
                Some(Some(here)) if here.sha256 == listed.sha256 => {
                    tree.present += 1;
                    continue;
                }
                // Also one that nobody can tell of.
                Some(Some(_)) => tree.differing += 1,
                _ => tree.missing += 1,
            }
            tree.bytes_to_come += listed.size;
            if report.examples.len() < FileCounts::EXAMPLES {
                report.examples.push(path.clone());
            }
        }
        for (path, here) in &self.here {
            let listed = self.manifest.get(path);
            let is_listed = listed.is_some_and(|listed| listed.version.content.is_some());
            if !is_listed && matches!(here, Here::File { .. }) {
                report.trees.entry(path.tree).or_default().unpublished += 1;
                if report.examples.len() < FileCounts::EXAMPLES {
                    report.examples.push(path.clone());
                }
            }
        }
        self.tell(&report);
        self.reports.send_if_modified(|known| {
            let is_new = **known != report;
            if is_new {
                *known = Arc::new(report);
            }
            is_new
        });
    }

    /// Whether the report is of all files.
    fn is_complete(&self) -> bool {
        self.is_looked()
            && self.unread.is_empty()
            && self.reading.is_empty()
            && self.arriving.is_empty()
            && self.dirty.is_empty()
    }

    fn faults(&self) -> Vec<String> {
        let directories = self.unreadable.values().cloned();
        let resting = self
            .resting
            .iter()
            .map(|(path, (_, reason))| format!("{path}: {reason}"));
        let unknown = self.here.iter().filter_map(|(path, here)| match here {
            Here::Unknown(reason) => Some(format!("{path}: {reason}")),
            Here::Absent | Here::File { .. } => None,
        });
        directories
            .chain(resting)
            .chain(unknown)
            .take(FAULTS)
            .collect()
    }

    /// Says once that files do not come, or that they do again.
    fn tell(&mut self, report: &Report) {
        let has_faults = !self.resting.is_empty();
        if has_faults == self.has_faults {
            return;
        }
        self.has_faults = has_faults;
        match report.faults.first() {
            Some(example) => {
                let files = self.resting.len();
                tracing::warn!(
                    files,
                    example,
                    "files cannot be kept alike with other heads now; trying again"
                );
            }
            None => tracing::info!("files are kept alike with other heads again"),
        }
    }
}
