//! [`LocalHead`]: what this head shows to the others.

use std::path::PathBuf;

use content::{ContentError, FileId, FileName, FileRoot};
use model::{FilePath, Sha256Digest, Tree};

use super::HeadStatus;
use crate::reports::News;

/// What this head shows to the others.
pub trait LocalHead: Send + Sync + 'static {
    /// Where its files are.
    fn trees(&self) -> &Trees;

    /// The digest of a file in this state, if it is known without reading the file.
    fn digest(&self, path: &FilePath, state: FileId) -> Option<Sha256Digest>;

    /// How it is.
    fn status(&self) -> HeadStatus;

    /// What nodes reported to it after the report with the number `known`.
    fn reports(&self, known: u64) -> News;

    /// etcd's program, if it has one to hand over. Asks the file system at most.
    fn etcd_program(&self) -> Option<PathBuf>;
}

/// The directories whose files are the same on all heads.
#[derive(Clone, Debug)]
pub struct Trees {
    /// Boot files.
    pub kickstarts: FileRoot,
    /// Client packages: holds `rpm`, `deb` and `tar`.
    pub clientpkgs: FileRoot,
    /// Ignition's own programs.
    pub ignition: FileRoot,
}

impl Trees {
    /// The directory of a tree.
    pub fn root(&self, tree: Tree) -> &FileRoot {
        match tree {
            Tree::Kickstarts => &self.kickstarts,
            Tree::Clientpkgs => &self.clientpkgs,
            Tree::Ignition => &self.ignition,
        }
    }

    /// Where a path leads to: the only way from a path that came from elsewhere to a disk.
    ///
    /// # Errors
    /// The path cannot be that of a file.
    pub fn locate(&self, path: &FilePath) -> Result<(&FileRoot, FileName), ContentError> {
        let name = FileName::parse(path.path.as_bytes())?;
        Ok((self.root(path.tree), name))
    }
}
