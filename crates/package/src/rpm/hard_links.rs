//! Files with several names.
//!
//! The payload has the content of such a file with one of its names, usually the last. A tar needs it with the first, so
//! that names that come before their content wait for it.

use std::collections::HashMap;

use super::files::{FileKind, Files};
use super::tree::Tree;
use super::{Refusal, RpmError};

/// The files of a package that have several names.
pub(super) struct HardLinks {
    files: HashMap<(u64, u64), LinkedFile>,
}

/// One file of several names.
pub(super) struct LinkedFile {
    /// The last of its names, in the order of the header: a payload without sizes has the content there.
    last: usize,
    /// How many names have not come yet.
    pub(super) missing: usize,
    /// The names that came before the content.
    pub(super) waiting: Vec<usize>,
    /// The name that the content came with.
    pub(super) content: Option<usize>,
}

impl HardLinks {
    pub(super) fn of(files: &Files<'_>, tree: &Tree) -> Result<Self, RpmError> {
        let mut linked: HashMap<(u64, u64), LinkedFile> = HashMap::new();
        for index in tree.indexes() {
            let Some(file) = files.get(index) else {
                continue;
            };
            let Some(identity) = file.identity().filter(|_| is_regular(&file)) else {
                continue;
            };
            let entry = linked.entry(identity);
            let set = entry.or_insert(LinkedFile {
                last: index,
                missing: 0,
                waiting: Vec::new(),
                content: None,
            });
            if let Some(last) = files.get(set.last)
                && !file.has_content_of(&last)
            {
                return Err(file.refused(Refusal::UnlikeHardLink(last.name())));
            }
            set.last = set.last.max(index);
            set.missing += 1;
        }
        linked.retain(|_, set| set.missing > 1);
        linked.shrink_to_fit();
        Ok(Self { files: linked })
    }

    /// Bytes that the names of files beside their first do not take.
    pub(super) fn shared_bytes(&self, files: &Files<'_>) -> u64 {
        let shared = |set: &LinkedFile| {
            let size = files.get(set.last).map_or(0, |file| file.size);
            size.saturating_mul(set.missing as u64 - 1)
        };
        self.files.values().map(shared).fold(0, u64::saturating_add)
    }

    pub(super) fn get(&mut self, file: &super::files::File<'_>) -> Option<&mut LinkedFile> {
        let identity = file.identity().filter(|_| is_regular(file))?;
        self.files.get_mut(&identity)
    }
}

impl LinkedFile {
    /// Whether a payload that does not say sizes has the content with this name.
    pub(super) fn is_last(&self, index: usize) -> bool {
        self.last == index
    }
}

fn is_regular(file: &super::files::File<'_>) -> bool {
    matches!(file.kind(), Ok(FileKind::Regular))
}
