//! What lies on disk: looking at the directories, and reading what changed.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use content::{FileState, Hashed, Survey, Watch};
use model::{FilePath, Sha256Digest, Tree};
use tokio::time::Instant;

use super::{Here, RESCAN, Sync, Work};
use crate::replication::Conflicts;
use crate::replication::decision::Base;
use crate::replication::files::{Directory, FileError, Files};

/// Changes come in bursts: one file that is copied is several.
pub(super) const BURST: Duration = Duration::from_millis(20);
/// A file that nobody was heard to close is read once it was left alone for so long.
pub(super) const SETTLING: Duration = Duration::from_secs(2);
/// How much longer a look rests than it took.
const REST: u32 = 4;
/// How many files of a tree are read at once.
const READERS: usize = 2;

/// What a look at all directories showed.
pub(super) struct Looked {
    directories: BTreeMap<Directory, Result<Contents, String>>,
    /// Files that were closed or moved there since the look before.
    written: HashSet<FilePath>,
    conflicts: u64,
    /// What of the abandoned versions is still being written.
    abandoned: HashSet<(FilePath, Sha256Digest)>,
    took: Duration,
}

type Contents = (Survey, Vec<(FilePath, FileState)>);

impl Looked {
    fn now(
        files: &Files,
        conflicts: &Conflicts,
        watch: Option<&Watch>,
        written: &HashSet<PathBuf>,
        mut abandoned: HashSet<(FilePath, Sha256Digest)>,
    ) -> Self {
        let began = Instant::now();
        abandoned.retain(|(path, version)| !files.discard(path, *version));
        let look = |directory| {
            let contents = files.survey(directory, watch);
            (directory, contents.map_err(|error| error.to_string()))
        };
        let written = written.iter().filter_map(|path| files.path_of(path));
        Self {
            written: written.collect(),
            directories: Directory::ALL.into_iter().map(look).collect(),
            conflicts: conflicts
                .list()
                .map_or(0, |conflicts| conflicts.len() as u64),
            abandoned,
            took: began.elapsed(),
        }
    }
}

impl Sync {
    pub(super) fn look(&mut self) {
        self.is_looking = true;
        self.look_at = Instant::now() + RESCAN;
        let heard = &self.heard.written;
        let written = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        let (files, watch) = (self.files().clone(), self.watch.clone());
        let conflicts = self.arrivals.conflicts().clone();
        let abandoned = std::mem::take(&mut self.abandoned);
        self.work.spawn_blocking(move || {
            let watch = watch.as_deref();
            let looked = Looked::now(&files, &conflicts, watch, &written, abandoned);
            Work::Looked(looked)
        });
    }

    pub(super) fn looked(&mut self, looked: Looked) {
        let now = Instant::now();
        self.is_looking = false;
        // Something may have been heard meanwhile.
        self.look_at = self.look_at.max(now + looked.took * REST);
        self.conflicts = looked.conflicts;
        self.abandoned.extend(looked.abandoned);
        self.symbolic_links = Tree::ALL.map(|tree| (tree, 0)).into();
        let mut seen = HashSet::new();
        for (directory, contents) in looked.directories {
            match contents {
                Ok((survey, files)) => {
                    if self.unreadable.remove(&directory).is_some() {
                        self.doubt(directory);
                    }
                    *self.symbolic_links.entry(directory.tree()).or_default() +=
                        survey.symbolic_links;
                    self.check_mounted(directory, survey.top, files.is_empty());
                    for (path, state) in files {
                        self.found(&path, state, looked.written.contains(&path), now);
                        seen.insert(path);
                    }
                }
                Err(reason) => {
                    if !self.unreadable.contains_key(&directory) {
                        tracing::warn!(reason, "files there are not kept alike");
                    }
                    self.unreadable.insert(directory, reason);
                }
            }
        }
        let known = self.here.iter().filter(|(_, here)| **here != Here::Absent);
        let known = known.map(|(path, _)| path).chain(self.arriving.keys());
        // At the start, what was agreed on is all that is known.
        let agreed = self.agreements.files().filter(|_| self.looks == 0);
        let missing = known.chain(agreed).filter(|path| !seen.contains(path));
        let missing: Vec<_> = missing.cloned().collect();
        for path in missing {
            let is_unreadable = |directory| self.unreadable.contains_key(&directory);
            if !Directory::of(&path).is_some_and(is_unreadable) {
                self.arriving.remove(&path);
                self.read_soon(path);
            }
        }
        if !self.unreadable.is_empty() {
            // There is nothing to be watched, and it may be mounted any moment.
            self.look_at = self.look_at.min(now + SETTLING);
        }
        self.looks += 1;
        self.report_soon();
    }

    /// A file lies there in this state.
    fn found(&mut self, path: &FilePath, state: FileState, is_written: bool, now: Instant) {
        if let Some(Here::File {
            state: known,
            is_settled,
            ..
        }) = self.here.get(path)
            && *known == state
            && (*is_settled || !is_written)
        {
            if self.arriving.remove(path).is_some() {
                // It was not decided about while it might still be written to.
                self.dirty.insert(path.clone());
            }
            return;
        }
        if let Some(known) = self.files().known(path, state)
            && (known.is_settled || !is_written)
        {
            self.arriving.remove(path);
            let (sha256, is_settled) = (known.sha256, known.is_settled);
            self.set_here(
                path.clone(),
                Here::File {
                    state,
                    sha256,
                    is_settled,
                },
            );
            return;
        }
        let since = match self.arriving.get(path) {
            Some((known, since)) if *known == state => *since,
            _ => now,
        };
        let age = SystemTime::now().duration_since(state.id.ctime);
        // By our own clock too: the file system's may be set wrong, or be another machine's.
        let is_at_rest = age.is_ok_and(|age| age >= SETTLING) || now - since >= SETTLING;
        if is_written || is_at_rest {
            self.arriving.remove(path);
            self.read_soon(path.clone());
        } else {
            self.arriving.insert(path.clone(), (state, since));
        }
    }

    /// A directory where nothing is left at all is one whose disk is not mounted. But somebody may have deleted the only
    /// file of the cluster that belongs there, while this head ran.
    fn check_mounted(&mut self, directory: Directory, top: u64, is_empty: bool) {
        let name = directory.to_string();
        if !is_empty {
            self.agreements.set_top(&name, top);
            return;
        }
        // Not those that were just deleted here because another head did.
        let listed = self.manifest.present().map(|(path, _)| path);
        let listed = listed.filter(|path| Directory::of(path) == Some(directory));
        let listed: Vec<_> = listed.collect();
        let is_agreed = |path: &&FilePath| matches!(self.agreements.base(path), Base::File(_));
        let agreed: Vec<_> = listed.iter().copied().filter(is_agreed).cloned().collect();
        let is_other = self.agreements.top(&name).is_some_and(|known| known != top);
        if !agreed.is_empty() && (self.looks == 0 || listed.len() > 1 || is_other) {
            let files = agreed.len();
            tracing::warn!(
                directory = name,
                files,
                "all files are gone, as if a disk were not mounted; they are fetched again, not deleted elsewhere"
            );
            for path in agreed {
                self.agreements.lose(&path);
                self.set_here(path, Here::Absent);
            }
        }
    }

    /// What lies in a directory is known again.
    fn doubt(&mut self, directory: Directory) {
        let paths = self.manifest.iter().map(|(path, _)| path);
        let paths = paths.filter(|path| Directory::of(path) == Some(directory));
        self.dirty.extend(paths.cloned());
    }

    /// Files that were left alone for long enough are to be looked at.
    pub(super) fn take_settled(&mut self, now: Instant) {
        let is_settled = |(_, since): &(FileState, Instant)| now >= *since + SETTLING;
        if self.arriving.values().any(is_settled) {
            self.look_at = self.look_at.min(now);
        }
    }

    /// Has a file read, or found missing.
    pub(super) fn read_soon(&mut self, path: FilePath) {
        self.unread.insert(path);
    }

    /// Whether a file is to be read before anything is decided about it.
    pub(super) fn is_unread(&self, path: &FilePath) -> bool {
        self.unread.contains(path)
            || self.reading.contains(path)
            || self.arriving.contains_key(path)
    }

    /// Large files of one tree do not hold up another.
    pub(super) fn read_next(&mut self) {
        for tree in Tree::ALL {
            let is_of_tree = |path: &&FilePath| path.tree == tree;
            let running = self.reading.iter().filter(is_of_tree).count();
            let first = FilePath::new(tree, "");
            let next = self.unread.range(first..).take_while(is_of_tree);
            let next = next.filter(|path| !self.reading.contains(path));
            let next: Vec<_> = next
                .take(READERS.saturating_sub(running))
                .cloned()
                .collect();
            for path in next {
                self.unread.remove(&path);
                self.reading.insert(path.clone());
                let files = self.files().clone();
                self.work.spawn_blocking(move || {
                    let outcome = files.read(&path);
                    Work::Read(path, outcome)
                });
            }
        }
    }

    pub(super) fn read(&mut self, path: FilePath, outcome: Result<Option<Hashed>, FileError>) {
        self.reading.remove(&path);
        let here = match outcome {
            Ok(Some(Hashed {
                state,
                sha256,
                is_settled,
            })) => Here::File {
                state,
                sha256,
                is_settled,
            },
            Ok(None) => {
                self.files().forget(&path);
                Here::Absent
            }
            Err(error) => {
                if error.is_changing() {
                    self.look_at = self.look_at.min(Instant::now() + SETTLING);
                }
                Here::Unknown(error.to_string())
            }
        };
        self.set_here(path, here);
    }

    fn set_here(&mut self, path: FilePath, here: Here) {
        self.here.insert(path.clone(), here);
        self.dirty.insert(path);
        self.report_soon();
    }
}
