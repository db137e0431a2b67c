//! Storing and deleting packages on behalf of administrators.

use std::io::{self, Read, Write as _};

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use super::index::Index;
use super::reading::identify;
use super::{Condition, Entry, PackageFile, PackagesError, Stored};
use crate::digest::Hasher;
use crate::{ContentError, Sha256Digest};

impl Index {
    /// As [`Packages::put`](super::Packages::put).
    pub(super) fn store(
        &self,
        file: &PackageFile,
        condition: Option<Condition>,
        body: impl Read,
    ) -> Result<Stored, PackagesError> {
        let stored = self.receive(file, condition, body);
        if stored.is_err() {
            let root = self.directories.root(file.kind());
            root.remove_emptied_directories(file.name());
        }
        stored
    }

    /// As [`Packages::remove`](super::Packages::remove).
    pub(super) fn delete(
        &self,
        file: &PackageFile,
        condition: Option<Condition>,
    ) -> Result<(), PackagesError> {
        let root = self.directories.root(file.kind());
        let change = self.change();
        self.check(file, condition)?;
        root.delete(file.name())?;
        change.check(file);
        root.remove_emptied_directories(file.name());
        Ok(())
    }

    fn receive(
        &self,
        file: &PackageFile,
        condition: Option<Condition>,
        mut body: impl Read,
    ) -> Result<Stored, PackagesError> {
        let root = self.directories.root(file.kind());
        let failed = |error| root.failed("store", file.name(), error);
        let mut temporary = root.create_temporary(file.name())?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 128 << 10];
        loop {
            let length = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let name = file.name().clone();
                    return Err(ContentError::Upload { name, source }.into());
                }
            };
            let part = &buffer[..length];
            hasher.write_all(part).map_err(failed)?;
            temporary.file.write_all(part).map_err(failed)?;
        }
        let found = identify(file, &mut temporary.file);
        let package = found.map_err(|reason| PackagesError::Broken {
            file: file.clone(),
            reason,
        })?;
        temporary.file.sync_all().map_err(failed)?;

        let change = self.change();
        self.check(file, condition)?;
        let created = root.publish(temporary, file.name())?;
        let entry = Entry {
            file: file.clone(),
            file_id: root.stat(file.name())?,
            content: Ok(package.with(hasher.finish().1)),
        };
        // Nobody but other programs can have changed it since.
        let entry = change.list(entry).ok_or_else(|| ContentError::Changing {
            name: file.name().clone(),
            directory: root.path().to_owned(),
        })?;
        Ok(Stored { entry, created })
    }

    fn check(&self, file: &PackageFile, condition: Option<Condition>) -> Result<(), PackagesError> {
        let Some(condition) = condition else {
            return Ok(());
        };
        let found = match self.digest(file) {
            Ok(sha256) => Some(sha256),
            Err(ContentError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if condition(found.as_ref()) {
            return Ok(());
        }
        let name = file.name().clone();
        Err(ContentError::Precondition { name, found }.into())
    }

    /// The digest of what is there now.
    fn digest(&self, file: &PackageFile) -> Result<Sha256Digest, ContentError> {
        let opened = self.directories.open_file(file)?;
        let listing = self.listing();
        let known = listing
            .get(file)
            .filter(|entry| entry.file_id == opened.id());
        match known.and_then(|entry| entry.sha256()) {
            Some(sha256) => Ok(sha256),
            None => opened.sha256().map_err(|error| {
                let root = self.directories.root(file.kind());
                root.failed("read", file.name(), error)
            }),
        }
    }
}

/// Hands an upload over to [`Received`], until it ends or nobody reads it any more.
pub(super) async fn hand_over(
    body: impl Stream<Item = io::Result<Bytes>>,
    parts: mpsc::Sender<io::Result<Option<Bytes>>>,
) {
    let mut body = std::pin::pin!(body);
    loop {
        let part = body.next().await.transpose();
        let is_last = !matches!(part, Ok(Some(_)));
        if parts.send(part).await.is_err() || is_last {
            return;
        }
    }
}

/// An upload, read where waiting is allowed. `None` is its end: without it, it broke off.
pub(super) struct Received {
    parts: mpsc::Receiver<io::Result<Option<Bytes>>>,
    part: Bytes,
}

impl Received {
    pub(super) fn new(parts: mpsc::Receiver<io::Result<Option<Bytes>>>) -> Self {
        Self {
            parts,
            part: Bytes::new(),
        }
    }
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.parts.blocking_recv() {
                Some(Ok(Some(part))) => self.part = part,
                Some(Ok(None)) => return Ok(0),
                Some(Err(error)) => return Err(error),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = buffer.len().min(self.part.len());
        self.part.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
