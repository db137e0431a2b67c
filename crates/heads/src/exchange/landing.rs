//! [`Landing`]: a file that arrives: written and hashed by two threads while the next bytes are on their way.

use std::fs::{File, FileTimes};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use content::{PartialFile, WriteBack};
use model::{FileContent, Sha256Digest};
use rustix::fs::FallocateFlags;
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::puller::LARGE;

/// How many bytes are written and hashed at once.
pub(super) const PIECE: usize = 256 * 1024;
/// How many pieces may wait for the disk or the processor.
const QUEUE: usize = 8;

/// `RWF_DONTCACHE` of recent kernels (pwritev2(2)): what is written begins to go to the disk at once and then leaves the
/// cache, where what nodes are being sent stays. The memory that it leaves takes the next bytes.
const UNCACHED: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// A file that arrives.
pub(super) struct Landing {
    partial: Arc<PartialFile>,
    received: u64,
    /// The next piece, as far as it is there.
    gathered: Vec<Bytes>,
    writer: mpsc::Sender<Piece>,
    hasher: mpsc::Sender<Piece>,
    writing: JoinHandle<io::Result<()>>,
    hashing: JoinHandle<io::Result<Sha256Digest>>,
}

/// What is next for the threads. If there is none and no end, the rest is to arrive another time.
#[derive(Clone)]
enum Piece {
    Bytes(Arc<[Bytes]>),
    End,
}

impl Landing {
    /// Goes on with what there is of the file. Where somebody waits for it, it stays in the cache.
    pub(super) async fn begin(
        partial: PartialFile,
        content: FileContent,
        is_awaited: bool,
    ) -> io::Result<Self> {
        let partial = Arc::new(partial);
        let file = Arc::clone(&partial);
        let begin = move || begin(file.file(), &content);
        let received = spawn_blocking(begin).await??;
        let (writer, to_write) = mpsc::channel(QUEUE);
        let (hasher, to_hash) = mpsc::channel(QUEUE);
        let (written, hashed) = (Arc::clone(&partial), Arc::clone(&partial));
        Ok(Self {
            partial,
            received,
            gathered: Vec::new(),
            writer,
            hasher,
            writing: spawn_blocking(move || {
                write(written.file(), received, to_write, &content, is_awaited)
            }),
            hashing: spawn_blocking(move || hash(hashed.file(), received, to_hash)),
        })
    }

    /// How many bytes are there or on their way to the disk.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes. Waits while the disk or the processor is behind.
    ///
    /// # Errors
    /// The disk does not take what came before.
    pub(super) async fn take(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            // A piece ends where a page does: one that is written in two parts may have left the cache in between.
            let room = PIECE - (self.received % PIECE as u64) as usize;
            let next = bytes.split_to(room.min(bytes.len()));
            self.received += next.len() as u64;
            self.gathered.push(next);
            if self.received.is_multiple_of(PIECE as u64) {
                self.pass_on().await?;
            }
        }
        Ok(())
    }

    /// Verifies what arrived and makes it durable.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) async fn finish(mut self) -> io::Result<(PartialFile, Sha256Digest)> {
        self.pass_on().await?;
        // One that ended before has failed, and says why.
        let _ = self.writer.send(Piece::End).await;
        let _ = self.hasher.send(Piece::End).await;
        self.end().await
    }

    /// Stops; what the threads have got stays for another time. The rest may have a gap, if taking it was given up.
    pub(super) async fn stop(self) -> io::Result<PartialFile> {
        self.end().await.map(|(partial, _)| partial)
    }

    async fn end(self) -> io::Result<(PartialFile, Sha256Digest)> {
        drop((self.writer, self.hasher));
        let (written, hashed) = tokio::join!(self.writing, self.hashing);
        written??;
        let sha256 = hashed??;
        let partial = Arc::into_inner(self.partial);
        // The threads have ended, and with them their shares of the file.
        let partial = partial.ok_or_else(|| io::Error::other("the file is in use still"))?;
        Ok((partial, sha256))
    }

    async fn pass_on(&mut self) -> io::Result<()> {
        let piece = Piece::Bytes(std::mem::take(&mut self.gathered).into());
        let hashed = self.hasher.send(piece.clone()).await;
        let written = self.writer.send(piece).await;
        if hashed.is_ok() && written.is_ok() {
            return Ok(());
        }
        // It has failed, and says why.
        let ended = if written.is_err() {
            (&mut self.writing).await?
        } else {
            (&mut self.hashing).await?.map(drop)
        };
        ended.and_then(|()| Err(io::Error::other("storing ended early")))
    }
}

/// Reserves the room that the file needs: how many bytes of it are there.
fn begin(file: &File, content: &FileContent) -> io::Result<u64> {
    let size = file.metadata()?.len();
    if size > content.size {
        // Not ours, or damaged: nothing of it is to be trusted.
        file.set_len(0)?;
        return Ok(0);
    }
    if content.size >= LARGE {
        let flags = FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(file, flags, 0, content.size) {
            // Where there is no such call, the writer will find out.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(size)
}

fn write(
    file: &File,
    at: u64,
    mut pieces: mpsc::Receiver<Piece>,
    content: &FileContent,
    is_awaited: bool,
) -> io::Result<()> {
    let is_whole = thread::scope(|scope| {
        let mut output = Output {
            scope,
            file,
            at,
            way: Way::Cached,
        };
        match (content.size >= LARGE, is_awaited) {
            (true, true) => output.sync_meanwhile()?,
            (true, false) => output.way = Way::Uncached,
            (false, _) => {}
        }
        let is_whole = loop {
            match pieces.blocking_recv() {
                Some(Piece::Bytes(bytes)) => output.write(&bytes)?,
                Some(Piece::End) => break true,
                None => break false,
            }
        };
        if let Way::Synced(write_back) = output.way {
            write_back.finish()?;
        }
        Ok::<_, io::Error>(is_whole)
    })?;
    if is_whole {
        file.set_permissions(std::fs::Permissions::from_mode(content.mode & 0o7777))?;
        file.set_times(FileTimes::new().set_modified(time(content.mtime)))?;
        file.sync_all()?;
    }
    Ok(())
}

/// The file, as it is written.
struct Output<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    file: &'scope File,
    /// Where the next bytes belong.
    at: u64,
    way: Way<'scope>,
}

/// How what is written gets to the disk.
enum Way<'scope> {
    /// When the system likes, or with the sync at the end: the file is small.
    Cached,
    /// By syncs while it is written; it stays in the cache.
    Synced(WriteBack<'scope>),
    /// See [`UNCACHED`].
    Uncached,
}

impl Output<'_, '_> {
    fn write(&mut self, bytes: &[Bytes]) -> io::Result<()> {
        let written = match self.try_write(bytes) {
            Err(error) if matches!(self.way, Way::Uncached) && is_unsupported(&error) => {
                self.sync_meanwhile()?;
                self.try_write(bytes)?
            }
            written => written?,
        };
        self.at += written as u64;
        if let Way::Synced(write_back) = &mut self.way {
            write_back.wrote(written);
        }
        Ok(())
    }

    fn sync_meanwhile(&mut self) -> io::Result<()> {
        self.way = Way::Synced(WriteBack::of(self.scope, self.file)?);
        Ok(())
    }

    /// Writes all of `bytes`: how many.
    fn try_write(&self, bytes: &[Bytes]) -> io::Result<usize> {
        let flags = match self.way {
            Way::Uncached => UNCACHED,
            Way::Cached | Way::Synced(_) => ReadWriteFlags::empty(),
        };
        let mut slices: Vec<_> = bytes.iter().map(|bytes| IoSlice::new(bytes)).collect();
        let mut left = &mut slices[..];
        let mut written = 0;
        while !left.is_empty() {
            match pwritev2(self.file, left, self.at + written as u64, flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    written += count;
                    IoSlice::advance_slices(&mut left, count);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(written)
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error())
}

/// The digest of what is on disk already and of the pieces that follow.
fn hash(file: &File, on_disk: u64, mut pieces: mpsc::Receiver<Piece>) -> io::Result<Sha256Digest> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; if on_disk > 0 { PIECE } else { 0 }];
    let mut at = 0;
    while at < on_disk && !pieces.is_closed() {
        let length = buffer
            .len()
            .min(usize::try_from(on_disk - at).unwrap_or(usize::MAX));
        file.read_exact_at(&mut buffer[..length], at)?;
        sha256.update(&buffer[..length]);
        at += length as u64;
    }
    drop(buffer);
    while let Some(Piece::Bytes(bytes)) = pieces.blocking_recv() {
        for bytes in bytes.iter() {
            sha256.update(bytes);
        }
    }
    Ok(Sha256Digest::from(<[u8; 32]>::from(sha256.finalize())))
}

/// The time so many nanoseconds after 1970, or before it.
fn time(nanoseconds: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    let time = if nanoseconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_large_file_is_written_where_none_can_leave_the_cache() {
        // What is on a tmpfs is nowhere else.
        let mut file = tempfile::tempfile_in("/dev/shm").unwrap();
        let pieces = [Bytes::from("abc"), Bytes::new(), Bytes::from("d")];
        thread::scope(|scope| {
            let mut output = Output {
                scope,
                file: &file,
                at: 0,
                way: Way::Uncached,
            };
            output.write(&pieces).unwrap();
            output.write(&pieces).unwrap();
            let Way::Synced(write_back) = output.way else {
                panic!("nothing brings it to the disk");
            };
            write_back.finish().unwrap();
        });
        let mut found = String::new();
        file.read_to_string(&mut found).unwrap();
        assert_eq!(found, "abcdabcd");
    }
}
