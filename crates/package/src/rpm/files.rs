//! What the header says of each file.

use super::digest::{Algorithm, Digests};
use super::header::{Header, Integers, Strings};
use super::tag::{self, Tag};
use super::{Limits, Refusal, RpmError};

/// All files of a package. What is said of one is looked up in the header's arrays when it is asked for: those of a
/// hundred thousand files need no memory beside the header.
pub(super) struct Files<'h> {
    names: Names<'h>,
    sizes: Integers<'h>,
    modes: Integers<'h>,
    devices_in_files: Integers<'h>,
    mtimes: Integers<'h>,
    digests: Strings<'h>,
    digest_algorithm: u64,
    link_targets: Strings<'h>,
    flags: Integers<'h>,
    users: Strings<'h>,
    groups: Strings<'h>,
    devices: Integers<'h>,
    inodes: Integers<'h>,
    capabilities: Strings<'h>,
}

enum Names<'h> {
    Split {
        directories: Strings<'h>,
        directory_indexes: Integers<'h>,
        bases: Strings<'h>,
    },
    /// As version 3 has them.
    Whole(Strings<'h>),
}

/// What the header says of one file.
#[derive(Clone, Copy)]
pub(super) struct File<'h> {
    /// Up to the last slash of its name, and with it.
    pub(super) directory: &'h [u8],
    /// After the last slash.
    pub(super) base: &'h [u8],
    /// Bytes of its content.
    pub(super) size: u64,
    mode: u16,
    device_in_file: u16,
    pub(super) mtime: u64,
    digest: &'h [u8],
    digest_algorithm: u64,
    pub(super) link_target: &'h [u8],
    flags: u64,
    pub(super) user: &'h [u8],
    pub(super) group: &'h [u8],
    device: u64,
    inode: u64,
    /// As text, empty if it has none.
    pub(super) capabilities: &'h [u8],
}

/// What a file is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Regular,
    Directory,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Fifo,
}

const GHOST: u64 = 1 << 6;

impl<'h> Files<'h> {
    pub(super) fn of(header: &'h Header, limits: &Limits) -> Result<Self, RpmError> {
        let names = Names::of(header)?;
        limits.check_members(names.len())?;
        names.check_lengths(header)?;
        let all = Expected {
            header,
            count: names.len(),
        };
        let sizes = [tag::LONGFILESIZES, tag::FILESIZES];
        let sizes = sizes
            .into_iter()
            .find(|&tag| header.has(tag))
            .unwrap_or(tag::FILESIZES);
        Ok(Self {
            sizes: all.integers(sizes)?,
            modes: all.integers(tag::FILEMODES)?,
            devices_in_files: all.integers_if_any(tag::FILERDEVS)?,
            mtimes: all.integers(tag::FILEMTIMES)?,
            digests: all.strings_if_any(tag::FILEDIGESTS)?,
            digest_algorithm: header.integer(tag::FILEDIGESTALGO)?.unwrap_or(MD5),
            link_targets: all.strings_if_any(tag::FILELINKTOS)?,
            flags: all.integers_if_any(tag::FILEFLAGS)?,
            users: all.strings_if_any(tag::FILEUSERNAME)?,
            groups: all.strings_if_any(tag::FILEGROUPNAME)?,
            devices: all.integers_if_any(tag::FILEDEVICES)?,
            inodes: all.integers_if_any(tag::FILEINODES)?,
            capabilities: all.strings_if_any(tag::FILECAPS)?,
            names,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<File<'h>> {
        let (directory, base) = self.names.get(index)?;
        let string = |strings: &Strings<'h>| strings.get(index).unwrap_or_default();
        let integer = |integers: &Integers<'h>| integers.get(index).unwrap_or(0);
        Some(File {
            directory,
            base,
            size: integer(&self.sizes),
            mode: integer(&self.modes) as u16,
            device_in_file: integer(&self.devices_in_files) as u16,
            mtime: integer(&self.mtimes),
            digest: string(&self.digests),
            digest_algorithm: self.digest_algorithm,
            link_target: string(&self.link_targets),
            flags: integer(&self.flags),
            user: string(&self.users),
            group: string(&self.groups),
            device: integer(&self.devices),
            inode: integer(&self.inodes),
            capabilities: string(&self.capabilities),
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = File<'h>> {
        (0..self.len()).map_while(|index| self.get(index))
    }
}

/// The digest algorithm of packages that name none.
const MD5: u64 = 1;

/// Linux's `PATH_MAX`: no system has room for a longer one.
pub(super) const LONGEST_NAME: usize = 4096;
/// What the names of all files may take: they are kept whole, where the header has each directory once for thousands of
/// files. Ten times what packages of a hundred thousand files have.
const LONGEST_NAMES: usize = 256 << 20;

impl<'h> Names<'h> {
    fn of(header: &'h Header) -> Result<Self, RpmError> {
        if header.has(tag::OLDFILENAMES) {
            return Ok(Self::Whole(header.strings(tag::OLDFILENAMES)?));
        }
        let bases = header.strings(tag::BASENAMES)?;
        let all = Expected {
            header,
            count: bases.len(),
        };
        let directories = header.strings(tag::DIRNAMES)?;
        let directory_indexes = all.integers(tag::DIRINDEXES)?;
        let count = directories.len() as u64;
        let are_there = (0..all.count).all(|index| directory_indexes.get(index) < Some(count));
        if !are_there {
            return Err(header.damaged(tag::DIRINDEXES, "there is no such directory"));
        }
        Ok(Self::Split {
            directories,
            directory_indexes,
            bases,
        })
    }

    fn check_lengths(&self, header: &Header) -> Result<(), RpmError> {
        let tag = match self {
            Self::Split { .. } => tag::BASENAMES,
            Self::Whole(_) => tag::OLDFILENAMES,
        };
        let mut all = 0;
        for (directory, base) in (0..self.len()).map_while(|index| self.get(index)) {
            let length = directory.len() + base.len();
            if length > LONGEST_NAME {
                let fault = format!("a name of {length} bytes, more than {LONGEST_NAME}");
                return Err(header.damaged(tag, &fault));
            }
            all += length;
            if all > LONGEST_NAMES {
                let fault = format!("names of more than {LONGEST_NAMES} bytes");
                return Err(header.damaged(tag, &fault));
            }
        }
        Ok(())
    }

    fn len(&self) -> usize {
        match self {
            Self::Split { bases, .. } => bases.len(),
            Self::Whole(names) => names.len(),
        }
    }

    fn get(&self, index: usize) -> Option<(&'h [u8], &'h [u8])> {
        match self {
            Self::Split {
                directories,
                directory_indexes,
                bases,
            } => {
                let directory = directories.get(directory_indexes.get(index)? as usize)?;
                Some((directory, bases.get(index)?))
            }
            Self::Whole(names) => {
                let name = names.get(index)?;
                let slash = name.iter().rposition(|&byte| byte == b'/');
                Some(name.split_at(slash.map_or(0, |slash| slash + 1)))
            }
        }
    }
}

/// Arrays of the header with a value for each file.
struct Expected<'h> {
    header: &'h Header,
    count: usize,
}

impl<'h> Expected<'h> {
    fn integers(&self, tag: Tag) -> Result<Integers<'h>, RpmError> {
        let integers = self.header.integers(tag)?;
        self.check(tag, integers.len())?;
        Ok(integers)
    }

    fn integers_if_any(&self, tag: Tag) -> Result<Integers<'h>, RpmError> {
        if !self.header.has(tag) {
            return Ok(Integers::default());
        }
        self.integers(tag)
    }

    fn strings_if_any(&self, tag: Tag) -> Result<Strings<'h>, RpmError> {
        if !self.header.has(tag) {
            return Ok(Strings::default());
        }
        let strings = self.header.strings(tag)?;
        self.check(tag, strings.len())?;
        Ok(strings)
    }

    fn check(&self, tag: Tag, count: usize) -> Result<(), RpmError> {
        if count != self.count {
            let fault = format!("{count} values for {} files", self.count);
            return Err(self.header.damaged(tag, &fault));
        }
        Ok(())
    }
}

impl File<'_> {
    /// Its name in the package, for people.
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(&[self.directory, self.base].concat()).into_owned()
    }

    pub(super) fn refused(&self, reason: Refusal) -> RpmError {
        RpmError::Refused {
            name: self.name(),
            reason,
        }
    }

    pub(super) fn kind(&self) -> Result<FileKind, RpmError> {
        match self.mode & 0o170_000 {
            0o100_000 => Ok(FileKind::Regular),
            0o040_000 => Ok(FileKind::Directory),
            0o120_000 => Ok(FileKind::Symlink),
            0o020_000 => Ok(FileKind::CharacterDevice),
            0o060_000 => Ok(FileKind::BlockDevice),
            0o010_000 => Ok(FileKind::Fifo),
            other => Err(self.refused(Refusal::FileType(other))),
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.kind(), Ok(FileKind::Directory))
    }

    /// Whether the package only knows its name: it comes to be where the package is installed.
    pub(super) fn is_ghost(&self) -> bool {
        self.flags & GHOST != 0
    }

    /// Who may do what, and what is set on execution.
    pub(super) fn permissions(&self) -> u32 {
        u32::from(self.mode & 0o7777)
    }

    /// The numbers of the device that it stands for.
    pub(super) fn device_numbers(&self) -> (u32, u32) {
        let [major, minor] = self.device_in_file.to_be_bytes();
        (major.into(), minor.into())
    }

    /// The same for all names of one file, and for them alone.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        (self.inode != 0).then_some((self.device, self.inode))
    }

    pub(super) fn has_content_of(&self, other: &Self) -> bool {
        self.size == other.size && self.digest == other.digest
    }

    /// What the digest of its content must be; nothing where the package carries none.
    pub(super) fn digests(&self) -> Result<Digests, RpmError> {
        let mut digests = Digests::default();
        if self.digest.is_empty() {
            return Ok(digests);
        }
        let damaged = |fault: &str| RpmError::Damaged {
            section: "header",
            fault: format!("{:?} has {fault}", self.name()),
        };
        let algorithm = Algorithm::of(self.digest_algorithm).ok_or_else(|| {
            damaged(&format!(
                "a digest of unknown kind {}",
                self.digest_algorithm
            ))
        })?;
        digests
            .expect_hex(algorithm, self.digest)
            .map_err(damaged)?;
        Ok(digests)
    }
}
