//! The compressions that packages use.

use std::io::{self, BufRead, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    /// As xz was before it had checksums.
    Lzma,
    Zstd,
}

/// By what a compressed file begins with.
const MAGICS: [(&[u8], Compression); 5] = [
    (&[0x1f, 0x8b], Compression::Gzip),
    (b"BZh", Compression::Bzip2),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Compression::Xz),
    (&[0x5d, 0, 0], Compression::Lzma),
    (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
];

/// What `xz -9` needs, which is the most that a preset asks for.
const XZ_MEMORY: u64 = 80 << 20;
/// The largest window that `zstd` itself reads without being told to, 128 MiB.
const ZSTD_WINDOW_LOG: u32 = 27;

impl Compression {
    /// By the first bytes.
    pub(crate) fn of(beginning: &[u8]) -> Self {
        let found = MAGICS
            .iter()
            .find(|(magic, _)| beginning.starts_with(magic));
        found.map_or(Self::None, |&(_, compression)| compression)
    }

    /// What was compressed. It is an error if something follows that was not.
    pub(crate) fn decoder<'r>(
        self,
        compressed: impl BufRead + 'r,
    ) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Self::None => Box::new(compressed),
            Self::Gzip => Box::new(MultiGzDecoder::new(compressed)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(compressed)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Box::new(XzDecoder::new_stream(compressed, stream))
            }
            Self::Lzma => {
                let stream = Stream::new_lzma_decoder(XZ_MEMORY)?;
                Box::new(XzDecoder::new_stream(compressed, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}
