//! What is known of one file among the packages.

use package::{Identity, Kind};

use super::PackageFile;
use crate::{FileId, Sha256Digest};

/// A file among the packages, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which file.
    pub file: PackageFile,
    /// The state of the file that was read.
    pub file_id: FileId,
    /// The package in it, or why there is none to be had.
    pub content: Result<Package, Fault>,
}

/// A whole package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Who it is.
    pub identity: Identity,
    /// The digest of the file.
    pub sha256: Sha256Digest,
    /// For an rpm the kinds of scriptlets it runs, for a tar those that the rpm it was made of would have run.
    pub scriptlets: Vec<String>,
    /// For a tar that Pilotlight made: the digest of the rpm.
    pub made_of: Option<Sha256Digest>,
}

/// Why a file is no package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, told to a person.
    pub reason: String,
    /// The digest of the file; `None` when it cannot be read.
    pub sha256: Option<Sha256Digest>,
}

impl Entry {
    /// Names the file in one word: the same on every head and as long as it has its name.
    #[must_use]
    pub fn id(&self) -> String {
        Sha256Digest::of(self.file.to_string().as_bytes()).revision()
    }

    /// Its packaging system.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.file.kind()
    }

    /// The package, unless the file is broken.
    #[must_use]
    pub fn package(&self) -> Option<&Package> {
        self.content.as_ref().ok()
    }

    /// What is wrong with the file.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        let fault = self.content.as_ref().err()?;
        Some(&fault.reason)
    }

    /// The digest of the file, unless it cannot be read.
    #[must_use]
    pub fn sha256(&self) -> Option<Sha256Digest> {
        match &self.content {
            Ok(package) => Some(package.sha256),
            Err(fault) => fault.sha256,
        }
    }
}

/// How far an rpm is made a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversion {
    /// Nobody asked for the tar yet.
    Idle,
    /// It is being made, or waits for another to be done.
    Running {
        /// How many bytes of the rpm are read.
        read: u64,
    },
    /// It cannot be made of this rpm.
    Failed {
        /// Why.
        reason: String,
    },
    /// The tar is listed.
    Done {
        /// Its file.
        tar: PackageFile,
    },
}
