//! What can go wrong with content, told to a person.

use std::io;
use std::path::PathBuf;

use crate::{FileKind, FileName, FileNameError, Sha256Digest};

/// Why a boot file cannot be read, listed, stored or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The name cannot be that of a boot file.
    #[error(transparent)]
    Name(#[from] FileNameError),

    /// There is no such file.
    #[error("no file \"{name}\" in {}", directory.display())]
    NotFound {
        /// The file asked for.
        name: FileName,
        /// The kickstarts directory.
        directory: PathBuf,
    },

    /// A symbolic link on the way leads out of the directory.
    #[error("\"{name}\" leads out of {} by a symbolic link", directory.display())]
    Escapes {
        /// The file asked for.
        name: FileName,
        /// The kickstarts directory.
        directory: PathBuf,
    },

    /// A symbolic link on the way is not followed: it loops, it is a magic link of `/proc`, or this kernel offers
    /// no way to confine it.
    #[error("\"{name}\" in {} passes through a symbolic link that is not followed", directory.display())]
    SymbolicLink {
        /// The file asked for.
        name: FileName,
        /// The kickstarts directory.
        directory: PathBuf,
    },

    /// The name leads to something else than a regular file.
    #[error("\"{name}\" in {} is {kind}, not a regular file", directory.display())]
    NotRegular {
        /// The file asked for.
        name: FileName,
        /// The kickstarts directory.
        directory: PathBuf,
        /// What it is.
        kind: FileKind,
    },

    /// A file that would be stored below something that is not a directory.
    #[error("cannot store \"{name}\" in {}: \"{parent}\" is not a directory", directory.display())]
    ParentNotDirectory {
        /// The file to store.
        name: FileName,
        /// The kickstarts directory.
        directory: PathBuf,
        /// The part of the name that is in the way.
        parent: String,
    },

    /// The file has no bytes: clients take an empty answer for "nothing to do".
    #[error("\"{name}\" in {} is empty", directory.display())]
    Empty {
        /// The file asked for.
        name: FileName,
        /// The kickstarts directory.
        directory: PathBuf,
    },

    /// The file is larger than boot files may be.
    #[error("\"{name}\" has more than {limit} bytes, the limit for boot files")]
    TooLarge {
        /// The file asked for or to be stored.
        name: FileName,
        /// The limit in bytes.
        limit: u64,
    },

    /// The file changed whenever it was read. It will rest: worth another try in a second.
    #[error("\"{name}\" in {} is being written to", directory.display())]
    Changing {
        /// The file asked for.
        name: FileName,
        /// The kickstarts directory.
        directory: PathBuf,
    },

    /// The file is not in the state that the request was made for.
    #[error("\"{name}\" {}", state(found.as_ref()))]
    Precondition {
        /// The file to replace or delete.
        name: FileName,
        /// Its content; `None` when there is no such file.
        found: Option<Sha256Digest>,
    },

    /// No room to store the file: the disk or a quota is full.
    #[error("no room for \"{name}\" in {}: {source}", directory.display())]
    NoSpace {
        /// The file to store.
        name: FileName,
        /// The kickstarts directory.
        directory: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },

    /// The body of an upload broke off.
    #[error("the upload of \"{name}\" broke off: {source}")]
    Upload {
        /// The file to store.
        name: FileName,
        /// Why.
        source: io::Error,
    },

    /// The kickstarts directory itself cannot be used.
    #[error("cannot open the directory {}: {source}", path.display())]
    Directory {
        /// The kickstarts directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },

    /// The kernel refused for another reason: permissions, a failing disk.
    #[error("cannot {action} \"{name}\" in {}: {source}", directory.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file concerned.
        name: FileName,
        /// The kickstarts directory.
        directory: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

fn state(found: Option<&Sha256Digest>) -> String {
    match found {
        Some(sha256) => format!("exists with revision {}", sha256.revision()),
        None => "does not exist".to_owned(),
    }
}
