//! What is to be done about a file: the three-way decision.
//!
//! Of each file there are three accounts: what lies *here* on disk, what the manifest says that lies *there*, and the
//! *base*, what the two last agreed on.
//!
//! | here | there | base | step |
//! | --- | --- | --- | --- |
//! | alike | alike | any | agree |
//! | no file | none known | any | forget |
//! | no file | file | the same file | publish the deletion |
//! | no file | file | anything else | pull: a change wins against a deletion that nobody has heard of |
//! | file | none known | any | publish: only a tombstone deletes |
//! | file | deleted | this file | remove |
//! | file | deleted | lost | remove, keep a copy |
//! | file | deleted | anything else | publish: a change wins against a deletion it knew nothing of |
//! | other file | file | what is here | pull |
//! | other file | file | what is there | publish |
//! | other file | file | lost | pull, keep a copy |
//! | other file | file | anything else | publish: the later commit wins, and who holds the other keeps a copy |
//! | same bytes, other mode or time | file | what is there | publish |
//! | same bytes, other mode or time | file | anything else | set mode and time |
//!
//! Whoever holds a version that the manifest says was overridden keeps a copy of it before it goes.
//!
//! What this head was about to do when it was killed is known too. A file that was being placed is as good as agreed
//! on, and so is one that was being [`published`] if the manifest has it. If the manifest has yet another, nobody knows
//! whether it had this one: the other stays, and this one is kept aside.

use model::{FileContent, FileVersion, Sha256Digest};
use serde::{Deserialize, Serialize};

/// What is known of the last agreement about a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "agreed", rename_all = "lowercase")]
pub(super) enum Base {
    /// Nothing, and there may have been one.
    #[default]
    Lost,
    /// There never was one.
    Never,
    /// That there is no such file.
    Absent,
    /// The file.
    File(Agreed),
}

/// A file that disk and manifest agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Agreed {
    /// As the manifest has it.
    pub(super) listed: FileContent,
    /// Its permission bits on disk: not every file system can keep them.
    pub(super) mode: u32,
    /// Its time on disk.
    pub(super) mtime: i64,
}

/// What was begun and may have been done, as it was noted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Intent {
    /// To give this content the file's name.
    Place(Sha256Digest),
    /// To put this content in the manifest.
    Publish(Sha256Digest),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Remember that here and there are alike.
    Agree,
    /// Remember nothing.
    Forget,
    /// Put what is here in the manifest.
    Publish {
        /// Whether nobody here knew of what the manifest has now.
        overrides: bool,
    },
    /// Put in the manifest that the file is deleted.
    PublishDeletion,
    /// Get what the manifest has.
    Pull {
        /// Whether to keep a copy of what is here.
        keep: bool,
    },
    /// Give the file here mode and time as the manifest has them.
    SetMetadata,
    /// Delete the file here.
    Remove {
        /// Whether to keep a copy of it.
        keep: bool,
    },
}

/// What is agreed on since the manifest has what this head was putting there.
pub(super) fn published(intent: Option<Intent>, there: Option<&FileVersion>) -> Option<Agreed> {
    let listed = there?.content?;
    let is_published = intent == Some(Intent::Publish(listed.sha256));
    is_published.then(|| Agreed::published(listed))
}

/// What is to be done about a file, once what was [`published`] is agreed on.
pub(super) fn decide(
    base: Base,
    intent: Option<Intent>,
    here: Option<&FileContent>,
    there: Option<&FileVersion>,
) -> Step {
    let listed = there.map(|version| version.content.as_ref());
    let (here, listed) = match (here, listed) {
        (None, None) => return Step::Forget,
        (None, Some(None)) => return Step::Agree,
        (Some(_), None) => return Step::Publish { overrides: false },
        (None, Some(Some(listed))) if base.is(listed) => return Step::PublishDeletion,
        (None, Some(Some(_))) => return Step::Pull { keep: false },
        (Some(here), Some(listed)) => (here, listed),
    };
    let was_overridden = there.is_some_and(|version| version.overrode.contains(&here.sha256));
    let is_doubtful = intent == Some(Intent::Publish(here.sha256));
    let is_known_here = base.is(here) || intent == Some(Intent::Place(here.sha256));
    let gives_way = is_known_here || is_doubtful || base == Base::Lost;
    let keep = was_overridden || is_doubtful || base == Base::Lost;
    match listed {
        None if gives_way => Step::Remove { keep },
        None => Step::Publish { overrides: false },
        Some(listed) if here.sha256 == listed.sha256 => decide_metadata(base, here, listed),
        Some(_) if is_known_here => Step::Pull { keep },
        Some(listed) if base.is(listed) => Step::Publish { overrides: false },
        Some(_) if gives_way => Step::Pull { keep },
        Some(_) => Step::Publish { overrides: true },
    }
}

/// The same for a file that holds the same bytes here and there.
fn decide_metadata(base: Base, here: &FileContent, listed: &FileContent) -> Step {
    let Base::File(agreed) = base else {
        return if here == listed {
            Step::Agree
        } else {
            Step::SetMetadata
        };
    };
    let is_unchanged_here = (here.mode, here.mtime) == (agreed.mode, agreed.mtime);
    match (is_unchanged_here, agreed.listed == *listed) {
        _ if here == listed => Step::Agree,
        // As near as this file system can come.
        (true, true) => Step::Agree,
        (false, true) => Step::Publish { overrides: false },
        (_, false) => Step::SetMetadata,
    }
}

impl Agreed {
    /// The manifest has a file as it lay here.
    pub(super) const fn published(content: FileContent) -> Self {
        Self {
            listed: content,
            mode: content.mode,
            mtime: content.mtime,
        }
    }
}

impl Base {
    /// Whether these bytes were agreed on.
    fn is(self, content: &FileContent) -> bool {
        matches!(self, Self::File(agreed) if agreed.listed.sha256 == content.sha256)
    }
}

/// How many overridden versions a file remembers.
const OVERRODE: usize = 8;

/// What a new version says of those that were overridden, when the manifest has `there` and it `overrides` that or not.
pub(super) fn overrode(
    there: Option<&FileVersion>,
    overrides: bool,
    new: Option<Sha256Digest>,
) -> Vec<Sha256Digest> {
    let Some(there) = there else {
        return Vec::new();
    };
    let mut overrode = there.overrode.clone();
    if let Some(content) = there.content.filter(|_| overrides) {
        overrode.push(content.sha256);
    }
    overrode.retain(|sha256| Some(*sha256) != new);
    let surplus = overrode.len().saturating_sub(OVERRODE);
    overrode.drain(..surplus);
    overrode
}

#[cfg(test)]
mod tests;
