//! What is done about files.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{FileContent, FilePath, FileVersion, Sha256Digest};
use tokio::time::Instant;

use super::disk::BURST;
use super::manifest::{Change, milliseconds};
use super::{Failure, Here, RETRY, Sync, Work};
use crate::exchange::Urgency;
use crate::replication::ReplicationError;
use crate::replication::arrivals::Expected;
use crate::replication::decision::{Agreed, Intent, Step, decide, overrode, published};
use crate::replication::files::{Digest, Directory, FileError};

/// What is to be done once it is noted on disk: by the change of the agreements that is `noted`.
#[derive(Debug)]
pub(super) enum Plan {
    Publish { change: Change, noted: u64 },
    Pull { expected: Expected, noted: u64 },
}

impl Plan {
    pub(super) fn noted(&self) -> u64 {
        match self {
            Self::Publish { noted, .. } | Self::Pull { noted, .. } => *noted,
        }
    }
}

impl Sync {
    /// Files that nothing could be done about are tried again.
    pub(super) fn take_rested(&mut self, now: Instant) {
        let rested = self.resting.iter().filter(|(_, (at, _))| now >= *at);
        let rested: Vec<_> = rested.map(|(path, _)| path.clone()).collect();
        for path in rested {
            self.resting.remove(&path);
            // What was thought to lie there may have been the reason.
            self.read_soon(path);
        }
    }

    /// Decides about all files that something became known of.
    pub(super) fn decide(&mut self) {
        if !self.is_looked() {
            return;
        }
        for path in std::mem::take(&mut self.dirty) {
            if let Some(Plan::Publish { change, .. }) = self.plans.remove(&path) {
                self.withdraw(&change);
            }
            let is_unreadable = |directory| self.unreadable.contains_key(&directory);
            if self.is_unread(&path) || Directory::of(&path).is_none_or(is_unreadable) {
                continue;
            }
            if self.busy.contains_key(&path) && !self.interrupt(&path) {
                continue;
            }
            self.resting.remove(&path);
            self.decide_about(path);
        }
    }

    /// Ends a pull of what is not wanted any more. Whether there is nothing being done about the file now.
    fn interrupt(&mut self, path: &FilePath) -> bool {
        let wanted = self
            .manifest
            .get(path)
            .and_then(|listed| listed.version.content);
        match self.busy.get(path) {
            Some(Some((pulling, handle)))
                if wanted.map(|wanted| wanted.sha256) != Some(pulling.sha256) =>
            {
                if self.arrivals.refuse(path) {
                    handle.abort();
                    self.busy.remove(path);
                }
                !self.busy.contains_key(path)
            }
            busy => busy.is_none(),
        }
    }

    fn decide_about(&mut self, path: FilePath) {
        let here = self.here.get(&path).cloned().unwrap_or(Here::Absent);
        if let Here::Unknown(reason) = &here {
            self.disappoint(&path, reason);
            self.fetching.remove(&path);
            return;
        }
        let listed = self.manifest.get(&path).cloned();
        let there = listed.as_ref().map(|listed| &listed.version);
        if let Some(agreed) = published(self.agreements.intent(&path), there) {
            self.agreements.agree(&path, Some((agreed, None)));
        }
        let (base, intent) = (self.agreements.base(&path), self.agreements.intent(&path));
        let content = here.content();
        let step = decide(base, intent, content.as_ref(), there);
        self.answer(&path, &here, step);
        if let Some(Intent::Place(begun)) = intent
            && content.is_none_or(|here| here.sha256 != begun)
            && !(matches!(step, Step::Pull { .. }) && is_listed(there, begun))
        {
            self.abandon(&path, begun);
        }
        let is_doubtful = content.is_some_and(|here| intent == Some(Intent::Publish(here.sha256)));
        match step {
            Step::Forget => {
                self.agreements.forget(&path);
                self.here.remove(&path);
            }
            Step::Agree => self.agree(&path, &here, there),
            Step::Publish { overrides } => {
                let overrode = overrode(there, overrides, content.map(|content| content.sha256));
                let version = FileVersion {
                    overrode,
                    ..self.version(content)
                };
                if let Some(content) = content {
                    self.agreements
                        .intend(&path, Some(Intent::Publish(content.sha256)));
                }
                self.plan_change(Change {
                    path,
                    known: listed,
                    version,
                    is_doubtful,
                });
            }
            Step::PublishDeletion => {
                let overrode = overrode(there, false, None);
                let version = FileVersion {
                    overrode,
                    ..self.version(None)
                };
                self.plan_change(Change {
                    path,
                    known: listed,
                    version,
                    is_doubtful: false,
                });
            }
            Step::Pull { keep } => {
                let Some(content) = there.and_then(|there| there.content) else {
                    return;
                };
                if is_doubtful {
                    // It must not look like a new edit if this is interrupted.
                    self.agreements.lose(&path);
                }
                self.agreements
                    .intend(&path, Some(Intent::Place(content.sha256)));
                self.abandoned.remove(&(path.clone(), content.sha256));
                let expected = Expected {
                    content,
                    here: here.state(),
                    keep,
                };
                let noted = self.agreements.change();
                self.plans.insert(path, Plan::Pull { expected, noted });
            }
            Step::SetMetadata => {
                let Some((content, state)) =
                    there.and_then(|there| there.content).zip(here.state())
                else {
                    return;
                };
                let files = self.files().clone();
                self.change(path, move |path| {
                    files.set_metadata(path, &content, state).map(drop)
                });
            }
            Step::Remove { keep } => {
                let Some(state) = here.state() else { return };
                let arrivals = Arc::clone(&self.arrivals);
                self.change(path, move |path| arrivals.remove(path, state, keep));
            }
        }
        self.report_soon();
    }

    /// What came so far of a version that is not wanted any more is removed when the directories are looked at next.
    fn abandon(&mut self, path: &FilePath, version: Sha256Digest) {
        self.abandoned.insert((path.clone(), version));
        self.look_at = self.look_at.min(Instant::now() + BURST);
    }

    /// Answers those who wait for the file, if what they wait for has come about.
    fn answer(&mut self, path: &FilePath, here: &Here, step: Step) {
        if matches!(step, Step::Agree | Step::Forget) {
            for done in self.publishing.remove(path).unwrap_or_default() {
                let _ = done.send(Ok(()));
            }
        }
        if !matches!(step, Step::Pull { .. }) {
            let waiting = self.fetching.remove(path).unwrap_or_default();
            // The others learn by the end of their channel that there is none.
            for done in waiting.into_iter().filter(|_| *here != Here::Absent) {
                let _ = done.send(());
            }
        }
    }

    fn agree(&mut self, path: &FilePath, here: &Here, there: Option<&FileVersion>) {
        let listed = there.and_then(|there| there.content);
        let file = match (here, listed) {
            (
                Here::File {
                    state,
                    sha256,
                    is_settled,
                },
                Some(listed),
            ) => {
                let agreed = Agreed {
                    listed,
                    mode: state.mode,
                    mtime: state.mtime(),
                };
                let digest = Digest {
                    stamp: (*state).into(),
                    sha256: *sha256,
                    is_settled: *is_settled,
                };
                Some((agreed, Some(digest)))
            }
            _ => None,
        };
        self.agreements.agree(path, file);
    }

    fn version(&self, content: Option<FileContent>) -> FileVersion {
        FileVersion {
            content,
            origin: self.settings.head,
            changed: milliseconds(SystemTime::now()),
            overrode: Vec::new(),
        }
    }

    fn plan_change(&mut self, change: Change) {
        let noted = match change.version.content {
            Some(_) => self.agreements.change(),
            // Nothing is lost if nobody knows that it was about to be deleted.
            None => 0,
        };
        self.plans
            .insert(change.path.clone(), Plan::Publish { change, noted });
    }

    /// Does what is noted.
    pub(super) fn act(&mut self, now: Instant) {
        self.commit(now);
        let is_ready =
            |plan: &Plan| matches!(plan, Plan::Pull { noted, .. } if *noted <= self.saved);
        let ready = self.plans.iter().filter(|(_, plan)| is_ready(plan));
        let ready: Vec<_> = ready.map(|(path, _)| path.clone()).collect();
        for path in ready {
            if let Some(Plan::Pull { expected, .. }) = self.plans.remove(&path) {
                self.pull(path, expected);
            }
        }
    }

    fn pull(&mut self, path: FilePath, expected: Expected) {
        let urgency = match self.fetching.contains_key(&path) {
            true => Urgency::Awaited,
            false => Urgency::Background,
        };
        let (source, content) = (Arc::clone(&self.source), expected.content);
        self.arrivals.expect(path.clone(), expected);
        let pulled = path.clone();
        let handle = self.work.spawn(async move {
            let outcome = source.pull(&pulled, &content, urgency).await;
            let outcome = outcome.map_err(|error| Failure {
                reason: error.to_string(),
                retry_after: error.retry_after(),
            });
            Work::Changed(pulled, outcome)
        });
        self.busy.insert(path, Some((content, handle)));
    }

    /// Somebody waits for a file that is being pulled.
    pub(super) fn hurry(&mut self, path: &FilePath) {
        if let Some(Some((content, _))) = self.busy.get(path) {
            let (source, path, content) = (Arc::clone(&self.source), path.clone(), *content);
            self.work.spawn(async move {
                match source.pull(&path, &content, Urgency::Awaited).await {
                    Ok(()) => Work::Changed(path, Ok(())),
                    // The pull that is under way tells what came of it.
                    Err(_) => Work::Done,
                }
            });
        }
    }

    /// Changes a file here, where waiting is allowed.
    fn change(
        &mut self,
        path: FilePath,
        change: impl FnOnce(&FilePath) -> Result<(), FileError> + Send + 'static,
    ) {
        self.busy.insert(path.clone(), None);
        self.work.spawn_blocking(move || {
            let outcome = change(&path).map_err(|error| Failure {
                reason: error.to_string(),
                retry_after: RETRY,
            });
            Work::Changed(path, outcome)
        });
    }

    pub(super) fn changed(&mut self, path: FilePath, outcome: Result<(), Failure>) {
        if let Some(Some((_, pull))) = self.busy.remove(&path) {
            // Another one may have brought the file.
            pull.abort();
        }
        self.arrived(&path);
        match outcome {
            Ok(()) => self.read_soon(path),
            Err(Failure {
                reason,
                retry_after,
            }) => self.refuse(&path, &reason, retry_after),
        }
    }

    /// A file that arrived is agreed on as it was then: whatever happened here since is a change of that.
    fn arrived(&mut self, path: &FilePath) {
        if let Some(agreed) = self.arrivals.end(path) {
            self.agreements.agree(path, Some((agreed, None)));
        }
    }

    /// Tells those who wait for a change to be in the manifest that it will not be soon.
    fn disappoint(&mut self, path: &FilePath, reason: &str) {
        for done in self.publishing.remove(path).unwrap_or_default() {
            let (path, reason) = (path.clone(), reason.to_owned());
            // Whoever asked may have gone.
            let _ = done.send(Err(ReplicationError::Head { path, reason }));
        }
    }

    /// Nothing can be done about the file now.
    pub(super) fn refuse(&mut self, path: &FilePath, reason: &str, retry_after: Duration) {
        if let Some(Plan::Publish { change, .. }) = self.plans.remove(path) {
            self.withdraw(&change);
        }
        self.disappoint(path, reason);
        let again = Instant::now() + retry_after;
        self.resting
            .insert(path.clone(), (again, reason.to_owned()));
        self.report_soon();
    }
}

fn is_listed(there: Option<&FileVersion>, version: Sha256Digest) -> bool {
    let listed = there.and_then(|there| there.content);
    listed.is_some_and(|listed| listed.sha256 == version)
}
