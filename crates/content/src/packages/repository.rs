//! The packages as repositories: of dnf for rpms, of apt for Debian packages.
//!
//! A repository is an index, whose parts are named by a digest, and one file that names the parts: `repomd.xml` or
//! `Release`. That one is replaced last, and the parts of the indices before it are kept for a while, so that a client
//! that has read it finds what it names. The packages themselves stay where they are.
//!
//! ```text
//! DIRECTORY/key.asc                           the public key, if there is one
//!           rpm/repodata/repomd.xml           and repomd.xml.asc
//!                        DIGEST-primary.xml.gz, DIGEST-filelists.xml.gz, DIGEST-other.xml.gz
//!           deb/Release                       and InRelease, Release.gpg
//!               Packages, Packages.gz
//!               by-hash/SHA256/DIGEST
//! ```

mod compressed_file;
mod deb;
mod directory;
mod following;
mod gpg;
mod offered;
mod rpm;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use package::Kind;

use super::Entry;
use crate::ContentError;

use directory::Directory;
use offered::Offered;

pub use gpg::SigningKey;

/// The indices of which this many are kept besides the present one.
const KEPT: usize = 20;

/// How the index of a kind of packages is written and published.
type Rebuild = fn(&Directory, &mut Offered, Option<&SigningKey>) -> Result<(), RepositoryError>;

const REPOSITORIES: [(Kind, Rebuild); 2] = [(Kind::Rpm, rpm::rebuild), (Kind::Deb, deb::rebuild)];

/// The repositories of rpms and of Debian packages.
#[derive(Debug)]
pub struct Repository {
    /// Where they are written to.
    directory: PathBuf,
    /// Where the packages are.
    packages: PathBuf,
    signing: Option<SigningKey>,
    /// What each offers, unless that is not known or something was left out. Locked while they are rebuilt.
    offering: Mutex<HashMap<Kind, Vec<Arc<Entry>>>>,
}

/// Why a repository stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The directory of the packages cannot be used.
    #[error(transparent)]
    Packages(#[from] ContentError),

    /// The index cannot be written: permissions, or the disk is full.
    #[error("cannot write the package index in {}: {source}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },

    /// It cannot be signed.
    #[error("cannot sign the package index with the key {key:?}: {reason}")]
    Sign {
        /// As it is configured.
        key: String,
        /// What gpg said, or why it said nothing.
        reason: String,
    },
}

impl Repository {
    /// Repositories of the directories `rpm` and `deb` in `packages`, to be written to `directory`. Does nothing yet.
    #[must_use]
    pub fn new(directory: PathBuf, packages: PathBuf, signing: Option<SigningKey>) -> Self {
        Self {
            directory,
            packages,
            signing,
            offering: Mutex::default(),
        }
    }

    /// Makes the repositories offer `packages`, those of them that are whole. Those whose packages are still the same
    /// are left as they are. What a client reads meanwhile is the old index or the new one. Gives whether all of them are
    /// offered: what cannot be read is left out.
    ///
    /// Blocks, for some seconds when there are thousands of packages.
    ///
    /// # Errors
    /// An index cannot be written or signed. It stays as it was, and the next time it is tried again.
    pub fn rebuild(&self, packages: &[Arc<Entry>]) -> Result<bool, RepositoryError> {
        let mut offering = self.offering.lock().unwrap_or_else(PoisonError::into_inner);
        let mut result = Ok(true);
        for (kind, rebuild) in REPOSITORIES {
            let mut packages: Vec<_> = packages
                .iter()
                .filter(|entry| entry.kind() == kind && entry.package().is_some())
                .cloned()
                .collect();
            packages.sort_by(|one, other| one.file.cmp(&other.file));
            if offering.get(&kind) == Some(&packages) {
                continue;
            }
            offering.remove(&kind);
            match self.rebuild_one(kind, packages.clone(), rebuild) {
                Ok(true) => {
                    offering.insert(kind, packages);
                }
                Ok(false) => result = result.map(|_| false),
                // No reason not to try the other.
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Whether it offers all of `packages`.
    fn rebuild_one(
        &self,
        kind: Kind,
        packages: Vec<Arc<Entry>>,
        rebuild: Rebuild,
    ) -> Result<bool, RepositoryError> {
        self.publish_key()?;
        let directory = Directory::create(self.directory.join(kind.to_string()))?;
        let mut offered = Offered::new(&self.packages.join(kind.to_string()), packages)?;
        rebuild(&directory, &mut offered, self.signing.as_ref())?;
        Ok(offered.is_complete())
    }

    /// So that clients can have the key before they read anything that is signed with it.
    fn publish_key(&self) -> Result<(), RepositoryError> {
        const NAME: &str = "key.asc";
        let directory = Directory::create(self.directory.clone())?;
        let key = self.signing.as_ref().map(|key| key.export(&directory));
        directory.replace(key.transpose()?, NAME)
    }
}
