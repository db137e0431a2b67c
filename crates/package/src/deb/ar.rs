//! `ar` archives: members one after the other, each behind a header of 60 characters.

use std::io::{self, Read};

use super::DebError;

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// An archive that is read from the front. What is read from it is the content of the present member.
pub(super) struct Ar<R> {
    archive: R,
    /// How much of the present member has not been read.
    left: u64,
    /// Whether a byte follows it that begins the next member at an even place.
    is_padded: bool,
}

impl<R: Read> Ar<R> {
    pub(super) fn open(mut archive: R) -> Result<Self, DebError> {
        let mut magic = Vec::new();
        (&mut archive)
            .take(MAGIC.len() as u64)
            .read_to_end(&mut magic)?;
        if magic == MAGIC {
            return Ok(Self {
                archive,
                left: 0,
                is_padded: false,
            });
        }
        Err(if MAGIC.starts_with(&magic) {
            DebError::Truncated("within its first bytes")
        } else {
            DebError::NotDeb
        })
    }

    /// Goes on to the next member, if there is one, and gives its name. The present one must have been
    /// [skipped](Self::skip).
    pub(super) fn next(&mut self) -> Result<Option<String>, DebError> {
        let mut header = Vec::with_capacity(HEADER);
        // Not all that write archives pad the last member, and nothing is lost with that byte.
        let padding = u64::from(self.is_padded);
        io::copy(&mut (&mut self.archive).take(padding), &mut io::sink())?;
        (&mut self.archive)
            .take(HEADER as u64)
            .read_to_end(&mut header)?;
        if header.is_empty() {
            return Ok(None);
        }
        let Some((name, size)) = <&[u8; HEADER]>::try_from(header.as_slice())
            .map_err(|_| DebError::Truncated("within the header of a member"))
            .map(parse_header)?
        else {
            let message = "what should be the header of a member is none".to_owned();
            return Err(DebError::Damaged(message));
        };
        self.left = size;
        self.is_padded = size % 2 == 1;
        Ok(Some(name))
    }

    /// Reads what is left of the present member. If there is less than its header promises, `within` says what was cut.
    pub(super) fn skip(&mut self, within: &'static str) -> Result<(), DebError> {
        io::copy(self, &mut io::sink())?;
        if self.left > 0 {
            return Err(DebError::Truncated(within));
        }
        Ok(())
    }
}

/// Name and size of a member: `name[16] mtime[12] uid[6] gid[6] mode[8] size[10]`, filled up with spaces, and a magic.
fn parse_header(header: &[u8; HEADER]) -> Option<(String, u64)> {
    let header = str::from_utf8(header).ok()?;
    let name = header.get(..16)?.trim_end_matches(' ');
    let size = header.get(48..58)?.trim_end_matches(' ');
    let is_number = size.bytes().all(|byte| byte.is_ascii_digit());
    let is_header = is_number && header.ends_with("`\n");
    // Some end names in a slash.
    let name = name.strip_suffix('/').unwrap_or(name);
    is_header
        .then(|| size.parse().ok())
        .flatten()
        .map(|size| (name.to_owned(), size))
}

impl<R: Read> Read for Ar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (&mut self.archive).take(self.left).read(buffer)?;
        self.left -= length as u64;
        Ok(length)
    }
}
