//! Whether a tar is whole: members follow each other up to its end.

use std::io::{self, Read};

use super::TarError;
use super::member::{BLOCK, field};

/// More than any tool writes of what it has to say of a member.
const LARGEST_RECORDS: u64 = 1 << 20;
/// As large as tools' blocks are made.
const MOST_PADDING: u64 = 1 << 20;

/// Reads a tar to its end.
pub(super) fn check(mut tar: impl Read) -> Result<(), TarError> {
    let mut is_first = true;
    // What pax records say of the size of the next member.
    let mut said_size = None;
    loop {
        let block = block(&mut tar)?;
        if block.iter().all(|&byte| byte == 0) {
            // Tools fill up to what tapes had as blocks; and compression has checksums at its end.
            let mut rest = tar.take(MOST_PADDING + 1);
            let padding = io::copy(&mut rest, &mut io::sink()).map_err(fault)?;
            return match padding > MOST_PADDING {
                true => Err(TarError::Damaged("too much follows its end".to_owned())),
                false => Ok(()),
            };
        }
        if !has_checksum(&block) {
            return Err(match is_first {
                true => TarError::NotTar,
                false => TarError::Damaged("a member does not begin as one".to_owned()),
            });
        }
        is_first = false;
        let size = number(&block[field::SIZE]);
        let size = size.ok_or_else(|| TarError::Damaged("a member has no size".to_owned()))?;
        match block[field::TYPE] {
            b'x' => said_size = pax_size(&content(&mut tar, size)?),
            b'g' | b'L' | b'K' => skip(&mut tar, size)?,
            b'S' => {
                skip_sparse_map(&mut tar, &block)?;
                skip(&mut tar, size)?;
            }
            // Links, directories and devices: some tools give the size of what a hard link is to.
            b'1'..=b'6' => said_size = None,
            _ => skip(&mut tar, said_size.take().unwrap_or(size))?,
        }
    }
}

fn block(tar: &mut impl Read) -> Result<[u8; BLOCK], TarError> {
    let mut block = [0; BLOCK];
    tar.read_exact(&mut block).map_err(fault)?;
    Ok(block)
}

/// The content of a member, and what fills it up.
fn skip(tar: &mut impl Read, size: u64) -> Result<(), TarError> {
    let blocks = size.checked_next_multiple_of(BLOCK as u64);
    let blocks = blocks.ok_or_else(|| TarError::Damaged("a member has no end".to_owned()))?;
    let skipped = io::copy(&mut tar.take(blocks), &mut io::sink()).map_err(fault)?;
    if skipped < blocks {
        return Err(TarError::Truncated);
    }
    Ok(())
}

fn content(tar: &mut impl Read, size: u64) -> Result<Vec<u8>, TarError> {
    if size > LARGEST_RECORDS {
        return Err(TarError::Damaged("pax records without end".to_owned()));
    }
    let mut content = vec![0; size.next_multiple_of(BLOCK as u64) as usize];
    tar.read_exact(&mut content).map_err(fault)?;
    content.truncate(size as usize);
    Ok(content)
}

/// GNU tar's older way to say where the holes of a file are: more blocks while the one before says so.
fn skip_sparse_map(tar: &mut impl Read, header: &[u8; BLOCK]) -> Result<(), TarError> {
    const CONTINUES_IN_HEADER: usize = 482;
    const CONTINUES: usize = 504;
    let mut continues = header[CONTINUES_IN_HEADER] != 0;
    while continues {
        continues = block(tar)?[CONTINUES] != 0;
    }
    Ok(())
}

/// Records are `LENGTH KEY=VALUE` and a line feed.
fn pax_size(records: &[u8]) -> Option<u64> {
    let mut rest = records;
    let mut size = None;
    while !rest.is_empty() {
        let space = rest.iter().position(|&byte| byte == b' ')?;
        let length: usize = str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
        let record = rest.get(space + 1..length)?.strip_suffix(b"\n")?;
        if let Some(value) = record.strip_prefix(b"size=") {
            size = Some(str::from_utf8(value).ok()?.parse().ok()?);
        }
        rest = &rest[length..];
    }
    size
}

/// The sum of all bytes, those of itself counted as spaces. Old tools took bytes for signed.
fn has_checksum(block: &[u8; BLOCK]) -> bool {
    let mut bytes = *block;
    bytes[field::CHECKSUM].fill(b' ');
    let sum: u64 = bytes.iter().map(|&byte| u64::from(byte)).sum();
    let signed: i64 = bytes
        .iter()
        .map(|&byte| i64::from(byte.cast_signed()))
        .sum();
    let said = number(&block[field::CHECKSUM]);
    said.is_some_and(|said| said == sum || said.cast_signed() == signed)
}

/// Octal digits between spaces and zeros, or a binary number behind a first bit that no digit has.
fn number(field: &[u8]) -> Option<u64> {
    let (&first, rest) = field.split_first()?;
    if first == 0x80 {
        let (high, low) = rest.split_at(rest.len().checked_sub(8)?);
        let number = low
            .iter()
            .fold(0, |number, &byte| number << 8 | u64::from(byte));
        return high.iter().all(|&byte| byte == 0).then_some(number);
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let begin = field
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(field.len());
    let digits = field[begin..].split(|byte| is_blank(byte)).next()?;
    let text = str::from_utf8(digits).ok()?;
    if text.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(text, 8).ok()
}

fn fault(error: io::Error) -> TarError {
    let error = match error.downcast() {
        Ok(excess) => return TarError::TooLarge(excess),
        Err(error) => error,
    };
    match error.kind() {
        _ if error.raw_os_error().is_some() => TarError::Read(error),
        io::ErrorKind::UnexpectedEof => TarError::Truncated,
        _ => TarError::Damaged(error.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::member::{END, Member, MemberKind, padding};
    use super::*;

    fn member(name: &[u8], size: u64) -> Vec<u8> {
        let member = Member {
            name,
            kind: MemberKind::Regular { size },
            permissions: 0o644,
            mtime: 0,
            user: b"root",
            group: b"root",
            capabilities: None,
        };
        member.header()
    }

    fn archive() -> Vec<u8> {
        let long = member(&[b'n'; 300], 3);
        [
            &member(b"a", 5)[..],
            b"12345",
            padding(5),
            &long,
            b"123",
            padding(3),
            &END,
        ]
        .concat()
    }

    #[test]
    fn a_whole_archive_is_whole_and_no_less() {
        let archive = archive();
        check(&archive[..]).unwrap();
        check(&[&archive[..], &[0; 9000]].concat()[..]).unwrap();
        // The second of the two blocks at the end is not missed.
        for length in 0..=archive.len() - END.len() {
            let cut = check(&archive[..length]);
            assert!(matches!(cut, Err(TarError::Truncated)), "{length}: {cut:?}");
        }
    }

    #[test]
    fn what_is_no_archive_is_told_from_a_damaged_one() {
        assert!(matches!(check(&[b'x'; 2048][..]), Err(TarError::NotTar)));
        let mut damaged = archive();
        damaged[1024] ^= 1;
        assert!(matches!(check(&damaged[..]), Err(TarError::Damaged(_))));
    }

    #[test]
    fn sizes_beyond_octal_digits_are_in_a_pax_record() {
        let size = 9_000_000_000;
        let header = member(b"large", size);
        let content = io::repeat(b'x').take(size.next_multiple_of(BLOCK as u64) - 512);
        // Reading it all takes seconds; that it is asked for is enough.
        let short = check((&header[..]).chain(content.take(1 << 20)));
        assert!(matches!(short, Err(TarError::Truncated)));
        assert_eq!(pax_size(b"19 size=9000000000\n"), Some(size));
        assert_eq!(pax_size(b"9 size=9000000000\n"), None);
        assert_eq!(pax_size(b"99999 size=1\n"), None);
    }

    #[test]
    fn numbers_are_octal_or_binary() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(1 << 33)),
            (b"\x80\x01\0\0\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff", None),
            (b"98765", None),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }
}
