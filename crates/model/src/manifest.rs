//! [`Manifest`]: which files every head is to have.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{BadRecord, Expect, Key, Revision, Sha256Digest, Transaction, Uid};

/// A directory of a head whose files are the same on all heads.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Tree {
    /// Boot files.
    Kickstarts,
    /// Client packages.
    Clientpkgs,
    /// Ignition's own programs.
    Ignition,
}

impl Tree {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kickstarts, Self::Clientpkgs, Self::Ignition];

    /// Its name, as in keys and URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kickstarts => "kickstarts",
            Self::Clientpkgs => "clientpkgs",
            Self::Ignition => "ignition",
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Tree {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let named = Self::ALL.into_iter().find(|tree| tree.name() == text);
        named.ok_or(())
    }
}

/// A file of one of the trees, by its path from there: `kickstarts/rack1/a.ks`.
///
/// The path is text that came from a store: whoever touches a disk with it must confine it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath {
    /// The tree.
    pub tree: Tree,
    /// The path from its top.
    pub path: String,
}

impl FilePath {
    /// The path of a file.
    pub fn new(tree: Tree, path: impl Into<String>) -> Self {
        Self {
            tree,
            path: path.into(),
        }
    }

    /// The key that holds what is known of the file.
    pub fn key(&self) -> Key {
        Key::new(format!("file/{self}"))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tree, self.path)
    }
}

impl FromStr for FilePath {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (tree, path) = text.split_once('/').ok_or(())?;
        Ok(Self::new(tree.parse::<Tree>()?, path))
    }
}

/// What a file is to be on every head: the last change to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    /// What it holds, or `None` where it was deleted: a tombstone.
    pub content: Option<FileContent>,
    /// The head where it was changed.
    pub origin: Uid,
    /// When, in milliseconds after 1970 by that head's clock.
    pub changed: i64,
    /// The versions that somebody else had made meanwhile and that this one, or one before it, overrode: heads that hold
    /// one of them keep a copy of it aside. The newest is last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrode: Vec<Sha256Digest>,
}

/// The bytes of a file, and how they lie on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// Their digest.
    pub sha256: Sha256Digest,
    /// How many there are.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// When they were last written, in nanoseconds after 1970.
    pub mtime: i64,
}

impl FileVersion {
    /// The record as it is stored.
    pub fn record(&self) -> Vec<u8> {
        // Text and numbers: serde_json cannot fail on them.
        serde_json::to_vec(self).expect("a record serialises")
    }
}

/// What every head is to have, deleted files included.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    files: OrdMap<FilePath, Arc<Listed>>,
}

/// A file as the manifest has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its last version.
    pub version: FileVersion,
    /// The revision of the store that made it.
    pub revision: Revision,
}

impl Manifest {
    /// The file at `path`.
    pub fn get(&self, path: &FilePath) -> Option<&Arc<Listed>> {
        self.files.get(path)
    }

    /// All files, deleted ones too, in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&FilePath, &Arc<Listed>)> {
        self.files.iter()
    }

    /// Those that are there.
    pub fn present(&self) -> impl Iterator<Item = (&FilePath, &FileContent)> {
        self.files
            .iter()
            .filter_map(|(path, listed)| Some((path, listed.version.content.as_ref()?)))
    }

    /// The files that stand otherwise here than in `other`. Costs nothing for what the two have in common.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a FilePath> {
        use imbl::ordmap::DiffItem;
        let differences = self.files.diff(&other.files);
        differences.map(|difference| match difference {
            DiffItem::Add(path, _) | DiffItem::Remove(path, _) => path,
            DiffItem::Update { new: (path, _), .. } => path,
        })
    }

    pub(crate) fn set(
        &mut self,
        key: &Key,
        path: &str,
        revision: Revision,
        value: Option<&[u8]>,
    ) -> Result<(), BadRecord> {
        let bad = |source: Box<dyn std::error::Error + Send + Sync>| BadRecord {
            key: key.clone(),
            source,
        };
        let path = path
            .parse::<FilePath>()
            .map_err(|()| bad("no such directory is kept alike on all heads".into()))?;
        match value {
            Some(value) => {
                let version =
                    serde_json::from_slice(value).map_err(|error| bad(Box::new(error)))?;
                self.files
                    .insert(path, Arc::new(Listed { version, revision }));
            }
            None => {
                self.files.remove(&path);
            }
        }
        Ok(())
    }
}

/// The transaction that makes a file what `version` says, if the manifest still has of it what `known` is.
pub fn file_change(path: &FilePath, known: Option<&Listed>, version: &FileVersion) -> Transaction {
    let mut transaction = Transaction::default();
    let expect = match known {
        Some(known) => Expect::At(known.revision),
        None => Expect::Absent,
    };
    transaction.expect(path.key(), expect);
    transaction.put(path.key(), version.record());
    transaction
}
