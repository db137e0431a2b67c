//! `DIR/head` on disk.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use model::{Name, Uid};
use serde::{Deserialize, Serialize};

use super::{Addresses, CertificateFiles, Contacts, Identity};

/// Why what a head knows of itself cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error(
        "cannot read {path}: {source}. It belongs to this head's identity; without it the head has to join its cluster \
         again (scyld-install --join HEAD)"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `head.json` is not what a head writes.
    #[error(
        "{path} does not read: {source}. The head has to join its cluster again (scyld-install --join HEAD)"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Unwritable {
        /// The file, or the directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// How far a head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Admitted,
    Member,
    Removed,
}

/// What `head.json` holds.
#[derive(Serialize, Deserialize)]
struct HeadFile {
    uid: Uid,
    name: Name,
    state: State,
    addresses: Addresses,
    known: Contacts,
}

/// The directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(super) fn of(data: &Path) -> Self {
        Self {
            path: data.join("head"),
        }
    }

    pub(super) fn certificate_files(&self) -> CertificateFiles {
        CertificateFiles {
            authority: self.path.join("authority.pem"),
            certificate: self.path.join("head.pem"),
            key: self.path.join("head-key.pem"),
        }
    }

    fn head_file(&self) -> PathBuf {
        self.path.join("head.json")
    }

    pub(super) fn load(&self) -> Result<Option<(State, Identity, Contacts)>, IdentityError> {
        let path = self.head_file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            // Written last: without it nothing was finished here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IdentityError::Unreadable { path, source }),
        };
        let head: HeadFile = serde_json::from_slice(&text)
            .map_err(|source| IdentityError::Malformed { path, source })?;
        let files = self.certificate_files();
        let identity = Identity {
            uid: head.uid,
            name: head.name,
            authority: read(files.authority)?,
            certificate: read(files.certificate)?,
            key: read(files.key)?,
            addresses: head.addresses,
        };
        Ok(Some((head.state, identity, head.known)))
    }

    /// Writes everything. Cut short, it leaves the head as it was, or with a new certificate for the key it has: a
    /// head that joins again keeps its key.
    pub(super) fn write(
        &self,
        state: State,
        identity: &Identity,
        contacts: &Contacts,
    ) -> Result<(), IdentityError> {
        self.make().map_err(|source| IdentityError::Unwritable {
            path: self.path.clone(),
            source,
        })?;
        let files = self.certificate_files();
        self.replace(&files.key, identity.key.as_bytes())?;
        self.replace(&files.certificate, identity.certificate.as_bytes())?;
        self.replace(&files.authority, identity.authority.as_bytes())?;
        self.write_state(state, identity, contacts)
    }

    /// Writes `head.json` alone.
    pub(super) fn write_state(
        &self,
        state: State,
        identity: &Identity,
        contacts: &Contacts,
    ) -> Result<(), IdentityError> {
        let path = self.head_file();
        let head = HeadFile {
            uid: identity.uid,
            name: identity.name.clone(),
            state,
            addresses: identity.addresses,
            known: contacts.clone(),
        };
        let mut text = match serde_json::to_vec_pretty(&head) {
            Ok(text) => text,
            Err(source) => return Err(IdentityError::Malformed { path, source }),
        };
        text.push(b'\n');
        self.replace(&path, &text)
    }

    fn make(&self) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::set_permissions(&self.path, Permissions::from_mode(0o700))
            }
            Err(error) => Err(error),
            Ok(()) => match self.path.parent() {
                Some(parent) => File::open(parent)?.sync_all(),
                None => Ok(()),
            },
        }
    }

    /// Puts `content` into a file of the directory, mode 0600: the old content or the new, whatever happens.
    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), IdentityError> {
        let temporary = path.with_extension("new");
        let write = || {
            // Opened anew: mode 0600 is given to files that are created only.
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| IdentityError::Unwritable {
            path: path.to_owned(),
            source,
        })
    }
}

fn read(path: PathBuf) -> Result<String, IdentityError> {
    fs::read_to_string(&path).map_err(|source| IdentityError::Unreadable { path, source })
}
