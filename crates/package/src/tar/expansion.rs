//! A small archive that unpacks without end is stopped.

use std::cell::Cell;
use std::io::{self, Read};

use crate::rpm::Limits;

/// Gzip comes to 1032 bytes for one, also in tars made of rpms: only what is beyond that is an attack.
const LIMITS: Limits = Limits {
    ratio: 1100,
    ..Limits::DEFAULT
};

/// What is read of an archive, and how much that was until now.
pub(super) struct Packed<'c, R> {
    archive: R,
    count: &'c Cell<u64>,
}

/// What an archive unpacks to: an error once it is too much for what was read of it.
pub(super) struct Unpacked<'c, R> {
    decoder: R,
    count: u64,
    packed: &'c Cell<u64>,
}

impl<'c, R> Packed<'c, R> {
    pub(super) fn new(archive: R, count: &'c Cell<u64>) -> Self {
        Self { archive, count }
    }
}

impl<'c, R> Unpacked<'c, R> {
    pub(super) fn new(decoder: R, packed: &'c Cell<u64>) -> Self {
        Self {
            decoder,
            count: 0,
            packed,
        }
    }
}

impl<R: Read> Read for Packed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.archive.read(buffer)?;
        self.count.update(|before| before + count as u64);
        Ok(count)
    }
}

impl<R: Read> Read for Unpacked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.count += count as u64;
        let checked = LIMITS.check_unpacked(self.count, self.packed.get());
        checked.map_err(io::Error::other)?;
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::member::{END, Member, MemberKind};
    use super::super::{TarError, read};
    use super::*;
    use crate::rpm::Excess;

    fn zeros(size: u64) -> impl Read {
        let member = Member {
            name: b"zeros",
            kind: MemberKind::Regular { size },
            permissions: 0o644,
            mtime: 0,
            user: b"root",
            group: b"root",
            capabilities: None,
        };
        let header = io::Cursor::new(member.header());
        header.chain(io::repeat(0).take(size)).chain(&END[..])
    }

    fn zstd(archive: impl Read) -> Vec<u8> {
        zstd::encode_all(archive, 1).unwrap()
    }

    #[test]
    fn a_bomb_is_stopped() {
        let bomb = zstd(zeros(256 << 20));
        let read_bomb = read(&bomb[..], "bomb-1.tar.zst");
        let Err(TarError::TooLarge(Excess::Ratio { unpacked, .. })) = read_bomb else {
            panic!("{read_bomb:?}");
        };
        assert!(unpacked < 128 << 20, "{unpacked}");
    }

    #[test]
    fn a_bomb_behind_the_end_is_stopped() {
        let behind = |size| zstd(zeros(512).chain(io::repeat(0).take(size)));
        read(&behind(10 << 10)[..], "padded-1.tar.zst").unwrap();
        let bomb = read(&behind(2 << 20)[..], "bomb-1.tar.zst");
        let Err(TarError::Damaged(fault)) = bomb else {
            panic!("{bomb:?}");
        };
        assert!(fault.contains("follows its end"), "{fault}");
    }

    #[test]
    fn what_gzip_makes_of_zeros_is_no_bomb() {
        let mut packed = Vec::new();
        let level = flate2::Compression::best();
        let mut gzip = flate2::read::GzEncoder::new(zeros(80 << 20), level);
        gzip.read_to_end(&mut packed).unwrap();
        read(&packed[..], "zeros-1.tar.gz").unwrap();
    }
}
