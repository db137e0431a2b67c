//! The archive in an rpm: cpio as SVR4 has it ("newc"), or rpm's own, whose members are numbers into the header.

use std::io::{self, BufRead};

use super::RpmError;
use super::files;

/// Reads an archive from its beginning to its end.
pub(super) struct Archive<R> {
    input: R,
    /// Bytes since the beginning: all that is written begins at multiples of four.
    position: u64,
}

/// Which file of the header follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// That of this name, with so many bytes.
    Named { name: Vec<u8>, size: u64 },
    /// That of this number. The header alone knows how many bytes follow.
    Numbered(usize),
}

impl Member {
    /// How many bytes follow, if the archive says.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Named { size, .. } => Some(*size),
            Self::Numbered(_) => None,
        }
    }
}

const ALIGNMENT: u64 = 4;
const LAST: &[u8] = b"TRAILER!!!";
/// One of the header behind a dot, with a zero at its end.
const LONGEST_NAME: u64 = files::LONGEST_NAME as u64 + 2;
/// Tools fill up the last block of the archive.
const MOST_PADDING: u64 = 1 << 20;

impl<R: BufRead> Archive<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, position: 0 }
    }

    /// The next file. The content of the one before must have been read.
    pub(super) fn next(&mut self) -> Result<Option<Member>, RpmError> {
        self.align()?;
        let magic: [u8; 6] = self.bytes()?;
        let member = match &magic {
            b"07070X" => Member::Numbered(self.hexadecimal()? as usize),
            b"070701" | b"070702" => self.named()?,
            _ => return Err(damaged("a file does not begin as one of a cpio archive")),
        };
        self.align()?;
        let is_last = matches!(&member, Member::Named { name, .. } if name == LAST);
        Ok((!is_last).then_some(member))
    }

    /// Gives this much content, piece by piece.
    pub(super) fn content(
        &mut self,
        size: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), RpmError>,
    ) -> Result<(), RpmError> {
        let mut left = size;
        while left > 0 {
            let there = self.input.fill_buf().map_err(read_error)?;
            let count = left.min(there.len() as u64);
            if count == 0 {
                return Err(ends_early());
            }
            take(&there[..count as usize])?;
            self.input.consume(count as usize);
            self.position += count;
            left -= count;
        }
        Ok(())
    }

    /// Nothing but zeros follows the last file.
    pub(super) fn finish(mut self) -> Result<R, RpmError> {
        let mut padding = 0;
        loop {
            let there = self.input.fill_buf().map_err(read_error)?;
            let count = there.len();
            if count == 0 {
                return Ok(self.input);
            }
            padding += count as u64;
            if padding > MOST_PADDING || there.iter().any(|&byte| byte != 0) {
                return Err(damaged("something follows its last file"));
            }
            self.input.consume(count);
        }
    }

    fn named(&mut self) -> Result<Member, RpmError> {
        let fields: [u64; 13] = {
            let mut fields = [0; 13];
            for field in &mut fields {
                *field = self.hexadecimal()?;
            }
            fields
        };
        let [_, _, _, _, _, _, size, _, _, _, _, name_length, _] = fields;
        if name_length > LONGEST_NAME {
            return Err(damaged("the name of a file is too long"));
        }
        let mut name = Vec::new();
        self.content(name_length, |bytes| {
            name.extend_from_slice(bytes);
            Ok(())
        })?;
        if name.pop() != Some(0) {
            return Err(damaged("the name of a file does not end"));
        }
        Ok(Member::Named { name, size })
    }

    /// Eight hexadecimal digits.
    fn hexadecimal(&mut self) -> Result<u64, RpmError> {
        let digits: [u8; 8] = self.bytes()?;
        let number = digits.iter().try_fold(0, |number, &digit| {
            Some(number << 4 | u64::from(char::from(digit).to_digit(16)?))
        });
        number.ok_or_else(|| damaged("a number is not hexadecimal"))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], RpmError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(read_error)?;
        self.position += N as u64;
        Ok(bytes)
    }

    fn align(&mut self) -> Result<(), RpmError> {
        let padding = self.position.next_multiple_of(ALIGNMENT) - self.position;
        self.content(padding, |_| Ok(()))
    }
}

/// A fault of the disk is told from one of the payload by its number.
pub(super) fn read_error(error: io::Error) -> RpmError {
    if error.raw_os_error().is_some() {
        return RpmError::Read(error);
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return ends_early();
    }
    damaged(&error.to_string())
}

fn ends_early() -> RpmError {
    damaged("it ends early")
}

pub(super) fn damaged(fault: &str) -> RpmError {
    RpmError::Damaged {
        section: "payload",
        fault: fault.to_owned(),
    }
}
