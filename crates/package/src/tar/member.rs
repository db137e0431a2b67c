//! What a tar has before the content of a member.
//!
//! Names that are too long for the header of old (ustar) go into a member of their own before it, as GNU tar writes
//! them: busybox reads that and not pax records, everything else reads both. What only pax can say, capabilities and sizes
//! from 8 GiB on, goes into pax records.

/// A file, or anything else in a tar.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    /// From the root on, without a slash at its beginning or end.
    pub(crate) name: &'a [u8],
    pub(crate) kind: MemberKind<'a>,
    pub(crate) permissions: u32,
    /// Seconds since 1970.
    pub(crate) mtime: u64,
    pub(crate) user: &'a [u8],
    pub(crate) group: &'a [u8],
    /// As the kernel keeps them with a file.
    pub(crate) capabilities: Option<&'a [u8]>,
}

/// What a member is.
#[derive(Clone, Copy)]
pub(crate) enum MemberKind<'a> {
    /// A file whose content follows, filled up with [`padding`].
    Regular {
        size: u64,
    },
    /// Another name of the member of this name.
    HardLink(&'a [u8]),
    Symlink(&'a [u8]),
    Directory,
    CharacterDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
}

pub(crate) const BLOCK: usize = 512;

/// What a tar ends with.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The zeros that follow content of this size.
pub(crate) fn padding(size: u64) -> &'static [u8] {
    let beyond = (size % BLOCK as u64) as usize;
    &END[..(BLOCK - beyond) % BLOCK]
}

/// The fields of a ustar header, by their places in it.
pub(super) mod field {
    use std::ops::Range;

    pub(in crate::tar) const NAME: Range<usize> = 0..100;
    pub(in crate::tar) const MODE: Range<usize> = 100..108;
    pub(in crate::tar) const UID: Range<usize> = 108..116;
    pub(in crate::tar) const GID: Range<usize> = 116..124;
    pub(in crate::tar) const SIZE: Range<usize> = 124..136;
    pub(in crate::tar) const MTIME: Range<usize> = 136..148;
    pub(in crate::tar) const CHECKSUM: Range<usize> = 148..156;
    pub(in crate::tar) const TYPE: usize = 156;
    pub(in crate::tar) const LINK: Range<usize> = 157..257;
    pub(in crate::tar) const MAGIC_AND_VERSION: Range<usize> = 257..265;
    pub(in crate::tar) const USER: Range<usize> = 265..297;
    pub(in crate::tar) const GROUP: Range<usize> = 297..329;
    pub(in crate::tar) const MAJOR: Range<usize> = 329..337;
    pub(in crate::tar) const MINOR: Range<usize> = 337..345;
    pub(in crate::tar) const PREFIX: Range<usize> = 345..500;
}

const PAX: u8 = b'x';
const LONG_NAME: u8 = b'L';
const LONG_LINK: u8 = b'K';
/// What twelve octal digits, of which the last is none, cannot say.
const TOO_LARGE: u64 = 1 << 33;

impl Member<'_> {
    /// Everything that is before its content.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut blocks = Vec::with_capacity(BLOCK);
        self.write_pax_records(&mut blocks);
        let mut header = Header::new(self.kind.letter());
        let mut name = self.name.to_vec();
        if matches!(self.kind, MemberKind::Directory) {
            name.push(b'/');
        }
        match split(&name) {
            Some((prefix, name)) => {
                header.text(field::PREFIX, prefix);
                header.text(field::NAME, name);
            }
            None => {
                write_long(&mut blocks, LONG_NAME, &name);
                header.text(field::NAME, &name);
            }
        }
        if let MemberKind::HardLink(target) | MemberKind::Symlink(target) = self.kind {
            if target.len() > field::LINK.len() {
                write_long(&mut blocks, LONG_LINK, target);
            }
            header.text(field::LINK, target);
        }
        header.octal(field::MODE, self.permissions.into());
        header.octal(
            field::SIZE,
            Some(self.kind.size())
                .filter(|&size| size < TOO_LARGE)
                .unwrap_or(0),
        );
        header.octal(field::MTIME, self.mtime);
        // A name that does not fit is in a pax record; half of one would be somebody else's.
        header.text(field::USER, whole_owner(self.user).unwrap_or_default());
        header.text(field::GROUP, whole_owner(self.group).unwrap_or_default());
        if let MemberKind::CharacterDevice { major, minor }
        | MemberKind::BlockDevice { major, minor } = self.kind
        {
            header.octal(field::MAJOR, major.into());
            header.octal(field::MINOR, minor.into());
        }
        blocks.extend(header.sealed());
        blocks
    }

    fn write_pax_records(&self, blocks: &mut Vec<u8>) {
        let size = self.kind.size();
        let size = (size >= TOO_LARGE).then(|| size.to_string());
        let records = [
            ("size", size.as_ref().map(String::as_bytes)),
            (
                "uname",
                Some(self.user).filter(|user| whole_owner(user).is_none()),
            ),
            (
                "gname",
                Some(self.group).filter(|group| whole_owner(group).is_none()),
            ),
            ("SCHILY.xattr.security.capability", self.capabilities),
        ];
        let there = records
            .iter()
            .filter_map(|&(key, value)| Some(pax_record(key, value?)));
        let records = there.collect::<Vec<_>>().concat();
        if !records.is_empty() {
            write_extension(blocks, PAX, b"././@PaxHeader", &records);
        }
    }
}

impl MemberKind<'_> {
    fn letter(&self) -> u8 {
        match self {
            Self::Regular { .. } => b'0',
            Self::HardLink(_) => b'1',
            Self::Symlink(_) => b'2',
            Self::CharacterDevice { .. } => b'3',
            Self::BlockDevice { .. } => b'4',
            Self::Directory => b'5',
            Self::Fifo => b'6',
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Regular { size } => *size,
            _ => 0,
        }
    }
}

struct Header([u8; BLOCK]);

impl Header {
    fn new(letter: u8) -> Self {
        let mut header = Self([0; BLOCK]);
        header.0[field::TYPE] = letter;
        header.text(field::MAGIC_AND_VERSION, b"ustar\x0000");
        header.octal(field::UID, 0);
        header.octal(field::GID, 0);
        header
    }

    /// As much of it as the field takes.
    fn text(&mut self, field: std::ops::Range<usize>, text: &[u8]) {
        let length = text.len().min(field.len());
        self.0[field][..length].copy_from_slice(&text[..length]);
    }

    /// Octal digits and a zero byte; as large as it gets where they do not suffice.
    fn octal(&mut self, field: std::ops::Range<usize>, number: u64) {
        let digits = field.len() - 1;
        let number = number.min((1 << (3 * digits)) - 1);
        self.text(field, format!("{number:0digits$o}").as_bytes());
    }

    /// The sum of all bytes, those of itself counted as spaces.
    fn sealed(mut self) -> [u8; BLOCK] {
        self.0[field::CHECKSUM].fill(b' ');
        let sum: u32 = self.0.iter().map(|&byte| u32::from(byte)).sum();
        self.text(field::CHECKSUM, format!("{sum:06o}\0").as_bytes());
        self.0
    }
}

/// Into prefix and name, at a slash that belongs to neither. Nothing if no slash makes both fit.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= field::NAME.len() {
        return Some((&[], name));
    }
    let slashes = name.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
    let mut halves = slashes.map(|(slash, _)| (&name[..slash], &name[slash + 1..]));
    halves.find(|(prefix, rest)| {
        let fits = prefix.len() <= field::PREFIX.len() && rest.len() <= field::NAME.len();
        fits && !prefix.is_empty() && !rest.is_empty()
    })
}

/// The name of a user or group if the field takes it and the zero byte after it.
fn whole_owner(name: &[u8]) -> Option<&[u8]> {
    (name.len() < field::USER.len()).then_some(name)
}

fn write_long(blocks: &mut Vec<u8>, letter: u8, name: &[u8]) {
    write_extension(blocks, letter, b"././@LongLink", &[name, b"\0"].concat());
}

/// A member that says something of the next one.
fn write_extension(blocks: &mut Vec<u8>, letter: u8, name: &[u8], content: &[u8]) {
    let mut header = Header::new(letter);
    let size = content.len() as u64;
    header.text(field::NAME, name);
    header.octal(field::MODE, 0o644);
    header.octal(field::SIZE, size);
    header.octal(field::MTIME, 0);
    blocks.extend(header.sealed());
    blocks.extend(content);
    blocks.extend(padding(size));
}

/// A record begins with its own length, the digits of that counted too.
fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let without_length = key.len() + value.len() + " =\n".len();
    let mut length = without_length;
    while length != without_length + length.to_string().len() {
        length = without_length + length.to_string().len();
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn member<'a>(name: &'a [u8], kind: MemberKind<'a>) -> Member<'a> {
        Member {
            name,
            kind,
            permissions: 0o4755,
            mtime: 1_600_000_000,
            user: b"daemon",
            group: b"mail",
            capabilities: None,
        }
    }

    /// What another implementation reads: name, link, letter, size, user.
    fn read(member: &Member<'_>) -> (Vec<u8>, Option<Vec<u8>>, u8, u64, Vec<u8>) {
        let tar = [&member.header()[..], &END].concat();
        let mut archive = tar::Archive::new(&tar[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.mode().unwrap(), member.permissions);
        assert_eq!(header.mtime().unwrap(), member.mtime);
        (
            entry.path_bytes().into_owned(),
            entry.link_name_bytes().map(std::borrow::Cow::into_owned),
            header.entry_type().as_byte(),
            entry.size(),
            header.username_bytes().unwrap().to_vec(),
        )
    }

    #[test]
    fn names_of_every_length_are_read_as_they_were_written() {
        for length in [1, 99, 100, 101, 155, 156, 255, 256, 257, 300, 5000] {
            let flat = vec![b'n'; length];
            let deep: Vec<u8> = b"long\xe9/".iter().copied().cycle().take(length).collect();
            let deep = deep.strip_suffix(b"/").unwrap_or(&deep).to_vec();
            for name in [flat, deep] {
                let (there, ..) = read(&member(&name, MemberKind::Fifo));
                assert_eq!(there, name);
                let (there, ..) = read(&member(&name, MemberKind::Directory));
                assert_eq!(there, [&name[..], b"/"].concat());
                let (_, link, ..) = read(&member(b"a", MemberKind::Symlink(&name)));
                assert_eq!(link, Some(name));
            }
        }
    }

    #[test]
    fn what_ustar_cannot_say_is_in_pax_records() {
        let size = 9 << 30;
        let large = member(b"large", MemberKind::Regular { size });
        assert_eq!(read(&large).3, size);
        let largest_plain = member(
            b"a",
            MemberKind::Regular {
                size: TOO_LARGE - 1,
            },
        );
        assert_eq!(largest_plain.header().len(), BLOCK);
        let long_user = Member {
            user: &[b'u'; 40],
            capabilities: Some(&[2, 0, b'\n', b'=']),
            ..member(b"a", MemberKind::Fifo)
        };
        let header = long_user.header();
        let records: &[u8] = b"50 uname=uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu\n";
        let capability = b"41 SCHILY.xattr.security.capability=\x02\x00\n=\n";
        assert!(header[BLOCK..].starts_with(&[records, capability].concat()));
        assert_eq!(read(&long_user).4, b"");
    }

    #[test]
    fn records_count_the_digits_of_their_length() {
        for length in 1..2000 {
            let record = pax_record("key", &vec![b'v'; length]);
            let said = record.split(|&byte| byte == b' ').next().unwrap();
            assert_eq!(str::from_utf8(said).unwrap(), record.len().to_string());
        }
    }
}
