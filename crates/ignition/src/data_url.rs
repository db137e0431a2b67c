//! `data:` URLs, in which a config carries contents within itself.

mod decode;

pub(crate) use decode::{decode, decode_unescaped, unescape};

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, Crc, GzBuilder, write::GzEncoder};

/// Contents, as a config carries them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataUrl {
    pub(crate) source: String,
    /// Whether what the URL holds is to be decompressed.
    pub(crate) gzip: bool,
}

/// The URL with every byte escaped that has to be.
pub(crate) fn plain(contents: &[u8]) -> String {
    let mut url = String::with_capacity(escaped_length(contents) + 6);
    url.push_str("data:,");
    for &byte in contents {
        if unreserved(byte) {
            url.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            url.push('%');
            url.push(char::from(HEX[usize::from(byte >> 4)]));
            url.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    url
}

/// The shortest URL: escaped, in base64, or, if `compress`, compressed and in base64.
pub(crate) fn shortest(contents: &[u8], compress: bool) -> DataUrl {
    // What precedes the contents counts as well: `,`, `;base64,`, and `gzip` in a field beside it.
    let escaped = escaped_length(contents) + 1;
    let encoded = base64_length(contents.len()) + 8;
    let uncompressed = escaped.min(encoded);
    if compress && uncompressed > SHORTEST_GZIP {
        let compressed = gzip(contents);
        if base64_length(compressed.len()) + 8 + 4 < uncompressed {
            let source = in_base64(&compressed);
            return DataUrl { source, gzip: true };
        }
    }
    let source = match encoded < escaped {
        true => in_base64(contents),
        false => plain(contents),
    };
    DataUrl {
        source,
        gzip: false,
    }
}

/// The URL with the contents as gzip. Short ones are stored in it as they are: that takes a hundredth of the time, which
/// counts where it is done for each machine.
pub(crate) fn in_gzip(contents: &[u8]) -> String {
    match u16::try_from(contents.len()) {
        Ok(length) => in_base64(&stored_gzip(contents, length)),
        Err(_) => in_base64(&gzip(contents)),
    }
}

/// The header, the trailer and one block of gzip, in base64.
const SHORTEST_GZIP: usize = 40;

fn escaped_length(contents: &[u8]) -> usize {
    contents
        .iter()
        .map(|&byte| if unreserved(byte) { 1 } else { 3 })
        .sum()
}

fn base64_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

fn in_base64(bytes: &[u8]) -> String {
    let mut url = String::with_capacity(base64_length(bytes.len()) + 13);
    url.push_str("data:;base64,");
    STANDARD.encode_string(bytes, &mut url);
    url
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

/// A gzip of one stored block (RFC 1952, RFC 1951 section 3.2.4).
fn stored_gzip(contents: &[u8], length: u16) -> Vec<u8> {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    const LAST_AND_STORED: u8 = 1;

    let mut checksum = Crc::new();
    checksum.update(contents);
    let mut gzip = Vec::with_capacity(HEADER.len() + 5 + contents.len() + 8);
    gzip.extend_from_slice(&HEADER);
    gzip.push(LAST_AND_STORED);
    gzip.extend_from_slice(&length.to_le_bytes());
    gzip.extend_from_slice(&(!length).to_le_bytes());
    gzip.extend_from_slice(contents);
    gzip.extend_from_slice(&checksum.sum().to_le_bytes());
    gzip.extend_from_slice(&u32::from(length).to_le_bytes());
    gzip
}

/// Always the same bytes for the same contents: without a time, a name or a system in the header.
fn gzip(contents: &[u8]) -> Vec<u8> {
    let out = Vec::with_capacity(contents.len() / 2);
    let mut encoder: GzEncoder<Vec<u8>> = GzBuilder::new()
        .operating_system(255)
        .write(out, Compression::new(6));
    // A vector takes whatever is written.
    encoder.write_all(contents).expect("writing to a vector");
    encoder.finish().expect("writing to a vector")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_shortest_is_taken() {
        assert_eq!(shortest(b"cn0042", true).source, "data:,cn0042");
        assert_eq!(shortest(b"", true).source, "data:,");
        assert_eq!(shortest(&[0xFF; 6], true).source, "data:;base64,////////");
        let repetitive = shortest(&[b'a'; 200], true);
        assert!(repetitive.gzip && repetitive.source.starts_with("data:;base64,H4sI"));
        assert!(!shortest(&[b'a'; 200], false).gzip);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(contents: Vec<u8>, times in 1..2000_usize, compress: bool) {
            let contents = contents.repeat(times);
            let DataUrl { source, gzip } = shortest(&contents, compress);
            prop_assert!(source.len() <= plain(&contents).len());
            let mut held = decode(&source).unwrap().into_owned();
            if gzip {
                let compressed = std::mem::take(&mut held);
                GzDecoder::new(&compressed[..]).read_to_end(&mut held).unwrap();
            }
            prop_assert_eq!(&held, &contents);
            let stored = decode(&in_gzip(&contents)).unwrap().into_owned();
            let mut held = Vec::new();
            GzDecoder::new(&stored[..]).read_to_end(&mut held).unwrap();
            prop_assert_eq!(&held, &contents);
            let url = plain(&contents);
            prop_assert_eq!(&*decode(&url).unwrap(), &contents[..]);
        }
    }
}
