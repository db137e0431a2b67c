//! What the manifest says: hearing of it, and putting into it what was changed here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{FilePath, FileVersion, Listed, Revision, Transaction, file_change};
use std::sync::Arc;
use store::StoreError;
use tokio::time::Instant;

use super::steps::Plan;
use super::{RETRY, Sync, Work};
use crate::replication::ReplicationError;
use crate::replication::decision::Agreed;

/// How many files change in one transaction.
const BATCH: usize = 50;
/// How long it is known that a file was deleted, for heads that were away.
const TOMBSTONES_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// A change of the manifest.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) path: FilePath,
    /// What it has of the file.
    pub(super) known: Option<Arc<Listed>>,
    /// What it is to have.
    pub(super) version: FileVersion,
    /// Whether the same was tried before, and nobody knows what came of it.
    pub(super) is_doubtful: bool,
}

impl Sync {
    /// Takes over the manifest as it stands.
    pub(super) fn compare(&mut self) {
        let state = self.live.get();
        if state.revision() == self.revision {
            return;
        }
        self.dirty
            .extend(state.manifest.differences(&self.manifest).cloned());
        self.manifest = state.manifest.clone();
        self.revision = state.revision();
        self.report_soon();
    }

    /// Puts into the manifest what is to be put there, some files at a time.
    pub(super) fn commit(&mut self, now: Instant) {
        if self.is_committing || self.commit_at.is_some_and(|at| now < at) {
            return;
        }
        let is_ready =
            |plan: &Plan| matches!(plan, Plan::Publish { noted, .. } if *noted <= self.saved);
        let ready = self.plans.iter().filter(|(_, plan)| is_ready(plan));
        let ready: Vec<_> = ready.take(BATCH).map(|(path, _)| path.clone()).collect();
        let mut transaction = Transaction::default();
        let mut changes = Vec::new();
        for path in ready {
            let Some(Plan::Publish { change, .. }) = self.plans.remove(&path) else {
                continue;
            };
            let one = file_change(&path, change.known.as_deref(), &change.version);
            transaction.checks.extend(one.checks);
            transaction.writes.extend(one.writes);
            self.busy.insert(path, None);
            changes.push(change);
        }
        if changes.is_empty() {
            return;
        }
        self.is_committing = true;
        let (live, revision) = (Arc::clone(&self.live), self.revision);
        self.work.spawn(async move {
            let outcome = live.commit(transaction).await;
            if matches!(outcome, Err(StoreError::Conflict { .. })) {
                live.news_since(revision).await;
            }
            Work::Committed(changes, outcome)
        });
    }

    pub(super) fn committed(
        &mut self,
        changes: Vec<Change>,
        outcome: Result<Revision, StoreError>,
    ) {
        self.is_committing = false;
        self.compare();
        let failure = match outcome {
            Ok(_) => {
                changes.iter().for_each(|change| self.published(change));
                None
            }
            Err(StoreError::Conflict { .. }) => {
                changes.iter().for_each(|change| self.withdraw(change));
                None
            }
            Err(error) => {
                if is_nothing_written(&error) {
                    changes.iter().for_each(|change| self.withdraw(change));
                }
                self.commit_at = Some(Instant::now() + RETRY);
                Some(error)
            }
        };
        if failure.is_none() {
            self.commit_at = None;
        }
        for Change { path, .. } in changes {
            self.busy.remove(&path);
            let Some(source) = &failure else {
                self.dirty.insert(path);
                continue;
            };
            for done in self.publishing.remove(&path).unwrap_or_default() {
                let (path, source) = (path.clone(), source.clone());
                // Whoever asked may have gone.
                let _ = done.send(Err(ReplicationError::Store { path, source }));
            }
            self.refuse(
                &path,
                &format!("other heads do not hear of it: {source}"),
                RETRY,
            );
        }
    }

    /// Remembers that the manifest had what was here. Whatever happened here since is a change of that: if the file is
    /// gone, it is not to be fetched from heads that never had it.
    fn published(&mut self, change: &Change) {
        let content = change.version.content;
        let agreed = content.map(|content| (Agreed::published(content), None));
        self.agreements.agree(&change.path, agreed);
    }

    /// Takes back the note that a change is to be made, since it surely was not.
    pub(super) fn withdraw(&mut self, change: &Change) {
        if !change.is_doubtful {
            self.agreements.intend(&change.path, None);
        }
    }

    /// Removes old tombstones: each head its own, and one of them those of heads that are gone.
    pub(super) fn bury(&mut self) {
        let state = self.live.get();
        let me = self.settings.head;
        let first = state
            .heads
            .iter()
            .map(|head| head.uid)
            .min_by_key(|uid| *uid.as_bytes());
        let is_mine =
            |origin| origin == me || (state.heads.get(origin).is_none() && first == Some(me));
        let now = milliseconds(SystemTime::now());
        let kept = i64::try_from(TOMBSTONES_KEPT.as_millis()).unwrap_or(i64::MAX);
        let is_old = |version: &FileVersion| now.saturating_sub(version.changed) > kept;
        let old = state.manifest.iter().filter(|(_, listed)| {
            let version = &listed.version;
            version.content.is_none() && is_old(version) && is_mine(version.origin)
        });
        let mut transaction = Transaction::default();
        for (path, listed) in old.take(BATCH) {
            transaction.expect(path.key(), model::Expect::At(listed.revision));
            transaction.delete(path.key());
        }
        if transaction.writes.is_empty() {
            return;
        }
        let live = Arc::clone(&self.live);
        self.work.spawn(async move {
            // Another time, if not now.
            if let Err(error) = live.commit(transaction).await {
                tracing::debug!(%error, "old tombstones stay");
            }
            Work::Done
        });
    }
}

/// Whether a change that failed was certainly not made.
fn is_nothing_written(error: &StoreError) -> bool {
    match error {
        // What `LiveState` says of a change that was made and that it did not hear of.
        StoreError::Unavailable { doing, .. } => *doing != "show",
        _ => false,
    }
}

/// Milliseconds after 1970.
pub(super) fn milliseconds(time: SystemTime) -> i64 {
    let after = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(after.as_millis()).unwrap_or(i64::MAX)
}
