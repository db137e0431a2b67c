//! An rpm as a tar.

use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::thread;

use super::capabilities::{VfsCapData, vfs_cap_data};
use super::cpio::{self, Archive, Member as Entry};
use super::digest::Digesting;
use super::files::{File, FileKind, Files};
use super::hard_links::HardLinks;
use super::sections::Sections;
use super::tree::{LEFT_OUT, Tree, below_root, is_left_out};
use super::{Limits, Refusal, Rpm, RpmError};
use crate::compression::Compression;
use crate::gzip::Gzip;
use crate::tar::member::{END, Member, MemberKind, padding};
use crate::tar::note::Note;

/// What is read, and unpacked, at once.
const PIECE: usize = 64 << 10;

/// Writes the tree of an rpm as a tar, compressed with gzip by so many `threads` beside this one. The same rpm gives the
/// same bytes, whatever the machine and number of threads. `rpm_sha256`, the SHA-256 of the rpm, goes into the note by
/// which [`tar::read`](crate::tar::read) knows it again.
///
/// The directories `/bin`, `/sbin`, `/lib` and `/lib64` are left out and what is in them goes into `/usr`: most systems
/// have links there, which a tar would replace. Ghosts are left out. Scriptlets do not run.
///
/// # Errors
/// The rpm is damaged, its names are hostile, it is beyond the limits, or `tar` cannot be written to. What was written
/// until then is no archive.
pub fn to_tar(
    mut package: impl Read + Seek,
    rpm_sha256: [u8; 32],
    tar: impl Write,
    limits: Limits,
    threads: usize,
) -> Result<Rpm, RpmError> {
    let sections = Sections::read(&mut package)?;
    let note = Note {
        rpm: sections.rpm()?,
        made_of: rpm_sha256,
    };
    let files = Files::of(&sections.header, &limits)?;
    let tree = Tree::new(&files)?;
    let links = HardLinks::of(&files, &tree)?;
    limits.check_unpacked(unpacked_bytes(&files, &tree, &links), sections.length)?;
    thread::scope(|scope| {
        let gzip = Gzip::begin(scope, threads, tar, &note.to_string());
        let mut conversion = Conversion {
            there: vec![false; files.len()],
            files,
            tree,
            links,
            tar: gzip.map_err(RpmError::Write)?,
        };
        conversion.unpack(&sections, package)?;
        conversion.check_all_there()?;
        conversion.write(&END)?;
        conversion.tar.finish().map_err(RpmError::Write)
    })?;
    Ok(note.rpm)
}

/// What the header declares: content beyond it is an error.
fn unpacked_bytes(files: &Files<'_>, tree: &Tree, links: &HardLinks) -> u64 {
    let all = tree.indexes().filter_map(|index| files.get(index));
    let regular = all.filter(|file| matches!(file.kind(), Ok(FileKind::Regular)));
    let bytes = regular.map(|file| file.size).fold(0, u64::saturating_add);
    bytes.saturating_sub(links.shared_bytes(files))
}

struct Conversion<'h, W> {
    files: Files<'h>,
    tree: Tree,
    links: HardLinks,
    /// Which files the payload had until now.
    there: Vec<bool>,
    tar: Gzip<W>,
}

impl<W: Write> Conversion<'_, W> {
    fn unpack(&mut self, sections: &Sections, package: impl Read + Seek) -> Result<(), RpmError> {
        let payload = Digesting::new(sections.payload(package)?, sections.payload_digests()?);
        let mut payload = BufReader::with_capacity(PIECE, payload);
        let beginning = payload.fill_buf().map_err(cpio::read_error)?;
        let compression = Compression::of(beginning);
        let unpacked = compression
            .decoder(&mut payload)
            .map_err(cpio::read_error)?;
        let unpacked = Digesting::new(unpacked, sections.archive_digests()?);
        let mut archive = Archive::new(BufReader::with_capacity(PIECE, unpacked));
        // Directories that become one come again, and what is left out does: not without end.
        let most = self.files.len() + LEFT_OUT;
        let mut entries = 0;
        while let Some(entry) = archive.next()? {
            entries += 1;
            if entries > most {
                return Err(cpio::damaged("it has more files than the header"));
            }
            self.convert(&entry, &mut archive)?;
        }
        let unpacked = archive.finish()?.into_inner();
        unpacked
            .into_digests()
            .verify(|| "its unpacked payload".to_owned())?;
        // What a decoder leaves unread is in the digest as well.
        io::copy(&mut payload, &mut io::sink()).map_err(cpio::read_error)?;
        let payload = payload.into_inner();
        payload.into_digests().verify(|| "its payload".to_owned())
    }

    /// Writes what this entry of the payload stands for.
    fn convert(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<impl BufRead>,
    ) -> Result<(), RpmError> {
        let found = self.find(entry)?;
        let Some((index, file)) = found.and_then(|index| Some((index, self.files.get(index)?)))
        else {
            return leave_out(entry.size().unwrap_or(0), archive);
        };
        let size = self.content_size(entry, index, &file);
        if !self.tree.contains(index) {
            return leave_out(size, archive);
        }
        let kind = file.kind()?;
        let came = self
            .there
            .get_mut(index)
            .is_some_and(|there| std::mem::replace(there, true));
        if came && kind == FileKind::Directory {
            // That of `usr` and that beside it, which are one.
            return leave_out(size, archive);
        }
        if came {
            return Err(file_fault(&file, "comes twice"));
        }
        let (major, minor) = file.device_numbers();
        match kind {
            FileKind::Regular => self.regular(index, &file, size, archive),
            FileKind::Symlink => self.symlink(index, &file, size, archive),
            _ if size != 0 => Err(file_fault(&file, "has content, but is no file")),
            FileKind::Directory => self.header(index, &file, MemberKind::Directory),
            FileKind::Fifo => self.header(index, &file, MemberKind::Fifo),
            FileKind::CharacterDevice => {
                self.header(index, &file, MemberKind::CharacterDevice { major, minor })
            }
            FileKind::BlockDevice => {
                self.header(index, &file, MemberKind::BlockDevice { major, minor })
            }
        }
    }

    /// Which file of the header an entry is. Nothing for what the tar has no name for.
    fn find(&self, entry: &Entry) -> Result<Option<usize>, RpmError> {
        let name = match entry {
            Entry::Numbered(index) if *index < self.files.len() => return Ok(Some(*index)),
            Entry::Numbered(index) => {
                let files = self.files.len();
                return Err(cpio::damaged(&format!("it has file {index} of {files}")));
            }
            Entry::Named { name, .. } => name,
        };
        let unknown = || {
            let name = String::from_utf8_lossy(name);
            cpio::damaged(&format!("it has {name:?}, which the header does not have"))
        };
        let below_dot = name
            .strip_prefix(b".")
            .filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
        let place = below_root(below_dot.unwrap_or(name)).map_err(|_| unknown())?;
        match self.tree.find(&place) {
            Some(index) => Ok(Some(index)),
            None if is_left_out(&place) => Ok(None),
            None => Err(unknown()),
        }
    }

    /// What follows this entry. Where it does not say, the last name of a file has its content.
    fn content_size(&mut self, entry: &Entry, index: usize, file: &File<'_>) -> u64 {
        if let Some(size) = entry.size() {
            return size;
        }
        let is_elsewhere = self
            .links
            .get(file)
            .is_some_and(|linked| !linked.is_last(index));
        match file.kind() {
            Ok(FileKind::Regular) if is_elsewhere => 0,
            Ok(FileKind::Regular | FileKind::Symlink) => file.size,
            _ => 0,
        }
    }

    fn regular(
        &mut self,
        index: usize,
        file: &File<'_>,
        size: u64,
        archive: &mut Archive<impl BufRead>,
    ) -> Result<(), RpmError> {
        let Some(linked) = self.links.get(file) else {
            return self.content(index, file, size, archive);
        };
        linked.missing = linked.missing.saturating_sub(1);
        match linked.content {
            Some(content) if size == 0 => self.hard_link(index, file, content),
            Some(_) => Err(file_fault(file, "has content that another name of it had")),
            // Its content comes with another name.
            None if size == 0 && linked.missing > 0 => {
                linked.waiting.push(index);
                Ok(())
            }
            None => {
                linked.content = Some(index);
                let waiting = std::mem::take(&mut linked.waiting);
                self.content(index, file, size, archive)?;
                for name in waiting {
                    if let Some(file) = self.files.get(name) {
                        self.hard_link(name, &file, index)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn content(
        &mut self,
        index: usize,
        file: &File<'_>,
        size: u64,
        archive: &mut Archive<impl BufRead>,
    ) -> Result<(), RpmError> {
        if size != file.size {
            let fault = format!("has {size} bytes, by the header {}", file.size);
            return Err(file_fault(file, &fault));
        }
        self.header(index, file, MemberKind::Regular { size })?;
        let mut digests = file.digests()?;
        archive.content(size, |piece| {
            digests.update(piece);
            self.tar.write_all(piece).map_err(RpmError::Write)
        })?;
        digests.verify(|| file.name())?;
        self.write(padding(size))
    }

    fn hard_link(&mut self, index: usize, file: &File<'_>, content: usize) -> Result<(), RpmError> {
        let target = self.tree.name(content).to_vec();
        self.header(index, file, MemberKind::HardLink(&target))
    }

    fn symlink(
        &mut self,
        index: usize,
        file: &File<'_>,
        size: u64,
        archive: &mut Archive<impl BufRead>,
    ) -> Result<(), RpmError> {
        if file.link_target.is_empty() {
            return Err(file.refused(Refusal::NoTarget));
        }
        let points_elsewhere = || file_fault(file, "points elsewhere than the header says");
        let mut expected = file.link_target;
        if size != expected.len() as u64 {
            return Err(points_elsewhere());
        }
        archive.content(size, |piece| {
            expected = expected.strip_prefix(piece).ok_or_else(points_elsewhere)?;
            Ok(())
        })?;
        self.header(index, file, MemberKind::Symlink(file.link_target))
    }

    fn header(
        &mut self,
        index: usize,
        file: &File<'_>,
        kind: MemberKind<'_>,
    ) -> Result<(), RpmError> {
        let capabilities = match kind {
            MemberKind::Regular { .. } => capabilities(file)?,
            _ => None,
        };
        let member = Member {
            name: self.tree.name(index),
            kind,
            permissions: file.permissions(),
            mtime: file.mtime,
            user: file.user,
            group: file.group,
            capabilities: capabilities.as_ref().map(VfsCapData::as_slice),
        };
        let header = member.header();
        self.write(&header)
    }

    /// Every file of the header has come.
    fn check_all_there(&self) -> Result<(), RpmError> {
        let missing = self
            .tree
            .indexes()
            .find(|&index| self.there.get(index) != Some(&true));
        match missing.and_then(|index| self.files.get(index)) {
            Some(file) => Err(file_fault(&file, "is missing")),
            None => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RpmError> {
        self.tar.write_all(bytes).map_err(RpmError::Write)
    }
}

/// Passes over what does not go into the tar: no file is left out, and the target of a symlink is short.
fn leave_out(size: u64, archive: &mut Archive<impl BufRead>) -> Result<(), RpmError> {
    const LONGEST_TARGET: u64 = 4096;
    if size > LONGEST_TARGET {
        return Err(cpio::damaged("what is left out of the tar has content"));
    }
    archive.content(size, |_| Ok(()))
}

fn capabilities(file: &File<'_>) -> Result<Option<VfsCapData>, RpmError> {
    if file.capabilities.is_empty() {
        return Ok(None);
    }
    let data = vfs_cap_data(file.capabilities).ok_or_else(|| {
        let text = String::from_utf8_lossy(file.capabilities).into_owned();
        file.refused(Refusal::Capabilities(text))
    })?;
    Ok(Some(data))
}

fn file_fault(file: &File<'_>, fault: &str) -> RpmError {
    cpio::damaged(&format!("{:?} {fault}", file.name()))
}
