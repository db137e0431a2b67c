//! Reading a package: who it is, and its digest.

use std::io::{self, BufReader, Read, Seek};

use package::{Kind, deb, rpm, tar};
use tokio_util::sync::CancellationToken;

use super::directories::Directories;
use super::until_closing::UntilClosing;
use super::{Entry, Fault, Package, PackageFile};
use crate::digest::Hasher;
use crate::reading::{SETTLING, read_at_rest};
use crate::{ContentError, Sha256Digest};

/// What is read at once of a package: memory does not grow with it.
const BUFFER: usize = 128 << 10;

/// Bytes of what is no package that are read to know its digest: it may be anything, and others wait.
const LARGEST_HASHED_FAULT: u64 = 64 << 20;

/// Reads `file`, which rests. One that is broken, or that cannot be read, is an entry with a fault.
///
/// # Errors
/// It is gone, or changed while it was read.
pub(super) fn read(
    directories: &Directories,
    file: &PackageFile,
    closing: &CancellationToken,
) -> Result<Entry, ContentError> {
    let root = directories.root(file.kind());
    let outcome = read_at_rest(root, file.name(), SETTLING, |opened, id| {
        let failed = |error| root.failed("read", file.name(), error);
        let mut opened = UntilClosing {
            file: opened,
            closing,
        };
        Ok(Some(match identify(file, &mut opened) {
            Ok(unsigned) => Ok(unsigned.with(digest(&mut opened).map_err(failed)?)),
            Err(reason) if id.size > LARGEST_HASHED_FAULT => Err(Fault {
                reason,
                sha256: None,
            }),
            Err(reason) => Err(Fault {
                reason,
                sha256: Some(digest(&mut opened).map_err(failed)?),
            }),
        }))
    });
    match outcome {
        Ok(reading) => Ok(Entry {
            file: file.clone(),
            file_id: reading.id,
            content: reading.value,
        }),
        Err(error @ ContentError::Io { .. }) => Ok(Entry {
            file_id: root.stat(file.name())?,
            file: file.clone(),
            content: Err(Fault {
                reason: error.to_string(),
                sha256: None,
            }),
        }),
        Err(error) => Err(error),
    }
}

/// A package without its digest.
pub(super) struct Unhashed {
    identity: package::Identity,
    scriptlets: Vec<String>,
    made_of: Option<Sha256Digest>,
}

impl Unhashed {
    pub(super) fn with(self, sha256: Sha256Digest) -> Package {
        Package {
            identity: self.identity,
            sha256,
            scriptlets: self.scriptlets,
            made_of: self.made_of,
        }
    }
}

/// The package in `opened`, from its beginning; else what is wrong with it.
pub(super) fn identify(
    file: &PackageFile,
    opened: &mut (impl Read + Seek),
) -> Result<Unhashed, String> {
    opened.rewind().map_err(|error| error.to_string())?;
    let package = BufReader::with_capacity(BUFFER, opened);
    match file.kind() {
        Kind::Rpm => rpm::read(package)
            .map(|rpm| Unhashed {
                identity: rpm.identity,
                scriptlets: rpm.scriptlets,
                made_of: None,
            })
            .map_err(|error| error.to_string()),
        Kind::Deb => deb::read(package)
            .map(|deb| Unhashed {
                identity: deb.identity,
                scriptlets: Vec::new(),
                made_of: None,
            })
            .map_err(|error| error.to_string()),
        Kind::Tar => tar::read(package, file.base_name())
            .map(|tar| Unhashed {
                identity: tar.identity,
                scriptlets: tar.scriptlets,
                made_of: tar.made_of.map(Sha256Digest::from),
            })
            .map_err(|error| error.to_string()),
    }
}

fn digest(opened: &mut (impl Read + Seek)) -> io::Result<Sha256Digest> {
    opened.rewind()?;
    let mut hasher = Hasher::default();
    io::copy(&mut BufReader::with_capacity(BUFFER, opened), &mut hasher)?;
    Ok(hasher.finish().1)
}
