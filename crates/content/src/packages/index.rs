//! The index: the listing, and the changes that keep it true.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use package::Kind;
use tokio::sync::{Notify, watch};

use super::directories::Directories;
use super::{Entry, Listing, PackageFile};
use crate::{ContentError, FileId};

/// The directories, and what is known of them.
pub(super) struct Index {
    pub(super) directories: Directories,
    listing: watch::Sender<Arc<Listing>>,
    changing: Mutex<()>,
    /// Files that may still be written to, or are being read.
    arriving: Mutex<Arriving>,
    pub(super) look_wanted: Notify,
}

/// Files that are not listed yet, each with its state and when it was first seen in it.
pub(super) type Arriving = HashMap<PackageFile, (FileId, Instant)>;

impl Index {
    pub(super) fn new(directories: Directories) -> Self {
        Self {
            directories,
            listing: watch::Sender::default(),
            changing: Mutex::default(),
            arriving: Mutex::default(),
            look_wanted: Notify::new(),
        }
    }

    pub(super) fn listing(&self) -> Arc<Listing> {
        Arc::clone(&self.listing.borrow())
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Listing>> {
        self.listing.subscribe()
    }

    pub(super) fn arriving(&self) -> MutexGuard<'_, Arriving> {
        lock(&self.arriving)
    }

    /// Whether a file that is not listed yet may be what `wanted` means, by its name.
    pub(super) fn may_be_arriving(&self, kinds: &[Kind], wanted: &str) -> bool {
        let is_alike = |file: &PackageFile| {
            kinds.contains(&file.kind()) && file.base_name().starts_with(wanted)
        };
        !self.listing.borrow().is_complete() || self.arriving().keys().any(is_alike)
    }

    /// Everything that lay there at the start is listed.
    pub(super) fn complete(&self) {
        self.listing
            .send_modify(|listing| Arc::make_mut(listing).complete());
    }

    /// To be held from a look at a file, or a change of it, to the change of the listing that follows from it.
    pub(super) fn change(&self) -> Change<'_> {
        Change {
            index: self,
            _alone: lock(&self.changing),
        }
    }
}

/// The right to change the listing.
pub(super) struct Change<'a> {
    index: &'a Index,
    _alone: MutexGuard<'a, ()>,
}

impl Change<'_> {
    /// Lists `entry`, if the file is still in the state that was read.
    pub(super) fn list(&self, entry: Entry) -> Option<Arc<Entry>> {
        let on_disk = self.index.directories.stat(&entry.file).ok()?;
        if on_disk != entry.file_id {
            return None;
        }
        let entry = Arc::new(entry);
        self.index
            .listing
            .send_modify(|listing| Arc::make_mut(listing).insert(Arc::clone(&entry)));
        Some(entry)
    }

    /// Takes `file` from the listing, unless it is still in the state that was read, or nobody can tell.
    pub(super) fn check(&self, file: &PackageFile) {
        let is_stale = |entry: &Arc<Entry>| match self.index.directories.stat(file) {
            Ok(on_disk) => on_disk != entry.file_id,
            Err(error) => !matches!(
                error,
                ContentError::Directory { .. } | ContentError::Io { .. }
            ),
        };
        self.index.listing.send_if_modified(|listing| {
            let is_stale = listing.get(file).is_some_and(is_stale);
            if is_stale {
                Arc::make_mut(listing).remove(file);
            }
            is_stale
        });
    }
}

/// What another thread left when it panicked is still true.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
