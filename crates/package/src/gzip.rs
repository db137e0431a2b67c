//! Writing gzip with several threads.
//!
//! What is written is cut into chunks of a fixed size, each compressed by itself with the end of the one before as its
//! dictionary. So the bytes do not depend on the number of threads, and cost little more than those of one.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress, Status};

const CHUNK: usize = 128 << 10;
/// Deflate's worst is nine bits for eight, and a little for each block.
const LARGEST_COMPRESSED: usize = CHUNK + CHUNK / 8 + 1024;
/// As far as deflate looks back.
const DICTIONARY: usize = 32 << 10;
/// Chunks that wait for one thread, so that it need not wait for them.
const WAITING: usize = 3;
/// Of 300 MB in 21,098 files, level 1 makes 166 MB in 4.5 seconds of one processor, level 2 makes 149 MB in 6.1, and
/// `rpm2archive`, at level 6, makes 146 MB in 10.1. A node waits for the conversion; its disk does not mind the tenth.
const LEVEL: u32 = 1;

/// Writes one gzip member.
pub(crate) struct Gzip<W> {
    output: W,
    /// Each has every n-th chunk, so that their results come in a known order.
    threads: Vec<Compressor>,
    /// What is written to.
    chunk: Chunk,
    /// Chunks that are done with. Memory that goes round costs less than new memory each time.
    spare: Vec<Chunk>,
    submitted: usize,
    collected: usize,
    checksum: Hasher,
    /// Bytes that were compressed, as the end of a member counts them.
    length: u32,
}

struct Compressor {
    chunks: SyncSender<Chunk>,
    compressed: Receiver<io::Result<Chunk>>,
}

/// What one thread compresses at once.
struct Chunk {
    /// The end of the chunk before, and what is to be compressed.
    bytes: Vec<u8>,
    /// Bytes of the former.
    dictionary: usize,
    is_last: bool,
    compressed: Vec<u8>,
    checksum: Hasher,
}

impl<W: Write> Gzip<W> {
    /// Begins a member with a comment, which must not hold a zero byte. The threads end when this is dropped.
    pub(crate) fn begin<'scope>(
        scope: &'scope Scope<'scope, '_>,
        threads: usize,
        mut output: W,
        comment: &str,
    ) -> io::Result<Self> {
        output.write_all(&header(comment))?;
        let begin = |_| {
            let (chunks, to_compress) = sync_channel(WAITING);
            // One more than can be on their way, so that no thread waits to hand over what it has.
            let (done, compressed) = sync_channel(WAITING + 1);
            thread::Builder::new()
                .name("gzip".to_owned())
                .spawn_scoped(scope, move || compress_all(&to_compress, &done))?;
            Ok(Compressor { chunks, compressed })
        };
        Ok(Self {
            output,
            threads: (0..threads.max(1)).map(begin).collect::<io::Result<_>>()?,
            chunk: Chunk::new(),
            spare: Vec::new(),
            submitted: 0,
            collected: 0,
            checksum: Hasher::new(),
            length: 0,
        })
    }

    /// Compresses what is left, and ends the member.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.submit(true)?;
        while self.collected < self.submitted {
            self.collect()?;
        }
        let checksum = self.checksum.finalize();
        self.output.write_all(&checksum.to_le_bytes())?;
        self.output.write_all(&self.length.to_le_bytes())?;
        Ok(self.output)
    }

    fn submit(&mut self, is_last: bool) -> io::Result<()> {
        while self.submitted - self.collected >= self.threads.len() * WAITING {
            self.collect()?;
        }
        let mut next = self.spare.pop().unwrap_or_else(Chunk::new);
        next.follow(&self.chunk);
        let mut chunk = std::mem::replace(&mut self.chunk, next);
        chunk.is_last = is_last;
        let thread = self.threads.get(self.submitted % self.threads.len());
        let sent = thread.map(|thread| thread.chunks.send(chunk));
        sent.and_then(Result::ok).ok_or_else(ended)?;
        self.submitted += 1;
        Ok(())
    }

    /// Writes the oldest chunk that is not written yet.
    fn collect(&mut self) -> io::Result<()> {
        let thread = self.threads.get(self.collected % self.threads.len());
        let received = thread.map(|thread| thread.compressed.recv());
        let chunk = received.and_then(Result::ok).ok_or_else(ended)??;
        self.output.write_all(&chunk.compressed)?;
        self.checksum.combine(&chunk.checksum);
        self.spare.push(chunk);
        self.collected += 1;
        Ok(())
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.chunk.room();
        let count = room.min(bytes.len());
        self.chunk.bytes.extend_from_slice(&bytes[..count]);
        self.length = self.length.wrapping_add(count as u32);
        if count == room {
            self.submit(false)?;
        }
        Ok(count)
    }

    /// Does nothing: only [`finish`](Self::finish) makes what was written readable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Chunk {
    fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(DICTIONARY + CHUNK),
            dictionary: 0,
            is_last: false,
            compressed: Vec::with_capacity(LARGEST_COMPRESSED),
            checksum: Hasher::new(),
        }
    }

    /// Begins with the end of the one before.
    fn follow(&mut self, before: &Self) {
        let end = before.bytes.len().saturating_sub(DICTIONARY);
        let end = before.bytes.get(end..).unwrap_or_default();
        self.bytes.clear();
        self.bytes.extend_from_slice(end);
        self.dictionary = end.len();
    }

    fn room(&self) -> usize {
        self.dictionary + CHUNK - self.bytes.len()
    }

    fn compress(&mut self) -> io::Result<()> {
        let (dictionary, content) = self.bytes.split_at(self.dictionary);
        // A new one each time: one that is reset still packs in the light of what it had before.
        let mut deflate = Compress::new(Compression::new(LEVEL), false);
        if !dictionary.is_empty() {
            deflate.set_dictionary(dictionary)?;
        }
        // To a byte's end, so that what the next chunk becomes can follow.
        let (flush, expected) = match self.is_last {
            true => (FlushCompress::Finish, Status::StreamEnd),
            false => (FlushCompress::Sync, Status::Ok),
        };
        self.compressed.clear();
        let status = deflate.compress_vec(content, &mut self.compressed, flush)?;
        if status != expected || self.compressed.len() == self.compressed.capacity() {
            return Err(io::Error::other("deflate made more of less"));
        }
        self.checksum = Hasher::new();
        self.checksum.update(content);
        Ok(())
    }
}

/// A thread that compresses chunks until no more come, or nobody takes them.
fn compress_all(chunks: &Receiver<Chunk>, done: &SyncSender<io::Result<Chunk>>) {
    while let Ok(mut chunk) = chunks.recv() {
        let compressed = chunk.compress();
        if done.send(compressed.map(|()| chunk)).is_err() {
            return;
        }
    }
}

/// Without a time and a system, which would make the bytes depend on when and where they are made.
fn header(comment: &str) -> Vec<u8> {
    const DEFLATE: u8 = 8;
    const HAS_COMMENT: u8 = 1 << 4;
    const UNKNOWN_SYSTEM: u8 = 255;
    let mut header = vec![
        0x1f,
        0x8b,
        DEFLATE,
        HAS_COMMENT,
        0,
        0,
        0,
        0,
        0,
        UNKNOWN_SYSTEM,
    ];
    header.extend(comment.bytes().filter(|&byte| byte != 0));
    header.push(0);
    header
}

fn ended() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(threads: usize, content: &[u8], piece: usize) -> Vec<u8> {
        thread::scope(|scope| {
            let mut gzip = Gzip::begin(scope, threads, Vec::new(), "a comment").unwrap();
            for piece in content.chunks(piece) {
                gzip.write_all(piece).unwrap();
            }
            gzip.finish().unwrap()
        })
    }

    fn numbers(length: usize) -> Vec<u8> {
        let mut content = Vec::new();
        let mut number: u32 = 0;
        while content.len() < length {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            writeln!(content, "{} {number}", content.len()).unwrap();
        }
        content.truncate(length);
        content
    }

    #[test]
    fn what_goes_in_comes_out_whatever_its_length() {
        let content = numbers(5 * CHUNK);
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK] {
            let packed = gzip(2, &content[..length], 1000);
            let mut decoder = GzDecoder::new(&packed[..]);
            let mut unpacked = Vec::new();
            decoder.read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == content[..length], "{length}");
            let header = decoder.header().unwrap();
            assert_eq!(header.comment(), Some(&b"a comment"[..]));
            assert_eq!(header.mtime(), 0);
        }
    }

    #[test]
    fn the_bytes_depend_on_nothing_but_the_content() {
        let content = numbers(20 * CHUNK + 77);
        let one = gzip(1, &content, 4096);
        for (threads, piece) in [(0, 4096), (2, 10_000), (3, 1), (9, CHUNK * 7)] {
            assert!(gzip(threads, &content, piece) == one, "{threads} {piece}");
        }
    }

    #[test]
    fn chunks_that_are_alike_are_packed_as_one_would_be() {
        let line = numbers(CHUNK / 8);
        let repeated = line.repeat(64);
        let packed = gzip(2, &repeated, CHUNK).len();
        let mut one = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
        one.write_all(&repeated).unwrap();
        let one = one.finish().unwrap().len();
        // Each chunk ends with an empty block, which brings it to a whole byte.
        assert!(packed < one + one / 50, "{packed} {one}");
    }

    #[test]
    fn one_that_is_dropped_ends_its_threads() {
        let written = thread::scope(|scope| {
            let mut gzip = Gzip::begin(scope, 3, Vec::new(), "").unwrap();
            gzip.write_all(&numbers(4 * CHUNK)).unwrap();
            gzip.submitted
        });
        assert_eq!(written, 4);
    }

    #[test]
    fn an_output_that_fails_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if bytes.len() > 100 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let result = thread::scope(|scope| {
            let mut gzip = Gzip::begin(scope, 2, Full, "")?;
            gzip.write_all(&numbers(10 * CHUNK))
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
