//! [`Arrivals`]: files that arrived from other heads, and what becomes of those that they replace.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use content::{FileState, PartialFile};
use jiff::Timestamp;
use model::{FileContent, FilePath};

use super::decision::Agreed;
use super::files::FileError;
use super::{Conflicts, Files, Settings};
use crate::exchange::Destination;

/// Takes the files that arrived from other heads: the [`Destination`] of the puller.
///
/// A file gets its name only while it is expected and what it replaces is as it was when that was decided.
pub struct Arrivals {
    files: Arc<Files>,
    conflicts: Conflicts,
    arrivals: Mutex<HashMap<FilePath, Arrival>>,
    /// Told when one has been placed, or could not be.
    placed: Condvar,
}

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// It may come.
    Expected(Expected),
    /// It is whole, and is given its name.
    Placing,
    /// It has its name: what it was then.
    Placed(Agreed),
}

/// What a file is to be replaced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) content: FileContent,
    /// What it replaces.
    pub(super) here: Option<FileState>,
    /// Whether a copy of that is to be kept.
    pub(super) keep: bool,
}

impl Arrivals {
    /// Those that are to lie among `files`.
    #[must_use]
    pub fn new(settings: &Settings, files: Arc<Files>) -> Self {
        Self {
            files,
            conflicts: Conflicts::new(&settings.directory, settings.name.clone()),
            arrivals: Mutex::default(),
            placed: Condvar::new(),
        }
    }

    /// The files among which they are to lie.
    #[must_use]
    pub const fn files(&self) -> &Arc<Files> {
        &self.files
    }

    pub(super) const fn conflicts(&self) -> &Conflicts {
        &self.conflicts
    }

    pub(super) fn expect(&self, path: FilePath, expected: Expected) {
        self.arrivals().insert(path, Arrival::Expected(expected));
    }

    /// The file is not wanted any more: whether it is not too late for that.
    pub(super) fn refuse(&self, path: &FilePath) -> bool {
        let mut arrivals = self.arrivals();
        let is_early = matches!(arrivals.get(path), None | Some(Arrival::Expected(_)));
        if is_early {
            arrivals.remove(path);
        }
        is_early
    }

    /// Expects the file no more: what came of it.
    pub(super) fn end(&self, path: &FilePath) -> Option<Agreed> {
        match self.arrivals().remove(path) {
            Some(Arrival::Placed(placed)) => Some(placed),
            _ => None,
        }
    }

    /// Expects nothing more, and waits for what is just being placed: what came of it. Blocks.
    pub(super) fn close(&self) -> Vec<(FilePath, Agreed)> {
        let mut arrivals = self.arrivals();
        arrivals.retain(|_, arrival| !matches!(arrival, Arrival::Expected(_)));
        let is_placing = |arrivals: &mut HashMap<_, _>| {
            arrivals
                .values()
                .any(|arrival| *arrival == Arrival::Placing)
        };
        let arrivals = self.placed.wait_while(arrivals, is_placing);
        let mut arrivals = arrivals.unwrap_or_else(PoisonError::into_inner);
        let ended = arrivals.drain();
        let placed = ended.filter_map(|(path, arrival)| match arrival {
            Arrival::Placed(placed) => Some((path, placed)),
            Arrival::Expected(_) | Arrival::Placing => None,
        });
        placed.collect()
    }

    /// Deletes a file that is in the state `expected`.
    pub(super) fn remove(
        &self,
        path: &FilePath,
        expected: FileState,
        keep: bool,
    ) -> Result<(), FileError> {
        if keep {
            self.keep(path, expected)?;
        }
        self.files.remove(path, expected)
    }

    fn keep(&self, path: &FilePath, here: FileState) -> Result<(), FileError> {
        let file = self.files.open(path, here)?;
        let kept = self
            .conflicts
            .keep(path, &file, here.mode, Timestamp::now());
        let kept = kept.map_err(FileError::Copy)?;
        let kept = kept.display();
        tracing::warn!(file = %path, %kept, "it was changed on two heads; the version of this one is kept aside");
        Ok(())
    }

    fn take(
        &self,
        path: &FilePath,
        content: &FileContent,
        file: PartialFile,
    ) -> Result<(), FileError> {
        let Some(expected) = self.begin(path, content) else {
            file.discard();
            return Err(FileError::Unwanted);
        };
        let placed = self.place(path, expected, file);
        // Unless nobody waits for it any more.
        if let Some(arrival) = self.arrivals().get_mut(path)
            && *arrival == Arrival::Placing
        {
            *arrival = match &placed {
                Ok(placed) => Arrival::Placed(*placed),
                Err(_) => Arrival::Expected(expected),
            };
        }
        self.placed.notify_all();
        placed.map(drop)
    }

    /// Begins to place a file, if it is expected.
    fn begin(&self, path: &FilePath, content: &FileContent) -> Option<Expected> {
        let mut arrivals = self.arrivals();
        let arrival = arrivals.get_mut(path)?;
        let Arrival::Expected(expected) = *arrival else {
            return None;
        };
        let is_it = expected.content.sha256 == content.sha256;
        is_it.then(|| {
            *arrival = Arrival::Placing;
            expected
        })
    }

    fn place(
        &self,
        path: &FilePath,
        expected: Expected,
        file: PartialFile,
    ) -> Result<Agreed, FileError> {
        let Expected {
            content,
            here,
            keep,
        } = expected;
        if let Some(here) = here.filter(|_| keep) {
            self.keep(path, here)?;
        }
        self.files.place(path, &content, file, here)
    }

    fn arrivals(&self) -> MutexGuard<'_, HashMap<FilePath, Arrival>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Destination for Arrivals {
    fn publish(
        &self,
        path: &FilePath,
        content: &FileContent,
        file: PartialFile,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.take(path, content, file)?)
    }
}
