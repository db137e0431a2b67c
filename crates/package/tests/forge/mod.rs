//! Rpms as no rpmbuild makes them: of other versions of the format, and hostile ones.
#![allow(dead_code, clippy::unwrap_used)]

use std::fmt::Write;
use std::iter;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use sha3::Sha3_256;

pub(crate) const GHOST: u32 = 1 << 6;

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    /// Whole names, MD5 alone, and no region.
    V3,
    V4,
    /// Numbers for names in the payload, and no sizes in the signature.
    V6,
}

#[derive(Clone)]
pub(crate) struct File {
    pub(crate) name: String,
    /// Where the base of the name begins; after the last slash if none is said.
    pub(crate) split: Option<usize>,
    pub(crate) mode: u16,
    pub(crate) content: Vec<u8>,
    /// What the header says of it, if not the truth.
    pub(crate) declared_size: Option<u64>,
    pub(crate) declared_digest: Option<String>,
    /// What the payload has, if not what the header says.
    pub(crate) payload_name: Option<String>,
    pub(crate) payload_content: Option<Vec<u8>>,
    pub(crate) inode: u32,
    pub(crate) flags: u32,
    pub(crate) capabilities: String,
    pub(crate) times_in_payload: usize,
}

#[derive(Clone)]
pub(crate) struct Rpm {
    pub(crate) format: Format,
    pub(crate) files: Vec<File>,
    pub(crate) compress: fn(&[u8]) -> Vec<u8>,
    /// Entries of the header beside or instead of those that it has.
    pub(crate) entries: Vec<(u32, Value)>,
    pub(crate) payload_end: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Texts(Vec<String>),
    I16(Vec<u16>),
    I32(Vec<u32>),
    I64(Vec<u64>),
    Binary(Vec<u8>),
}

pub(crate) fn file(name: &str, content: &str) -> File {
    File {
        name: name.to_owned(),
        split: None,
        mode: 0o100_644,
        content: content.as_bytes().to_vec(),
        declared_size: None,
        declared_digest: None,
        payload_name: None,
        payload_content: None,
        inode: 0,
        flags: 0,
        capabilities: String::new(),
        times_in_payload: 1,
    }
}

pub(crate) fn directory(name: &str) -> File {
    File {
        mode: 0o040_755,
        ..file(name, "")
    }
}

pub(crate) fn symlink(name: &str, target: &str) -> File {
    File {
        mode: 0o120_777,
        ..file(name, target)
    }
}

pub(crate) fn rpm(files: impl Into<Vec<File>>) -> Rpm {
    Rpm {
        format: Format::V4,
        files: files.into(),
        compress: <[u8]>::to_vec,
        entries: Vec::new(),
        payload_end: Vec::new(),
    }
}

impl File {
    fn is_regular(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    fn is_symlink(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }

    fn size(&self) -> u64 {
        self.declared_size.unwrap_or(self.content.len() as u64)
    }

    fn split(&self) -> (&str, &str) {
        let split = self.split.or_else(|| Some(self.name.rfind('/')? + 1));
        self.name.split_at(split.unwrap_or(0))
    }

    fn digest(&self, format: Format) -> String {
        match &self.declared_digest {
            Some(digest) => digest.clone(),
            None if !self.is_regular() => String::new(),
            None if format == Format::V3 => hex(&Md5::digest(&self.content)),
            None => hex(&Sha256::digest(&self.content)),
        }
    }
}

impl Rpm {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let archive = self.archive();
        let payload = (self.compress)(&archive);
        let header = header(
            63,
            self.format != Format::V3,
            &self.header(&archive, &payload),
        );
        let both = [&header[..], &payload].concat();
        let mut signature = vec![
            (1000, Value::I32(vec![both.len() as u32])),
            (1004, Value::Binary(Md5::digest(&both).to_vec())),
        ];
        if self.format == Format::V4 {
            signature.push((269, Value::Text(hex(&Sha1::digest(&header)))));
            signature.push((273, Value::Text(hex(&Sha256::digest(&header)))));
        }
        if self.format == Format::V6 {
            signature = vec![
                (273, Value::Text(hex(&Sha256::digest(&header)))),
                (279, Value::Text(hex(&Sha3_256::digest(&header)))),
            ];
        }
        let mut signature = self::header(62, self.format != Format::V3, &signature);
        signature.resize(signature.len().next_multiple_of(8), 0);
        let mut lead = vec![0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0, 0, 1];
        lead.resize(96, 0);
        lead[77] = 1;
        lead[79] = 5;
        [lead, signature, both].concat()
    }

    fn header(&self, archive: &[u8], payload: &[u8]) -> Vec<(u32, Value)> {
        let text = |text: &str| Value::Text(text.to_owned());
        let integers =
            |value: &dyn Fn(&File) -> u32| Value::I32(self.files.iter().map(value).collect());
        let texts =
            |value: &dyn Fn(&File) -> String| Value::Texts(self.files.iter().map(value).collect());
        let target = |file: &File| match file.is_symlink() {
            true => String::from_utf8(file.content.clone()).unwrap(),
            false => String::new(),
        };
        let mut entries = vec![
            (1000, text("forged")),
            (1001, text("1.0")),
            (1002, text("1")),
            (1004, text("forged")),
            (1022, text("noarch")),
            (
                1030,
                Value::I16(self.files.iter().map(|file| file.mode).collect()),
            ),
            (1033, Value::I16(vec![0; self.files.len()])),
            (1034, integers(&|_| 1_600_000_000)),
            (1035, texts(&|file| file.digest(self.format))),
            (1036, texts(&target)),
            (1037, integers(&|file| file.flags)),
            (1039, texts(&|_| "root".to_owned())),
            (1040, texts(&|_| "root".to_owned())),
            (1095, integers(&|_| 1)),
            (1096, integers(&|file| file.inode)),
            (5010, texts(&|file| file.capabilities.clone())),
        ];
        if self.format == Format::V3 {
            entries.push((1027, texts(&|file| file.name.clone())));
        } else {
            let split = |file: &File| file.split().1.to_owned();
            entries.extend([
                (1116, Value::I32((0..self.files.len() as u32).collect())),
                (1117, texts(&split)),
                (1118, texts(&|file| file.split().0.to_owned())),
                (5011, Value::I32(vec![8])),
                (5092, Value::Texts(vec![hex(&Sha256::digest(payload))])),
                (5097, Value::Texts(vec![hex(&Sha256::digest(archive))])),
            ]);
        }
        if self.format == Format::V6 {
            entries.push((
                5008,
                Value::I64(self.files.iter().map(File::size).collect()),
            ));
            entries.push((5112, Value::I64(vec![payload.len() as u64])));
            entries.push((5123, Value::Text(hex(&Sha3_256::digest(payload)))));
        } else {
            entries.push((1028, integers(&|file| file.size() as u32)));
        }
        if self.files.is_empty() {
            entries.retain(|(_, value)| !value.is_empty());
        }
        entries.retain(|(tag, _)| self.entries.iter().all(|(other, _)| other != tag));
        entries.extend(self.entries.clone());
        entries.sort_by_key(|(tag, _)| *tag);
        entries
    }

    fn archive(&self) -> Vec<u8> {
        let mut archive = Vec::new();
        for (index, file) in self
            .files
            .iter()
            .enumerate()
            .flat_map(|numbered| iter::repeat_n(numbered, numbered.1.times_in_payload))
        {
            let content = file.payload_content.as_ref().unwrap_or(&file.content);
            match self.format {
                Format::V6 => write!(Ascii(&mut archive), "07070X{index:08x}").unwrap(),
                Format::V3 | Format::V4 => {
                    let name = file
                        .payload_name
                        .clone()
                        .unwrap_or(format!(".{}", file.name));
                    named(&mut archive, &name, content.len());
                }
            }
            pad(&mut archive);
            archive.extend(content);
            pad(&mut archive);
        }
        named(&mut archive, "TRAILER!!!", 0);
        pad(&mut archive);
        archive.extend(&self.payload_end);
        archive
    }
}

struct Ascii<'a>(&'a mut Vec<u8>);

impl Write for Ascii<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend(text.as_bytes());
        Ok(())
    }
}

fn named(archive: &mut Vec<u8>, name: &str, size: usize) {
    write!(
        Ascii(archive),
        "070701{}{size:08x}{}",
        "00000000".repeat(6),
        "00000000".repeat(4)
    )
    .unwrap();
    write!(Ascii(archive), "{:08x}00000000{name}\0", name.len() + 1).unwrap();
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

impl Value {
    fn is_empty(&self) -> bool {
        self.count() == 0
    }

    fn count(&self) -> usize {
        match self {
            Self::Text(_) => 1,
            Self::Texts(texts) => texts.len(),
            Self::I16(numbers) => numbers.len(),
            Self::I32(numbers) => numbers.len(),
            Self::I64(numbers) => numbers.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// The number of its type, what its place must be a multiple of, and its bytes.
    fn encode(&self) -> (u32, usize, Vec<u8>) {
        let zero_ended = |text: &String| [text.as_bytes(), b"\0"].concat();
        match self {
            Self::Text(text) => (6, 1, zero_ended(text)),
            Self::Texts(texts) => (8, 1, texts.iter().flat_map(zero_ended).collect()),
            Self::I16(numbers) => (3, 2, numbers.iter().flat_map(|n| n.to_be_bytes()).collect()),
            Self::I32(numbers) => (4, 4, numbers.iter().flat_map(|n| n.to_be_bytes()).collect()),
            Self::I64(numbers) => (5, 8, numbers.iter().flat_map(|n| n.to_be_bytes()).collect()),
            Self::Binary(bytes) => (7, 1, bytes.clone()),
        }
    }
}

/// A header; since version 4 its first entry is a region, which says that the others belong together.
pub(crate) fn header(region: u32, has_region: bool, entries: &[(u32, Value)]) -> Vec<u8> {
    let mut index = Vec::new();
    let mut store = Vec::new();
    for (tag, value) in entries {
        let (kind, alignment, bytes) = value.encode();
        store.resize(store.len().next_multiple_of(alignment), 0);
        index.push([*tag, kind, store.len() as u32, value.count() as u32]);
        store.extend(bytes);
    }
    if has_region {
        let entries = entries.len() as u32 + 1;
        index.insert(0, [region, 7, store.len() as u32, 16]);
        let trailer = [region, 7, (-16 * entries.cast_signed()).cast_unsigned(), 16];
        store.extend(trailer.iter().flat_map(|number| number.to_be_bytes()));
    }
    let mut header = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
    header.extend((index.len() as u32).to_be_bytes());
    header.extend((store.len() as u32).to_be_bytes());
    header.extend(
        index
            .iter()
            .flatten()
            .flat_map(|number| number.to_be_bytes()),
    );
    header.extend(store);
    header
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
