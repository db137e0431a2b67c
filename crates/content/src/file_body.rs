//! [`FileBody`]: the bytes of a file, sent as they are read.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::OpenFile;

/// How many bytes are read at once, and so wait in memory for each download. With fewer, a download costs more time;
/// with more, it gains none.
const CHUNK: u64 = 256 * 1024;

const PAGE: usize = 4096;

/// How many chunks a connection holds at once: one that is half sent, and the next.
const IN_FLIGHT: usize = 2;

/// A part of an open file that is still to be sent.
///
/// What the system has in memory is read at once. Only where that would wait for the disk, another thread reads. If
/// the file changes meanwhile, sending fails: its length was promised, and so was its `ETag`.
#[derive(Debug)]
pub struct FileBody {
    file: Arc<OpenFile>,
    left: Range<u64>,
    /// Whether to look in memory first: not on a file system that cannot tell.
    try_cache: bool,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// The last chunks that were passed on, to be filled again once they are sent.
    passed: Vec<Bytes>,
}

impl FileBody {
    /// The whole file.
    #[must_use]
    pub fn new(file: OpenFile) -> Self {
        Self {
            left: 0..file.id().size,
            file: Arc::new(file),
            try_cache: true,
            reading: None,
            passed: Vec::new(),
        }
    }

    /// How many bytes are still to be sent.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.left.end - self.left.start
    }

    /// Whether there is nothing to send any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The part of this that lies in `range`.
    #[must_use]
    pub fn slice(self, range: Range<u64>) -> Self {
        let position = |at: u64| self.left.start.saturating_add(at).min(self.left.end);
        let (start, end) = (position(range.start), position(range.end));
        Self {
            left: start.min(end)..end,
            ..self
        }
    }

    /// The next bytes, at least one; `None` after the last. Only in a Tokio runtime.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => match self.read_cached() {
                Some(chunk) => return Poll::Ready(Some(Ok(self.pass(chunk)))),
                None => self.read_elsewhere(),
            },
        };
        let Poll::Ready(outcome) = Pin::new(&mut reading).poll(context) else {
            self.reading = Some(reading);
            return Poll::Pending;
        };
        let chunk = outcome.map_err(io::Error::other).flatten();
        if let Err(error) = &chunk {
            let file = self.file.path().display();
            tracing::warn!(%file, %error, "a download is cut off");
        }
        Poll::Ready(Some(chunk.map(|chunk| self.pass(chunk))))
    }

    /// The next bytes, if they can be had without waiting. What went wrong otherwise, `read_elsewhere` tells.
    fn read_cached(&mut self) -> Option<Bytes> {
        if !self.try_cache {
            return None;
        }
        let (at, buffer) = (self.left.start, self.buffer());
        let read = chunk(buffer, |buffer| self.file.read_cached_at(buffer, at));
        self.try_cache = !matches!(&read, Err(error) if error.kind() == io::ErrorKind::Unsupported);
        read.ok()
    }

    /// The next bytes, read where waiting is allowed. If nobody wants them any more, they are dropped there.
    fn read_elsewhere(&mut self) -> JoinHandle<io::Result<Bytes>> {
        let (file, at, buffer) = (Arc::clone(&self.file), self.left.start, self.buffer());
        tokio::task::spawn_blocking(move || chunk(buffer, |buffer| file.read_at(buffer, at)))
    }

    /// The memory of a chunk that is sent, where there is one: new memory would have to be cleared.
    fn buffer(&mut self) -> BytesMut {
        let length = CHUNK.min(self.len()) as usize;
        let sent = self.passed.iter().position(Bytes::is_unique);
        let sent = sent.map(|at| self.passed.swap_remove(at));
        let Some(mut buffer) = sent.and_then(|chunk| chunk.try_into_mut().ok()) else {
            return page_aligned(length);
        };
        buffer.resize(length, 0);
        buffer
    }

    /// Counts these bytes as sent.
    fn pass(&mut self, chunk: Bytes) -> Bytes {
        self.left.start += chunk.len() as u64;
        self.passed.truncate(IN_FLIGHT - 1);
        self.passed.push(chunk.clone());
        chunk
    }
}

impl Body for FileBody {
    type Data = Bytes;
    /// The file cannot be read, or changed since its length was promised.
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = ready!(self.get_mut().poll_chunk(context));
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

/// Memory that begins where a page does. Where the system's allocator puts large memory instead, 16 bytes further on,
/// processors by AMD take twice the time to copy what they read from a file to it.
fn page_aligned(length: usize) -> BytesMut {
    let mut buffer = BytesMut::zeroed(length + PAGE);
    let to_page = buffer.as_ptr().align_offset(PAGE);
    buffer.advance(to_page.min(PAGE));
    buffer.truncate(length);
    buffer
}

/// What `read` puts into `buffer`.
fn chunk(
    mut buffer: BytesMut,
    read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<Bytes> {
    let length = read(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer.freeze())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{self, File};
    use std::path::PathBuf;

    use http_body_util::BodyExt as _;
    use tempfile::TempDir;

    use super::*;

    const LENGTH: usize = 2 * CHUNK as usize + 1000;

    /// The ways to read: memory first, or another thread always.
    const WAYS: [bool; 2] = [true, false];

    /// Bytes of which no two chunks are alike.
    fn bytes() -> Vec<u8> {
        (0..LENGTH).map(|at| (at % 251) as u8).collect()
    }

    fn file() -> (TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x");
        fs::write(&path, bytes()).unwrap();
        (home, path)
    }

    fn body(path: &std::path::Path, try_cache: bool) -> FileBody {
        FileBody {
            try_cache,
            ..FileBody::new(OpenFile::open(path).unwrap())
        }
    }

    #[tokio::test]
    async fn a_file_is_sent_in_chunks_whose_lengths_are_told_exactly() {
        let (_home, path) = file();
        for try_cache in WAYS {
            let mut body = body(&path, try_cache);
            let mut sent = Vec::new();
            while let Some(frame) = body.frame().await {
                let chunk = frame.unwrap().into_data().unwrap();
                assert!(!chunk.is_empty() && chunk.len() as u64 <= CHUNK);
                sent.extend_from_slice(&chunk);
                let left = (LENGTH - sent.len()) as u64;
                assert_eq!(body.size_hint().exact(), Some(left));
                assert_eq!(body.is_end_stream(), left == 0);
            }
            assert!(sent == bytes(), "try_cache: {try_cache}");
        }
    }

    #[tokio::test]
    async fn a_part_is_what_lies_in_its_range() {
        let (_home, path) = file();
        let whole = bytes();
        let chunk = CHUNK as usize;
        for range in [
            0..1,
            chunk - 1..chunk + 1,
            10..LENGTH,
            LENGTH - 1..LENGTH,
            7..7,
        ] {
            for try_cache in WAYS {
                let part = body(&path, try_cache).slice(range.start as u64..range.end as u64);
                assert_eq!(part.len(), range.len() as u64);
                let sent = part.collect().await.unwrap().to_bytes();
                assert!(sent == whole[range.clone()], "{range:?}");
            }
        }
        let outside = body(&path, true).slice(LENGTH as u64..u64::MAX);
        assert!(outside.is_empty());
        let part_of_part = body(&path, true).slice(10..100).slice(5..1000);
        let sent = part_of_part.collect().await.unwrap().to_bytes();
        assert!(sent == whole[15..100]);
    }

    #[tokio::test]
    async fn a_file_that_shrinks_is_an_error_and_never_a_short_body() {
        for try_cache in WAYS {
            let (_home, path) = file();
            let mut body = body(&path, try_cache);
            body.frame().await.unwrap().unwrap();
            let shrunk = File::options().write(true).open(&path).unwrap();
            shrunk.set_len(CHUNK + 10).unwrap();
            let error = body.frame().await.unwrap().unwrap_err().to_string();
            assert!(error.contains("changed while it was read"), "{error}");
        }
    }

    #[tokio::test]
    async fn memory_begins_where_a_page_does_and_is_used_again_once_it_is_sent() {
        let (_home, path) = file();
        let mut body = body(&path, false);
        let mut places = Vec::new();
        while let Some(frame) = body.frame().await {
            let chunk = frame.unwrap().into_data().unwrap();
            places.push(chunk.as_ptr().addr());
        }
        assert!(places.len() > 2);
        places.dedup();
        assert_eq!(places.len(), 1);
        assert_eq!(places[0] % PAGE, 0);
    }

    #[test]
    fn a_body_that_is_dropped_while_it_is_read_closes_its_file() {
        let (_home, path) = file();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let file = Arc::new(OpenFile::open(&path).unwrap());
        runtime.block_on(async {
            let mut body = FileBody {
                left: 0..LENGTH as u64,
                file: Arc::clone(&file),
                try_cache: false,
                ..FileBody::new(OpenFile::open(&path).unwrap())
            };
            let mut context = Context::from_waker(std::task::Waker::noop());
            let _ = body.poll_chunk(&mut context);
        });
        // Waits for the thread that reads.
        drop(runtime);
        assert_eq!(Arc::strong_count(&file), 1);
    }
}
