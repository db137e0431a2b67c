//! An rpm is a lead, a signature, a header and a payload.

use std::io::{Read, Seek, SeekFrom, Take};
use std::ops::Range;

use super::digest::{Algorithm, Digests};
use super::header::{Header, HeaderError};
use super::tag::{self, Tag, signature};
use super::{Rpm, RpmError};
use crate::{Identity, PackageArchitectureError, PackageNameError, Version};

const LEAD: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];

/// The headers of an rpm, read and checked, and where they and the payload lie.
pub(super) struct Sections {
    /// Bytes of the file.
    pub(super) length: u64,
    pub(super) signature: Header,
    pub(super) header: Header,
    /// Where the header lies in the file. The payload follows.
    pub(super) header_range: Range<u64>,
}

impl Sections {
    pub(super) fn read(mut package: impl Read + Seek) -> Result<Self, RpmError> {
        let length = package.seek(SeekFrom::End(0)).map_err(RpmError::Read)?;
        package.rewind().map_err(RpmError::Read)?;
        read_lead(&mut package, length)?;
        let mut position = LEAD as u64;
        let mut header = |section| -> Result<(Header, u64), RpmError> {
            let begin = position.next_multiple_of(8);
            let mut padding = [0; 8];
            let padding = &mut padding[..(begin - position) as usize];
            let left = length.saturating_sub(begin);
            if left > 0 {
                package.read_exact(padding).map_err(RpmError::Read)?;
            }
            let header =
                Header::read(&mut package, left, section).map_err(|error| match error {
                    HeaderError::Short(needed) => RpmError::Truncated {
                        length,
                        expected: begin + needed,
                    },
                    HeaderError::Rpm(error) => error,
                })?;
            position = begin + header.bytes.len() as u64;
            Ok((header, begin))
        };
        let (signature, _) = header("signature")?;
        let (header, begin) = header("header")?;
        let sections = Self {
            length,
            signature,
            header_range: begin..begin + header.bytes.len() as u64,
            header,
        };
        sections.check_header_digests()?;
        sections.check_length()?;
        Ok(sections)
    }

    pub(super) fn rpm(&self) -> Result<Rpm, RpmError> {
        let header = &self.header;
        if header.has(tag::SOURCEPACKAGE) {
            return Err(RpmError::SourcePackage);
        }
        let text = |tag| header.text(tag);
        let epoch = u32::try_from(header.integer(tag::EPOCH)?.unwrap_or(0))
            .map_err(|_| header.damaged(tag::EPOCH, "too large"))?;
        let version = Version::new(epoch, &text(tag::VERSION)?, Some(&text(tag::RELEASE)?))
            .map_err(|error| header.damaged(tag::VERSION, &error.to_string()))?;
        let name = text(tag::NAME)?
            .parse()
            .map_err(|error: PackageNameError| header.damaged(tag::NAME, &error.to_string()))?;
        let architecture =
            text(tag::ARCH)?
                .parse()
                .map_err(|error: PackageArchitectureError| {
                    header.damaged(tag::ARCH, &error.to_string())
                })?;
        Ok(Rpm {
            identity: Identity {
                name,
                version,
                architecture,
            },
            scriptlets: self.scriptlets(),
        })
    }

    /// Bytes of the payload once it is decompressed, as far as the package says.
    pub(super) fn archive_size(&self) -> Result<Option<u64>, RpmError> {
        let in_header = [tag::PAYLOADSIZEALT, tag::ARCHIVESIZE];
        let in_signature = [signature::LONGARCHIVESIZE, signature::PAYLOADSIZE];
        match self.header.first_integer(&in_header)? {
            Some(size) => Ok(Some(size)),
            None => self.signature.first_integer(&in_signature),
        }
    }

    /// The payload as it lies in the file.
    pub(super) fn payload<R: Read + Seek>(&self, mut package: R) -> Result<Take<R>, RpmError> {
        let begin = self.header_range.end;
        package
            .seek(SeekFrom::Start(begin))
            .map_err(RpmError::Read)?;
        Ok(package.take(self.length.saturating_sub(begin)))
    }

    /// What the payload must be as it lies in the file.
    pub(super) fn payload_digests(&self) -> Result<Digests, RpmError> {
        let mut digests = Digests::default();
        // The oldest of them is made of header and payload.
        if let Some(digest) = self.signature.binary(signature::MD5)? {
            digests
                .expect(Algorithm::Md5, digest)
                .map_err(|fault| self.signature.damaged(signature::MD5, fault))?;
            digests.update(&self.header.bytes);
        }
        self.expect(&mut digests, &PAYLOAD_DIGESTS)?;
        Ok(digests)
    }

    /// What the payload must be without its compression.
    pub(super) fn archive_digests(&self) -> Result<Digests, RpmError> {
        let mut digests = Digests::default();
        self.expect(&mut digests, &ARCHIVE_DIGESTS)?;
        Ok(digests)
    }

    fn expect(&self, digests: &mut Digests, tags: &[(Tag, Algorithm)]) -> Result<(), RpmError> {
        for &(tag, algorithm) in tags {
            if let Some(hex) = self.header.string(tag)? {
                digests
                    .expect_hex(algorithm, hex)
                    .map_err(|fault| self.header.damaged(tag, fault))?;
            }
        }
        Ok(())
    }

    fn scriptlets(&self) -> Vec<String> {
        let there = SCRIPTLETS
            .iter()
            .filter(|(_, tags)| tags.iter().any(|&tag| self.header.has(tag)));
        there.map(|&(name, _)| name.to_owned()).collect()
    }

    fn check_header_digests(&self) -> Result<(), RpmError> {
        let mut digests = Digests::default();
        for (tag, algorithm) in HEADER_DIGESTS {
            if let Some(hex) = self.signature.string(tag)? {
                digests
                    .expect_hex(algorithm, hex)
                    .map_err(|fault| self.signature.damaged(tag, fault))?;
            }
        }
        digests.update(&self.header.bytes);
        digests.verify(|| "its header".to_owned())
    }

    /// Version 6 says how long the payload is, those before how long header and payload are.
    fn check_length(&self) -> Result<(), RpmError> {
        let header = self.header_range.end - self.header_range.start;
        let promised = match self.header.integer(tag::PAYLOADSIZE)? {
            Some(payload) => Some(payload.saturating_add(header)),
            None => self
                .signature
                .first_integer(&[signature::LONGSIZE, signature::SIZE])?,
        };
        let length = self.length;
        let Some(promised) = promised else {
            return Ok(());
        };
        if promised < header {
            let fault = "it promises less than the header itself";
            return Err(self.signature.damaged(signature::SIZE, fault));
        }
        let expected = self.header_range.start.saturating_add(promised);
        match length.cmp(&expected) {
            std::cmp::Ordering::Less => Err(RpmError::Truncated { length, expected }),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(RpmError::Trailing { length, expected }),
        }
    }
}

const HEADER_DIGESTS: [(Tag, Algorithm); 3] = [
    (signature::SHA1, Algorithm::Sha1),
    (signature::SHA256, Algorithm::Sha256),
    (signature::SHA3_256, Algorithm::Sha3_256),
];

const PAYLOAD_DIGESTS: [(Tag, Algorithm); 3] = [
    (tag::PAYLOADSHA256, Algorithm::Sha256),
    (tag::PAYLOADSHA512, Algorithm::Sha512),
    (tag::PAYLOADSHA3_256, Algorithm::Sha3_256),
];

const ARCHIVE_DIGESTS: [(Tag, Algorithm); 3] = [
    (tag::PAYLOADSHA256ALT, Algorithm::Sha256),
    (tag::PAYLOADSHA512ALT, Algorithm::Sha512),
    (tag::PAYLOADSHA3_256ALT, Algorithm::Sha3_256),
];

/// By the sections of spec files; a scriptlet may be no more than a program that is run.
const SCRIPTLETS: &[(&str, &[Tag])] = &[
    ("pretrans", &[tag::PRETRANS, tag::PRETRANSPROG]),
    ("pre", &[tag::PREIN, tag::PREINPROG]),
    ("post", &[tag::POSTIN, tag::POSTINPROG]),
    ("preun", &[tag::PREUN, tag::PREUNPROG]),
    ("postun", &[tag::POSTUN, tag::POSTUNPROG]),
    ("posttrans", &[tag::POSTTRANS, tag::POSTTRANSPROG]),
    ("preuntrans", &[tag::PREUNTRANS, tag::PREUNTRANSPROG]),
    ("postuntrans", &[tag::POSTUNTRANS, tag::POSTUNTRANSPROG]),
    ("trigger", &[tag::TRIGGERSCRIPTS]),
    ("filetrigger", &[tag::FILETRIGGERSCRIPTS]),
    ("transfiletrigger", &[tag::TRANSFILETRIGGERSCRIPTS]),
];

/// All but the magic and whether it is a source package is said better by the header.
fn read_lead(package: &mut impl Read, length: u64) -> Result<(), RpmError> {
    let mut lead = [0; LEAD];
    let there = length.min(LEAD as u64) as usize;
    package
        .read_exact(&mut lead[..there])
        .map_err(RpmError::Read)?;
    let magic = there.min(LEAD_MAGIC.len());
    if lead[..magic] != LEAD_MAGIC[..magic] {
        return Err(RpmError::NotRpm);
    }
    if there < LEAD {
        let expected = LEAD as u64;
        return Err(RpmError::Truncated { length, expected });
    }
    match lead[4..8] {
        [3..=6, _, 0, 0] => Ok(()),
        [3..=6, _, 0, 1] => Err(RpmError::SourcePackage),
        _ => Err(RpmError::NotRpm),
    }
}
