//! [`FilesDirectory`]: the local files that a Butane document may refer to.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ignition::butane::{Files, LocalError, TreeEntry, TreeEntryKind};
use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;

use crate::boot_files::MAX_BOOT_FILE;
use crate::reading::{Reading, SETTLING, is_settled, read_opened_at_rest};
use crate::temporary::is_temporary;
use crate::{ContentError, FileId, FileKind, FileName, FileRoot, Seen};

/// What a files directory is called.
const NAME: &str = "files";
/// How many bytes of files are read for one document.
const MAX_READ: u64 = 256 << 20;
/// How many entries all trees of one document may have.
const MAX_ENTRIES: u32 = 10_000;
/// How deep a tree may be, in components.
const MAX_DEPTH: usize = 64;

/// A files directory on disk, for one translation.
///
/// The kernel confines every access to it as it does for a [`FileRoot`]. What the translation looks at is remembered:
/// as long as that is [unchanged](Seen::is_unchanged), so is the translation of an unchanged document.
#[derive(Debug)]
pub struct FilesDirectory {
    /// Held, so that one translation sees one directory.
    directory: OwnedFd,
    root: FileRoot,
    /// For messages.
    path: PathBuf,
    settling: Duration,
    bytes_left: Cell<u64>,
    entries_left: Cell<u32>,
    seen: RefCell<Seen>,
}

impl FilesDirectory {
    /// Opens the directory at `path`, which is an administrator's: links in it are followed.
    ///
    /// # Errors
    /// [`ContentError::Directory`] when it is not there, not a directory or not accessible.
    pub fn open(path: &Path) -> Result<Self, ContentError> {
        let root = FileRoot::at(path)?;
        let directory = root.open_directory("");
        let directory = directory.map_err(|error| root.unusable(error))?;
        Ok(Self::new(root, String::new(), directory))
    }

    /// The directory `files` beside a document below `root`, if there is one.
    ///
    /// # Errors
    /// It leads out of `root`, or cannot be opened.
    pub fn beside(root: &FileRoot, document: &FileName) -> Result<Option<Self>, ContentError> {
        let name = FileName::parse(beside(document).as_bytes())?;
        match root.open_directory(name.as_str()) {
            Ok(directory) => Ok(Some(Self::new(root.clone(), beside(document), directory))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(root.failed("open", &name, error.into())),
        }
    }

    /// What a translation saw that found no directory `files` beside its document.
    #[must_use]
    pub fn none_beside(root: &FileRoot, document: &FileName) -> Seen {
        Seen::no_directory(root.clone(), beside(document))
    }

    fn new(root: FileRoot, beneath: String, directory: OwnedFd) -> Self {
        Self {
            directory,
            // Without a slash at the end where nothing is joined.
            path: root.path().join(&beneath).components().collect(),
            settling: SETTLING,
            bytes_left: Cell::new(MAX_READ),
            entries_left: Cell::new(MAX_ENTRIES),
            seen: RefCell::new(Seen::nothing_yet(root.clone(), beneath)),
            root,
        }
    }

    /// What was looked at.
    #[must_use]
    pub fn into_seen(self) -> Seen {
        self.seen.into_inner()
    }

    /// What a name leads to.
    fn look(&self, name: &str) -> Result<Stat, LocalError> {
        let leads_up = |part| matches!(part, "" | "." | "..");
        if !name.is_empty() && name.split('/').any(leads_up) {
            return Err(LocalError::Outside(name.to_owned()));
        }
        let clock = SystemTime::now();
        let stat = self.root.beneath().stat(self.directory.as_fd(), name);
        match &stat {
            Ok(stat) => self.saw(name, stat, clock),
            Err(error) => self.seen.borrow_mut().remember(name, Err(*error), true),
        }
        stat.map_err(|error| self.failed(name, error))
    }

    /// What a name led to, at a time not before `clock`.
    fn saw(&self, name: &str, stat: &Stat, clock: SystemTime) {
        let id = FileId::of(stat);
        let settled = is_settled(id, self.settling, clock);
        self.seen.borrow_mut().remember(name, Ok(id), settled);
    }

    fn open_beneath(&self, name: &str, flags: OFlags) -> Result<OwnedFd, LocalError> {
        let opened = self
            .root
            .beneath()
            .open(self.directory.as_fd(), name, flags);
        opened.map_err(|error| self.failed(name, error))
    }

    fn read_file(&self, name: &str) -> Result<Reading<Vec<u8>>, LocalError> {
        // Without NONBLOCK a FIFO that moved there would hold this thread until somebody writes to it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let open = || self.open_beneath(name, flags).map(File::from);
        let identify = |file: &File| {
            let stat = fstat(file).map_err(|error| self.failed(name, error))?;
            regular(name, &stat)
        };
        let reading = read_opened_at_rest(self.settling, open, identify, |file, id| {
            if id.size > MAX_BOOT_FILE {
                let limit = MAX_BOOT_FILE >> 20;
                return Err(unreadable(name, format!("it has more than {limit} MiB")));
            }
            if id.size > self.bytes_left.get() {
                return Err(LocalError::TooLarge(name.to_owned()));
            }
            // One more than there should be, so that the end is found without growing.
            let mut bytes = Vec::with_capacity(id.size as usize + 1);
            let read = file.take(id.size + 1).read_to_end(&mut bytes);
            read.map_err(|error| unreadable(name, error.to_string()))?;
            Ok((bytes.len() as u64 == id.size).then_some(bytes))
        })?;
        let reading = reading.ok_or_else(|| self.failed(name, Errno::AGAIN))?;
        self.bytes_left.update(|left| left - reading.id.size);
        Ok(reading)
    }

    fn walk(&self, name: &str) -> Result<Vec<TreeEntry>, LocalError> {
        if let Some(target) = self.link_target(name)? {
            let name = String::new();
            let kind = TreeEntryKind::Symlink { target };
            return Ok(vec![TreeEntry { name, kind }]);
        }
        let mut entries = Vec::new();
        let mut pending = vec![String::new()];
        while let Some(parent) = pending.pop() {
            for entry in self.list(&join(name, &parent))? {
                let path = join(&parent, &entry.name);
                if path.split('/').count() > MAX_DEPTH {
                    let reason = format!("it is more than {MAX_DEPTH} directories deep");
                    return Err(unreadable(name, reason));
                }
                if entry.kind == TreeEntryKind::Directory {
                    pending.push(path.clone());
                }
                entries.push(TreeEntry {
                    name: path,
                    ..entry
                });
            }
        }
        Ok(entries)
    }

    /// Where the directory `name` is a symlink to, if it is one itself.
    fn link_target(&self, name: &str) -> Result<Option<String>, LocalError> {
        if name.is_empty() {
            return Ok(None);
        }
        let (parent, last) = name.rsplit_once('/').unwrap_or(("", name));
        // Its entries tell of another link in the place of this one.
        self.look(parent)?;
        let directory = self.open_beneath(parent, OFlags::PATH | OFlags::DIRECTORY)?;
        match readlinkat(&directory, last, Vec::new()) {
            Ok(target) => text(name, target.into_bytes()).map(Some),
            Err(Errno::INVAL) => Ok(None),
            Err(error) => Err(self.failed(name, error)),
        }
    }

    /// What is in a directory, uploads that are not complete left out.
    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, LocalError> {
        let failed = |error| self.failed(path, error);
        let clock = SystemTime::now();
        let directory = self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        self.saw(path, &fstat(&directory).map_err(failed)?, clock);
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory).map_err(failed)? {
            let name = text(path, entry.map_err(failed)?.file_name().to_bytes().to_vec())?;
            if name == "." || name == ".." || is_temporary(&name) {
                continue;
            }
            let left = self.entries_left.get().checked_sub(1).ok_or_else(|| {
                unreadable(
                    path,
                    format!("there are more than {MAX_ENTRIES} entries in the trees"),
                )
            })?;
            self.entries_left.set(left);
            let entry = join(path, &name);
            let failed = |error| self.failed(&entry, error);
            let stat = match statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                // As if it had been listed a moment later.
                Err(Errno::NOENT) => {
                    self.seen.borrow_mut().doubt();
                    continue;
                }
                stat => stat.map_err(failed)?,
            };
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {
                    // Its directory's state does not tell of its mode.
                    self.saw(&entry, &stat, clock);
                    TreeEntryKind::File {
                        executable: stat.st_mode & 0o111 != 0,
                    }
                }
                FileType::Directory => TreeEntryKind::Directory,
                FileType::Symlink => {
                    let target = readlinkat(&directory, &name, Vec::new()).map_err(failed)?;
                    TreeEntryKind::Symlink {
                        target: text(&entry, target.into_bytes())?,
                    }
                }
                _ => TreeEntryKind::Other,
            };
            entries.push(TreeEntry { name, kind });
        }
        Ok(entries)
    }

    /// Names what the kernel's `error` means.
    fn failed(&self, name: &str, error: Errno) -> LocalError {
        match error {
            Errno::XDEV => LocalError::Outside(name.to_owned()),
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => {
                unreadable(name, format!("it is not in {}", self.path.display()))
            }
            Errno::LOOP => unreadable(name, "there is a symbolic link that is not followed"),
            Errno::AGAIN => unreadable(name, "it is being written to"),
            error => unreadable(name, io::Error::from(error).to_string()),
        }
    }
}

impl Files for FilesDirectory {
    fn read(&self, name: &str) -> Result<Vec<u8>, LocalError> {
        // Asked first, because opening alone can disturb a device.
        regular(name, &self.look(name)?)?;
        let read = self.read_file(name);
        let mut seen = self.seen.borrow_mut();
        match &read {
            Ok(reading) => seen.remember(name, Ok(reading.id), reading.settled),
            Err(_) => seen.doubt(),
        }
        read.map(|reading| reading.value)
    }

    fn tree(&self, name: &str) -> Result<Vec<TreeEntry>, LocalError> {
        if FileKind::of(&self.look(name)?) != Some(FileKind::Directory) {
            return Err(unreadable(name, "it is not a directory"));
        }
        self.walk(name)
            .inspect_err(|_| self.seen.borrow_mut().doubt())
    }
}

/// The path of the files directory of a document.
fn beside(document: &FileName) -> String {
    join(document.split().0, NAME)
}

/// The state of a file, unless it is not a regular one.
fn regular(name: &str, stat: &Stat) -> Result<FileId, LocalError> {
    match FileKind::of(stat) {
        None => Ok(FileId::of(stat)),
        Some(kind) => Err(unreadable(
            name,
            format!("it is {kind}, not a regular file"),
        )),
    }
}

/// A name, or where a symlink leads; of a config, so it must be text.
fn text(name: &str, bytes: Vec<u8>) -> Result<String, LocalError> {
    String::from_utf8(bytes).map_err(|error| {
        let bytes = error.as_bytes().escape_ascii();
        unreadable(name, format!("\"{bytes}\" is not UTF-8"))
    })
}

fn unreadable(name: &str, reason: impl Into<String>) -> LocalError {
    // The files directory itself has no name.
    let name = if name.is_empty() { "." } else { name };
    LocalError::Unreadable {
        name: name.to_owned(),
        reason: reason.into(),
    }
}

fn join(directory: &str, name: &str) -> String {
    match (directory, name) {
        ("", name) | (name, "") => name.to_owned(),
        _ => format!("{directory}/{name}"),
    }
}

#[cfg(test)]
mod tests;
