//! One header of an rpm: an index of entries, and the store that they point into.
//!
//! The index is checked before anything is looked up by it: counts, types, and that each entry lies within the store.

use std::io::Read;

use super::RpmError;
use super::tag::Tag;

/// As many entries as rpm itself takes.
const MOST_ENTRIES: usize = 0xffff;
/// A quarter of what rpm itself takes, and several times what packages of a hundred thousand files have.
const LARGEST_STORE: usize = 64 << 20;
/// As many values of one tag as a package may have files: of nothing else is there as much. Entries may share their part of
/// the store, so that it alone does not bound them.
const MOST_VALUES: usize = 1 << 20;
const INTRODUCTION: usize = 16;
const ENTRY: usize = 16;
const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];

/// A header whose index has been checked.
pub(super) struct Header {
    section: &'static str,
    /// All of it: introduction, index and store. The digests are made of this.
    pub(super) bytes: Vec<u8>,
    entries: Vec<Entry>,
    store_begins: usize,
}

/// Where the values of a tag are. Lies within the store.
struct Entry {
    tag: u32,
    kind: EntryKind,
    offset: usize,
    count: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryKind {
    Bytes,
    Integers { width: usize },
    Strings,
}

impl Header {
    /// Reads a header from a package that has `left` bytes from here on.
    pub(super) fn read(
        package: &mut impl Read,
        left: u64,
        section: &'static str,
    ) -> Result<Self, HeaderError> {
        let too_short = |needed: usize| HeaderError::Short(needed as u64);
        let damaged = |fault: String| HeaderError::Rpm(RpmError::Damaged { section, fault });
        if left < INTRODUCTION as u64 {
            return Err(too_short(INTRODUCTION));
        }
        let mut bytes = vec![0; INTRODUCTION];
        package.read_exact(&mut bytes).map_err(read_error)?;
        if !bytes.starts_with(&MAGIC) {
            return Err(damaged("it does not begin as one".to_owned()));
        }
        let count = number(&bytes, 8, 4) as usize;
        let store_length = number(&bytes, 12, 4) as usize;
        if count == 0 || count > MOST_ENTRIES || store_length > LARGEST_STORE {
            return Err(damaged(format!(
                "it promises {count} entries in {store_length} bytes"
            )));
        }
        let store_begins = INTRODUCTION + count * ENTRY;
        let length = store_begins + store_length;
        if left < length as u64 {
            return Err(too_short(length));
        }
        bytes.resize(length, 0);
        package
            .read_exact(&mut bytes[INTRODUCTION..])
            .map_err(read_error)?;
        let index = &bytes[INTRODUCTION..store_begins];
        let entry = |entry: &[u8]| Entry::parse(entry, store_length).map_err(damaged);
        let entries = index
            .chunks_exact(ENTRY)
            .map(entry)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            section,
            bytes,
            entries,
            store_begins,
        })
    }

    pub(super) fn has(&self, tag: Tag) -> bool {
        self.entry(tag).is_some()
    }

    /// The first string of a tag: of those in several languages, the one in none.
    pub(super) fn string(&self, tag: Tag) -> Result<Option<&[u8]>, RpmError> {
        let Some((entry, store)) = self.find(tag, |kind| kind == EntryKind::Strings)? else {
            return Ok(None);
        };
        if entry.count == 0 {
            return Ok(None);
        }
        let end = store.iter().position(|&byte| byte == 0);
        let end = end.ok_or_else(|| self.damaged(tag, "a string does not end"))?;
        Ok(store.get(..end))
    }

    /// The same as text for people, empty if there is none.
    pub(super) fn text(&self, tag: Tag) -> Result<String, RpmError> {
        let string = self.string(tag)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(string).into_owned())
    }

    /// All strings of a tag, none if the tag is not there.
    pub(super) fn strings(&self, tag: Tag) -> Result<Strings<'_>, RpmError> {
        let Some((entry, store)) = self.find(tag, |kind| kind == EntryKind::Strings)? else {
            return Ok(Strings::default());
        };
        let mut begins = Vec::with_capacity(entry.count);
        let mut begin = 0;
        while begins.len() < entry.count {
            let rest = store.get(begin..).unwrap_or_default();
            let end = rest.iter().position(|&byte| byte == 0);
            let end = end.ok_or_else(|| self.damaged(tag, "a string does not end"))?;
            // The store is no larger than a u32 counts.
            begins.push(begin as u32);
            begin += end + 1;
        }
        Ok(Strings { store, begins })
    }

    /// All integers of a tag, of whatever width, none if the tag is not there.
    pub(super) fn integers(&self, tag: Tag) -> Result<Integers<'_>, RpmError> {
        let is_integer = |kind| matches!(kind, EntryKind::Integers { .. });
        let Some((entry, store)) = self.find(tag, is_integer)? else {
            return Ok(Integers::default());
        };
        let width = entry.kind.width();
        Ok(Integers {
            bytes: store.get(..entry.count * width).unwrap_or_default(),
            width,
        })
    }

    pub(super) fn integer(&self, tag: Tag) -> Result<Option<u64>, RpmError> {
        Ok(self.integers(tag)?.get(0))
    }

    /// That of the first of these tags which is there.
    pub(super) fn first_integer(&self, tags: &[Tag]) -> Result<Option<u64>, RpmError> {
        let there = tags.iter().find(|&&tag| self.has(tag));
        there.map_or(Ok(None), |&tag| self.integer(tag))
    }

    pub(super) fn binary(&self, tag: Tag) -> Result<Option<&[u8]>, RpmError> {
        let found = self.find(tag, |kind| kind == EntryKind::Bytes)?;
        Ok(found.and_then(|(entry, store)| store.get(..entry.count)))
    }

    pub(super) fn damaged(&self, tag: Tag, fault: &str) -> RpmError {
        RpmError::Damaged {
            section: self.section,
            fault: format!("{tag}: {fault}"),
        }
    }

    fn entry(&self, tag: Tag) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag.number)
    }

    /// An entry of the right kind and of no more values than are looked at, and the store from where it begins.
    fn find(
        &self,
        tag: Tag,
        is_right: impl FnOnce(EntryKind) -> bool,
    ) -> Result<Option<(&Entry, &[u8])>, RpmError> {
        let Some(entry) = self.entry(tag) else {
            return Ok(None);
        };
        if !is_right(entry.kind) {
            return Err(self.damaged(tag, "of the wrong type"));
        }
        if entry.kind != EntryKind::Bytes && entry.count > MOST_VALUES {
            let fault = format!("{} values, more than {MOST_VALUES}", entry.count);
            return Err(self.damaged(tag, &fault));
        }
        let store = self.bytes.get(self.store_begins + entry.offset..);
        Ok(Some((entry, store.unwrap_or_default())))
    }
}

impl Entry {
    fn parse(entry: &[u8], store: usize) -> Result<Self, String> {
        let tag = number(entry, 0, 4) as u32;
        let kind = number(entry, 4, 4);
        let offset = number(entry, 8, 4) as usize;
        let count = number(entry, 12, 4) as usize;
        let kind = EntryKind::of(kind).ok_or_else(|| format!("entry {tag} is of type {kind}"))?;
        // A string takes a byte at least, the one that ends it.
        let least = count.checked_mul(kind.width());
        if least.is_none_or(|least| store.checked_sub(offset).is_none_or(|left| least > left)) {
            return Err(format!("entry {tag} lies beyond its end"));
        }
        Ok(Self {
            tag,
            kind,
            offset,
            count,
        })
    }
}

impl EntryKind {
    /// By rpm's numbers for them.
    fn of(number: u64) -> Option<Self> {
        Some(match number {
            // Null, characters, and binary data.
            0 | 1 | 7 => Self::Bytes,
            2 => Self::Integers { width: 1 },
            3 => Self::Integers { width: 2 },
            4 => Self::Integers { width: 4 },
            5 => Self::Integers { width: 8 },
            // A string, an array of them, and one in several languages.
            6 | 8 | 9 => Self::Strings,
            _ => return None,
        })
    }

    fn width(self) -> usize {
        match self {
            Self::Bytes | Self::Strings => 1,
            Self::Integers { width } => width,
        }
    }
}

/// Strings of a header.
#[derive(Default)]
pub(super) struct Strings<'h> {
    store: &'h [u8],
    begins: Vec<u32>,
}

impl<'h> Strings<'h> {
    pub(super) fn len(&self) -> usize {
        self.begins.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&'h [u8]> {
        let begin = *self.begins.get(index)?;
        self.store
            .get(begin as usize..)?
            .split(|&byte| byte == 0)
            .next()
    }
}

/// Integers of a header.
#[derive(Default)]
pub(super) struct Integers<'h> {
    bytes: &'h [u8],
    width: usize,
}

impl Integers<'_> {
    pub(super) fn len(&self) -> usize {
        self.bytes.len().checked_div(self.width).unwrap_or(0)
    }

    pub(super) fn get(&self, index: usize) -> Option<u64> {
        let begin = index.checked_mul(self.width)?;
        (index < self.len()).then(|| number(self.bytes, begin, self.width))
    }
}

/// Why there is no header.
pub(super) enum HeaderError {
    /// It takes so many bytes, more than are left.
    Short(u64),
    Rpm(RpmError),
}

impl From<RpmError> for HeaderError {
    fn from(error: RpmError) -> Self {
        Self::Rpm(error)
    }
}

fn read_error(error: std::io::Error) -> HeaderError {
    HeaderError::Rpm(RpmError::Read(error))
}

fn number(bytes: &[u8], begin: usize, width: usize) -> u64 {
    let digits = bytes.iter().skip(begin).take(width);
    digits.fold(0, |number, &byte| number << 8 | u64::from(byte))
}
