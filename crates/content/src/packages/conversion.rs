//! Making one tar of one rpm.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::atomic;
use std::thread;
use std::time::Instant;

use package::{Identity, Kind};
use tokio_util::sync::CancellationToken;

use super::conversions::{Conversions, Failure, Running};
use super::index::{Change, Index};
use super::listing::compare;
use super::reading::read;
use super::{Entry, Package, PackageFile};
use crate::WriteBack;
use crate::digest::Hasher;
use crate::{ContentError, OpenFile, Sha256Digest};

/// One thread unpacks, and cannot feed more than these; each takes about a megabyte.
const MOST_THREADS: usize = 4;

/// What is read and written at once.
const BUFFER: usize = 128 << 10;

/// Makes the tar of `rpm`, and removes those made of older rpms of its name. Blocks, for long.
pub(super) fn convert(
    conversions: &Conversions,
    rpm: &Entry,
    running: &Running,
) -> Result<(), Failure> {
    let index = &conversions.index;
    let package = rpm
        .package()
        .ok_or_else(|| Failure::of_head("it is broken"))?;
    let tar = tar_file(&package.identity)?;
    if is_made_already(conversions, &tar, package)? {
        return Ok(());
    }
    check_way(index, &tar)?;
    let mut source = Source::open(index, rpm, running, &conversions.closing)?;
    let root = index.directories.root(Kind::Tar);
    let temporary = root.create_temporary(tar.name())?;
    let failed = |error| Failure::from(root.failed("store", tar.name(), error));

    tracing::info!(rpm = %rpm.file, "making a tar of it");
    let began = Instant::now();
    let (bytes, sha256) = write_tar(conversions, package, &mut source, &temporary.file, failed)?;

    let change = index.change();
    check_way(index, &tar)?;
    root.publish(temporary, tar.name())?;
    let made = Entry {
        file_id: root.stat(tar.name())?,
        file: tar,
        content: Ok(Package {
            identity: package.identity.clone(),
            sha256,
            scriptlets: package.scriptlets.clone(),
            made_of: Some(package.sha256),
        }),
    };
    let seconds = began.elapsed().as_secs_f64();
    tracing::info!(rpm = %rpm.file, tar = %made.file, bytes, seconds, "made a tar of it");
    if !package.scriptlets.is_empty() {
        let scriptlets = package.scriptlets.join(" ");
        tracing::warn!(tar = %made.file, scriptlets, "no tar runs the scriptlets of the rpm");
    }
    let made = change.list(made);
    let made = made.ok_or_else(|| Failure::of_head("another program changes the tar"))?;
    remove_older(index, &change, &made, package);
    Ok(())
}

/// Writes the tar of the rpm that `source` reads, and brings it to the disk; its length and digest.
fn write_tar(
    conversions: &Conversions,
    package: &Package,
    source: &mut Source<'_>,
    file: &File,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<(u64, Sha256Digest), Failure> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(MOST_THREADS);
    let (output, converted) = thread::scope(|scope| {
        let mut output = Output::to(file, WriteBack::of(scope, file)?);
        let mut writer = BufWriter::with_capacity(BUFFER, &mut output);
        let converted = package::rpm::to_tar(
            BufReader::with_capacity(BUFFER, &mut *source),
            *package.sha256.as_bytes(),
            &mut writer,
            conversions.limits,
            threads,
        );
        // Not by dropping it, which would write once more.
        let flushed = match &converted {
            Ok(_) => writer.flush(),
            Err(_) => Ok(()),
        };
        let _ = writer.into_parts();
        let written = output.finish();
        Ok((
            written.and_then(|written| flushed.map(|()| written)),
            converted,
        ))
    })
    .map_err(&failed)?;
    // First what says nothing of the rpm.
    let written = output.map_err(&failed)?;
    if let Some(error) = source.failed.take() {
        return Err(Failure::of_head(format!("cannot read it: {error}")));
    }
    converted.map_err(|error| Failure::of_rpm(error.to_string()))?;
    file.sync_all().map_err(&failed)?;
    Ok(written)
}

/// The file of the tar made of an rpm.
pub(super) fn tar_file(rpm: &Identity) -> Result<PackageFile, Failure> {
    let (name, version, architecture) = (&rpm.name, &rpm.version, &rpm.architecture);
    let release = version
        .release()
        .map_or(String::new(), |release| format!("-{release}"));
    let file = format!(
        "{name}-{}{release}.{architecture}.tar.gz",
        version.version()
    );
    file.parse()
        .map_err(|error: crate::FileNameError| error.to_string())
        .and_then(|name| PackageFile::new(Kind::Tar, name).map_err(|error| error.to_string()))
        .map_err(Failure::of_rpm)
}

/// Whether the tar lies there, made of this very rpm just before the head was killed: such a file is not listed yet,
/// since it may still be written to for all that is known of it.
fn is_made_already(
    conversions: &Conversions,
    tar: &PackageFile,
    package: &Package,
) -> Result<bool, Failure> {
    let index = &conversions.index;
    if index.listing().get(tar).is_some() {
        return Ok(false);
    }
    let there = match read(&index.directories, tar, &conversions.closing) {
        Ok(there) => there,
        Err(ContentError::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let made_of = there.package().and_then(|tar| tar.made_of);
    Ok(made_of == Some(package.sha256) && index.change().list(there).is_some())
}

/// A file of the tar's name must be one that Pilotlight made.
fn check_way(index: &Index, tar: &PackageFile) -> Result<(), Failure> {
    let on_disk = match index.directories.stat(tar) {
        Ok(on_disk) => on_disk,
        Err(ContentError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let listing = index.listing();
    let listed = listing.get(tar).filter(|entry| entry.file_id == on_disk);
    if listed.is_some_and(|entry| is_made(entry)) {
        return Ok(());
    }
    let reason = format!("{tar} is in the way, and was not made by Pilotlight");
    Err(Failure::of_head(reason))
}

/// Removes the tars made of older rpms that the one just made replaces.
fn remove_older(index: &Index, change: &Change<'_>, made: &Entry, package: &Package) {
    let identity = &package.identity;
    let is_older = |other: &Package| {
        other.identity.architecture == identity.architecture
            && compare(Kind::Tar, &other.identity.version, &identity.version) != Ordering::Greater
    };
    for entry in index.listing().named_entries(Kind::Tar, &identity.name) {
        let is_replaced = entry.file != made.file
            && is_made(entry)
            && entry.package().is_some_and(is_older)
            && index
                .directories
                .stat(&entry.file)
                .is_ok_and(|on_disk| on_disk == entry.file_id);
        if !is_replaced {
            continue;
        }
        match index.directories.root(Kind::Tar).delete(entry.file.name()) {
            Ok(()) => tracing::info!(tar = %entry.file, by = %made.file, "replaced"),
            Err(error) => tracing::warn!(%error, "a tar of an older rpm stays"),
        }
        change.check(&entry.file);
    }
}

fn is_made(tar: &Entry) -> bool {
    tar.package()
        .is_some_and(|package| package.made_of.is_some())
}

/// The rpm, as long as it is the one that was asked for and this head is not shutting down.
struct Source<'a> {
    file: OpenFile,
    at: u64,
    running: &'a Running,
    closing: &'a CancellationToken,
    /// Why it could not be read, which says nothing of the rpm.
    failed: Option<String>,
}

impl<'a> Source<'a> {
    fn open(
        index: &Index,
        rpm: &Entry,
        running: &'a Running,
        closing: &'a CancellationToken,
    ) -> Result<Self, Failure> {
        let file = index.directories.open_file(&rpm.file)?;
        if file.id() != rpm.file_id {
            return Err(Failure::of_head("it changed"));
        }
        Ok(Self {
            file,
            at: 0,
            running,
            closing,
            failed: None,
        })
    }

    fn read_on(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.closing.is_cancelled() {
            return Err(io::Error::other("this head is shutting down"));
        }
        if self.at >= self.file.id().size || buffer.is_empty() {
            return Ok(0);
        }
        self.file.read_at(buffer, self.at)
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self
            .read_on(buffer)
            .inspect_err(|error| self.failed = Some(error.to_string()))?;
        self.at += length as u64;
        let read = &self.running.read;
        read.fetch_max(self.at, atomic::Ordering::Relaxed);
        Ok(length)
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.id().size.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The tar, hashed as it is written.
struct Output<'scope> {
    file: &'scope File,
    hasher: Hasher,
    write_back: WriteBack<'scope>,
    /// Why it could not be written.
    failed: Option<io::Error>,
}

impl<'scope> Output<'scope> {
    fn to(file: &'scope File, write_back: WriteBack<'scope>) -> Self {
        Self {
            file,
            hasher: Hasher::default(),
            write_back,
            failed: None,
        }
    }

    /// The length and digest of what was written.
    fn finish(self) -> io::Result<(u64, Sha256Digest)> {
        let synced = self.write_back.finish();
        self.failed.map_or(synced, Err)?;
        Ok(self.hasher.finish())
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.file.write(bytes) {
            Ok(length) => {
                self.hasher.write_all(&bytes[..length])?;
                self.write_back.wrote(length);
                Ok(length)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
