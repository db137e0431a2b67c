//! What can go wrong with packages, told to a person.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use package::{Architecture, Kind};

use super::{PackageFile, package_file};
use crate::{ContentError, FileName};

/// Why there is no package to be had, or none to be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackagesError {
    /// Nothing is what was asked for.
    #[error("no {kind} package \"{wanted}\" for {architecture}; {there}")]
    NotFound {
        /// The packaging system asked for.
        kind: Kind,
        /// The architecture asked for.
        architecture: Architecture,
        /// What was looked for.
        wanted: String,
        /// What there is instead, as the end of a sentence.
        there: String,
    },

    /// A file of that name would be no package of its directory.
    #[error("\"{name}\" cannot be the file of a {kind} package: expected a name that ends in {} and is not hidden", package_file::endings(*kind).join(" or "))]
    NotPackageFile {
        /// The directory.
        kind: Kind,
        /// The name.
        name: FileName,
    },

    /// The file is no whole package.
    #[error("{file} is no package that can be used: {reason}")]
    Broken {
        /// The file.
        file: PackageFile,
        /// What is wrong with it.
        reason: String,
    },

    /// The tar is being made. Worth another try.
    #[error("the tar of {rpm} is being made")]
    Converting {
        /// What it is made of.
        rpm: PackageFile,
        /// When to ask again.
        retry_after: Duration,
    },

    /// The rpm cannot be made a tar. It is not tried again until the rpm changes.
    #[error("{rpm} cannot be made a tar: {reason}")]
    Conversion {
        /// The rpm.
        rpm: PackageFile,
        /// What is wrong with it.
        reason: String,
    },

    /// This head could not make the tar, or would have to replace a file of somebody else by it. Worth another try
    /// when that is mended.
    #[error("no tar was made of {rpm}: {reason}")]
    Unconverted {
        /// The rpm.
        rpm: PackageFile,
        /// What went wrong.
        reason: String,
    },

    /// The packages that lay there at the start are still being read, and what was asked for is not found yet. Worth
    /// another try.
    #[error("no {kind} package \"{wanted}\" is found yet: the packages are still being read")]
    NotYet {
        /// The packaging system asked for.
        kind: Kind,
        /// What was looked for.
        wanted: String,
    },

    /// The file cannot be read, stored or deleted.
    #[error(transparent)]
    File(#[from] ContentError),

    /// A directory cannot be made or used.
    #[error("cannot use the directory {}: {source}", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },

    /// This head is shutting down.
    #[error("this head is shutting down")]
    Closing,
}
