//! [`Seen`]: what a translation saw of a files directory, to tell whether it would see the same again.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

use rustix::io::Errno;

use crate::{FileId, FileRoot};

/// What a name led to: a file or directory in this state, or nowhere for this reason.
pub(crate) type Look = Result<FileId, Errno>;

/// All names in a files directory that were looked at, and what each led to. A directory's state tells of its entries.
#[derive(Debug)]
pub struct Seen {
    root: FileRoot,
    /// The files directory's path beneath the root.
    directory: String,
    looks: BTreeMap<String, Look>,
    /// Whether what was read belongs to what the names led to, for certain.
    certain: bool,
}

impl Seen {
    pub(crate) const fn nothing_yet(root: FileRoot, directory: String) -> Self {
        Self {
            root,
            directory,
            looks: BTreeMap::new(),
            certain: true,
        }
    }

    /// That there is no such directory.
    pub(crate) fn no_directory(root: FileRoot, directory: String) -> Self {
        let mut seen = Self::nothing_yet(root, directory);
        seen.remember("", Err(Errno::NOENT), true);
        seen
    }

    /// What a name led to. What it led to later may be `proven` to be as it was, or not.
    pub(crate) fn remember(&mut self, name: &str, look: Look, proven: bool) {
        let first = *self.looks.entry(name.to_owned()).or_insert(look);
        self.certain &= proven && look == first;
    }

    /// What was seen says nothing about the future.
    pub(crate) fn doubt(&mut self) {
        self.certain = false;
    }

    /// Whether all that was looked at is, at this moment, as it was. Costs a few system calls for each file.
    ///
    /// It is not while a file that was read is fresh: until its `ctime` is 2 s old, it may be written to once more
    /// and look the same.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        if !self.certain || self.looks.is_empty() {
            return self.certain;
        }
        let directory = self.root.open_directory(&self.directory);
        self.looks.iter().all(|(name, seen)| {
            let now = directory.as_ref().map_err(|error| *error);
            let now = now.and_then(|directory| self.root.beneath().stat(directory.as_fd(), name));
            now.map(|stat| FileId::of(&stat)) == *seen
        })
    }
}
