//! [`Files`]: the files of this head that all heads are to have.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use content::packages::{PackageFile, Packages};
use content::{
    BootFiles, ContentError, FileId, FileName, FileRoot, FileState, Hashed, OpenFile, PartialFile,
    Survey, Watch,
};
use model::{FileContent, FilePath, Sha256Digest, Tree};
use package::Kind;
use serde::{Deserialize, Serialize};

use super::decision::Agreed;

/// The programs that the tree of Ignition's may hold.
const IGNITION: [&str; 2] = ["x86_64/ignition", "aarch64/ignition"];

/// The files of this head that all heads are to have. All of it blocks, but for [`digest`](Self::digest).
///
/// No symbolic link in the directories is followed, and none is replicated.
pub struct Files {
    boot_files: Arc<BootFiles>,
    packages: Arc<Packages>,
    ignition: FileRoot,
    digests: Mutex<HashMap<FilePath, Digest>>,
}

/// A directory of its own: may be a mount of its own, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Directory {
    Kickstarts,
    Packages(Kind),
    Ignition,
}

impl Directory {
    pub(super) const ALL: [Self; 5] = [
        Self::Kickstarts,
        Self::Packages(Kind::Rpm),
        Self::Packages(Kind::Deb),
        Self::Packages(Kind::Tar),
        Self::Ignition,
    ];

    /// The file `name` of this directory, if it is one that all heads have.
    fn path(self, name: &FileName) -> Option<FilePath> {
        match self {
            Self::Kickstarts => Some(FilePath::new(Tree::Kickstarts, name.as_str())),
            Self::Packages(kind) => {
                let file = PackageFile::new(kind, name.clone()).ok()?;
                Some(FilePath::new(Tree::Clientpkgs, file.to_string()))
            }
            Self::Ignition => {
                let is_program = IGNITION.contains(&name.as_str());
                is_program.then(|| FilePath::new(Tree::Ignition, name.as_str()))
            }
        }
    }

    pub(super) const fn tree(self) -> Tree {
        match self {
            Self::Kickstarts => Tree::Kickstarts,
            Self::Packages(_) => Tree::Clientpkgs,
            Self::Ignition => Tree::Ignition,
        }
    }

    /// The directory that a file is in, as far as its path tells.
    pub(super) fn of(path: &FilePath) -> Option<Self> {
        match path.tree {
            Tree::Kickstarts => Some(Self::Kickstarts),
            Tree::Clientpkgs => {
                let (kind, _) = path.path.split_once('/')?;
                Some(Self::Packages(kind.parse().ok()?))
            }
            Tree::Ignition => Some(Self::Ignition),
        }
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packages(kind) => write!(f, "{}/{kind}", Tree::Clientpkgs),
            Self::Kickstarts | Self::Ignition => write!(f, "{}", self.tree()),
        }
    }
}

/// Where a file is.
enum Place {
    BootFile(FileName),
    Package(PackageFile),
    Ignition(FileName),
}

impl Place {
    /// `None` for what no head may have.
    fn of(path: &FilePath) -> Option<Self> {
        let name = |text: &str| text.parse::<FileName>().ok();
        match path.tree {
            Tree::Kickstarts => Some(Self::BootFile(name(&path.path)?)),
            Tree::Clientpkgs => {
                let (kind, rest) = path.path.split_once('/')?;
                let file = PackageFile::new(kind.parse().ok()?, name(rest)?).ok()?;
                Some(Self::Package(file))
            }
            Tree::Ignition => {
                let is_program = IGNITION.contains(&path.path.as_str());
                Some(Self::Ignition(name(&path.path)?)).filter(|_| is_program)
            }
        }
    }
}

/// What tells one state of a file from another, after a restart too: not its device, whose number may be another one
/// then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    ino: u64,
    size: u64,
    mtime: i64,
    ctime: i64,
    mode: u32,
}

impl From<FileState> for Stamp {
    fn from(state: FileState) -> Self {
        Self {
            ino: state.id.ino,
            size: state.id.size,
            mtime: state.mtime(),
            ctime: state.ctime(),
            mode: state.mode,
        }
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Digest {
    pub(super) stamp: Stamp,
    pub(super) sha256: Sha256Digest,
    /// Whether the stamp proves the digest.
    #[serde(skip, default = "yes")]
    pub(super) is_settled: bool,
}

const fn yes() -> bool {
    true
}

impl Files {
    /// The files that these keep, and the programs below the directory `ignition`.
    #[must_use]
    pub fn new(boot_files: Arc<BootFiles>, packages: Arc<Packages>, ignition: &FileRoot) -> Self {
        Self {
            boot_files,
            packages,
            ignition: ignition.without_links(),
            digests: Mutex::default(),
        }
    }

    /// Where a file is, and its name there: the only way from a path of the manifest to a disk.
    ///
    /// # Errors
    /// No head may have such a file.
    pub fn locate(&self, path: &FilePath) -> Result<(FileRoot, FileName), NoSuchPlace> {
        let place = self.place_of(path)?;
        Ok(match place {
            Place::BootFile(name) => (self.root(Directory::Kickstarts), name),
            Place::Package(file) => {
                let root = self.root(Directory::Packages(file.kind()));
                (root, file.name().clone())
            }
            Place::Ignition(name) => (self.root(Directory::Ignition), name),
        })
    }

    /// The digest of a file in this state, if it is known.
    pub fn digest(&self, path: &FilePath, id: FileId) -> Option<Sha256Digest> {
        if let Ok(Place::Package(file)) = self.place_of(path)
            && let Some(entry) = self.packages.list().get(&file)
            && entry.file_id == id
        {
            return entry.sha256();
        }
        let digests = self.digests();
        let known = digests.get(path).filter(|known| {
            let state = FileState {
                id,
                mode: known.stamp.mode,
            };
            known.is_settled && known.stamp == state.into()
        });
        known.map(|known| known.sha256)
    }

    /// The file that lies at this path of a disk, if it is one that all heads have.
    pub(super) fn path_of(&self, file: &Path) -> Option<FilePath> {
        Directory::ALL.into_iter().find_map(|directory| {
            let root = self.root(directory);
            let name = file.strip_prefix(root.path()).ok()?;
            directory.path(&FileName::parse(name.as_os_str().as_bytes()).ok()?)
        })
    }

    /// What lies in a directory: how it is, and its files that all heads are to have.
    pub(super) fn survey(
        &self,
        directory: Directory,
        watch: Option<&Watch>,
    ) -> Result<(Survey, Vec<(FilePath, FileState)>), ContentError> {
        let mut survey = self.root(directory).survey(watch)?;
        let found = std::mem::take(&mut survey.files).into_iter();
        let files = found.filter_map(|(name, state)| Some((directory.path(&name)?, state)));
        let files = files.collect();
        Ok((survey, files))
    }

    /// What a file holds now. Reads it only if that is not known. `None` when there is certainly no such file.
    pub(super) fn read(&self, path: &FilePath) -> Result<Option<Hashed>, FileError> {
        let (root, name) = self.locate(path)?;
        let Some(state) = root.state(&name)? else {
            return Ok(None);
        };
        if let Some(Digest {
            sha256,
            is_settled: true,
            ..
        }) = self.known(path, state)
        {
            let is_settled = true;
            return Ok(Some(Hashed {
                state,
                sha256,
                is_settled,
            }));
        }
        let hashed = root.hash(&name)?;
        let known = Digest {
            stamp: hashed.state.into(),
            sha256: hashed.sha256,
            is_settled: hashed.is_settled,
        };
        self.learn(path.clone(), known);
        Ok(Some(hashed))
    }

    /// What is known of a file that has this stamp.
    pub(super) fn known(&self, path: &FilePath, state: FileState) -> Option<Digest> {
        let stamp = state.into();
        let known = self.digests().get(path).copied();
        known.filter(|known| known.stamp == stamp).or_else(|| {
            let sha256 = self.digest(path, state.id)?;
            let is_settled = true;
            Some(Digest {
                stamp,
                sha256,
                is_settled,
            })
        })
    }

    pub(super) fn learn(&self, path: FilePath, digest: Digest) {
        self.digests().insert(path, digest);
    }

    pub(super) fn forget(&self, path: &FilePath) {
        self.digests().remove(path);
    }

    /// Opens a file that is in the state `expected`, to copy it.
    pub(super) fn open(&self, path: &FilePath, expected: FileState) -> Result<OpenFile, FileError> {
        let (root, name) = self.locate(path)?;
        let file = OpenFile::beneath(&root, &name)?;
        if file.id() == expected.id {
            return Ok(file);
        }
        let error = io::Error::other("it changed meanwhile");
        Err(FileError::Copy(error))
    }

    /// Gives a file that is whole and synced its name, if what has it now is in the state `expected`: what it was then.
    pub(super) fn place(
        &self,
        path: &FilePath,
        content: &FileContent,
        file: PartialFile,
        expected: Option<FileState>,
    ) -> Result<Agreed, FileError> {
        let whole = file.file().metadata().map_err(FileError::Arrived)?;
        let state = match self.place_of(path)? {
            Place::BootFile(name) => self.boot_files.place(&name, file, expected),
            Place::Package(package) => {
                self.packages
                    .place(&package, file, content.sha256, expected)
            }
            Place::Ignition(name) => self.ignition.place(&name, file, expected),
        }?;
        let seconds = whole.mtime().saturating_mul(1_000_000_000);
        let mtime = seconds.saturating_add(whole.mtime_nsec());
        // Somebody may have replaced or changed it at once. Whoever writes to it sets another time than the one that it
        // was just given.
        if (state.id.ino, state.id.size, state.mtime()) == (whole.ino(), whole.size(), mtime) {
            let known = Digest {
                stamp: state.into(),
                sha256: content.sha256,
                is_settled: true,
            };
            self.learn(path.clone(), known);
        }
        Ok(Agreed {
            listed: *content,
            mode: whole.mode() & 0o777,
            mtime,
        })
    }

    /// Removes what came so far of a version that is not wanted any more. `false` while it is still being written.
    pub(super) fn discard(&self, path: &FilePath, version: Sha256Digest) -> bool {
        let Ok((root, name)) = self.locate(path) else {
            return true;
        };
        let beside = root.path().join(name.as_str());
        if !beside.parent().is_some_and(Path::is_dir) {
            return true;
        }
        match PartialFile::open(&root, &name, version) {
            Ok(partial) => {
                partial.discard();
                true
            }
            Err(error) => !matches!(error, ContentError::Changing { .. }),
        }
    }

    /// Gives a file that is in the state `expected` mode and time of `content`.
    pub(super) fn set_metadata(
        &self,
        path: &FilePath,
        content: &FileContent,
        expected: FileState,
    ) -> Result<FileState, FileError> {
        let FileContent { mode, mtime, .. } = *content;
        let set = match self.place_of(path)? {
            Place::BootFile(name) => self.boot_files.set_metadata(&name, expected, mode, mtime),
            Place::Package(package) => self.packages.set_metadata(&package, expected, mode, mtime),
            Place::Ignition(name) => self.ignition.set_metadata(&name, expected, mode, mtime),
        }?;
        let mut digests = self.digests();
        if let Some(known) = digests.get_mut(path)
            && known.stamp == expected.into()
            // It is still the same one.
            && (set.id.ino, set.id.size) == (expected.id.ino, expected.id.size)
        {
            known.stamp = set.into();
        }
        Ok(set)
    }

    /// Deletes a file that is in the state `expected`.
    pub(super) fn remove(&self, path: &FilePath, expected: FileState) -> Result<(), FileError> {
        match self.place_of(path)? {
            Place::BootFile(name) => self.boot_files.remove(&name, expected),
            Place::Package(package) => self.packages.remove_replica(&package, expected),
            Place::Ignition(name) => self.ignition.remove(&name, expected),
        }?;
        self.forget(path);
        Ok(())
    }

    fn root(&self, directory: Directory) -> FileRoot {
        match directory {
            Directory::Kickstarts => self.boot_files.root().without_links(),
            Directory::Packages(kind) => self.packages.root(kind).without_links(),
            Directory::Ignition => self.ignition.clone(),
        }
    }

    fn place_of(&self, path: &FilePath) -> Result<Place, NoSuchPlace> {
        Place::of(path).ok_or_else(|| NoSuchPlace(path.clone()))
    }

    fn digests(&self) -> MutexGuard<'_, HashMap<FilePath, Digest>> {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path that no head may have a file at.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no file that heads may have")]
pub struct NoSuchPlace(pub FilePath);

/// Why nothing is known of a file, or nothing could be done to it.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error(transparent)]
    NoSuchPlace(#[from] NoSuchPlace),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("cannot keep a copy of it: {0}")]
    Copy(io::Error),
    #[error("what arrived of it cannot be read: {0}")]
    Arrived(io::Error),
    #[error("it is not wanted any more")]
    Unwanted,
}

impl FileError {
    /// Whether the file is being written to: it will rest.
    pub(super) fn is_changing(&self) -> bool {
        matches!(self, Self::Content(ContentError::Changing { .. }))
    }
}
