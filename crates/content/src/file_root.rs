//! The directory that boot files live in, and the only way to them.

mod change;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstat, lstat, openat};
use rustix::io::Errno;

use crate::beneath::Beneath;
use crate::{ContentError, FileId, FileKind, FileName, temporary};

/// The kickstarts directory. No name reaches a file outside of it, whatever links lie in it and whoever renames
/// what meanwhile.
///
/// The kernel confines every access (`openat2` with `RESOLVE_BENEATH`): relative symbolic links are followed as long
/// as they stay inside. Where it offers no such call, symbolic links in the directory are not followed at all.
///
/// The directory is opened by its path at each access, not held: one that is replaced as a whole (`mv` of a new
/// tree, a switched symbolic link, a mount) is served from the next request on, and while it is gone requests
/// fail with [`ContentError::Directory`]. The path itself is the administrator's, and links in it are followed.
#[derive(Debug, Clone)]
pub struct FileRoot {
    path: PathBuf,
    beneath: Beneath,
}

impl FileRoot {
    /// Opens the directory at `path`, and removes what a crash during an upload left there.
    ///
    /// # Errors
    /// [`ContentError::Directory`] when it is not there, not a directory or not accessible.
    pub fn open(path: &Path) -> Result<Self, ContentError> {
        let root = Self::at(path)?;
        temporary::remove_abandoned(&root)?;
        Ok(root)
    }

    /// The same, but changes nothing there.
    pub(crate) fn at(path: &Path) -> Result<Self, ContentError> {
        let path = std::path::absolute(path).map_err(|source| ContentError::Directory {
            path: path.to_owned(),
            source,
        })?;
        let mut root = Self {
            path,
            beneath: Beneath::Openat2,
        };
        root.beneath = Beneath::probe(root.top().map_err(|error| root.unusable(error))?.as_fd());
        Ok(root)
    }

    /// The same on a kernel without `openat2`.
    #[cfg(test)]
    pub(crate) fn open_without_openat2(path: &Path) -> Result<Self, ContentError> {
        Ok(Self {
            beneath: Beneath::NoFollow,
            ..Self::open(path)?
        })
    }

    /// The same directory, but no symbolic link in it is followed: a file has one name.
    #[must_use]
    pub fn without_links(&self) -> Self {
        Self {
            beneath: Beneath::NoFollow,
            ..self.clone()
        }
    }

    /// The absolute path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The identity of the regular file that `name` leads to now.
    ///
    /// One system call for a file of the top directory: a single component that is no symbolic link cannot lead
    /// outside, so `lstat` is as safe as a confined open. Names with a `/` and symbolic links are resolved by a
    /// confined open (four calls). Either way the answer is what opening the file now would find.
    ///
    /// # Errors
    /// When there is no such file, it is not a regular file, or the way to it is refused.
    pub fn stat(&self, name: &FileName) -> Result<FileId, ContentError> {
        if !name.as_str().contains('/')
            && let Ok(stat) = lstat(self.path.join(name.as_str()))
            && FileKind::of(&stat).is_none()
        {
            return Ok(FileId::of(&stat));
        }
        let file = self.open_beneath(name, OFlags::PATH)?;
        self.identify(name, &file)
    }

    /// Opens the regular file `name` for reading.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub fn open_file(&self, name: &FileName) -> Result<File, ContentError> {
        // Asked first, because opening alone can disturb a device; asked again, because the name may have moved.
        self.stat(name)?;
        // Without NONBLOCK a FIFO that moved there would hold this thread until somebody writes to it.
        let file = self.open_beneath(name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        self.identify(name, &file)?;
        Ok(file)
    }

    /// The identity of an open file, unless it is not a regular one.
    pub(crate) fn identify(&self, name: &FileName, file: &File) -> Result<FileId, ContentError> {
        let stat = fstat(file).map_err(|error| self.failed("read", name, error.into()))?;
        match FileKind::of(&stat) {
            None => Ok(FileId::of(&stat)),
            Some(FileKind::SymbolicLink) => Err(self.failed("read", name, Errno::LOOP.into())),
            Some(kind) => Err(self.not_regular(name, kind)),
        }
    }

    pub(crate) fn not_regular(&self, name: &FileName, kind: FileKind) -> ContentError {
        ContentError::NotRegular {
            name: name.clone(),
            directory: self.path.clone(),
            kind,
        }
    }

    pub(crate) fn open_beneath(
        &self,
        name: &FileName,
        flags: OFlags,
    ) -> Result<File, ContentError> {
        let top = self.top().map_err(|error| self.unusable(error))?;
        let opened = self.beneath.open(top.as_fd(), name.as_str(), flags);
        opened
            .map(File::from)
            .map_err(|error| self.failed("read", name, error.into()))
    }

    /// Opens the directory `path` inside this one (empty: this one), to list it, change it or sync it.
    pub(crate) fn open_directory(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        self.beneath.open(self.top()?.as_fd(), path, flags)
    }

    /// How paths are kept beneath this directory, and beneath those in it.
    pub(crate) const fn beneath(&self) -> Beneath {
        self.beneath
    }

    fn top(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, &self.path, flags, Mode::empty())
    }

    /// The directory itself cannot be used.
    pub(crate) fn unusable(&self, error: Errno) -> ContentError {
        ContentError::Directory {
            path: self.path.clone(),
            source: error.into(),
        }
    }

    /// Names what the kernel's `source` means for a file that was to be stored as `name`.
    #[must_use]
    pub fn not_stored(&self, name: &FileName, source: io::Error) -> ContentError {
        self.failed("store", name, source)
    }

    /// Names what the kernel's `source` means for the file `name`.
    pub(crate) fn failed(
        &self,
        action: &'static str,
        name: &FileName,
        source: io::Error,
    ) -> ContentError {
        let (name, directory) = (name.clone(), self.path.clone());
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => {
                ContentError::NotFound { name, directory }
            }
            Some(Errno::XDEV) => ContentError::Escapes { name, directory },
            Some(Errno::LOOP) => ContentError::SymbolicLink { name, directory },
            Some(Errno::AGAIN) => ContentError::Changing { name, directory },
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => ContentError::NoSpace {
                name,
                directory,
                source,
            },
            _ => ContentError::Io {
                action,
                name,
                directory,
                source,
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::{fs, thread};

    use rustix::fs::{FileType, Mode, makedev, mkfifoat, mknodat};

    use super::*;

    fn name(name: &str) -> FileName {
        name.parse().unwrap()
    }

    fn both(path: &Path) -> [FileRoot; 2] {
        let with_openat2 = FileRoot::open(path).unwrap();
        assert_eq!(
            with_openat2.beneath,
            Beneath::Openat2,
            "this test needs Linux 5.6"
        );
        [with_openat2, FileRoot::open_without_openat2(path).unwrap()]
    }

    fn read(root: &FileRoot, name: &FileName) -> Result<String, ContentError> {
        let mut text = String::new();
        root.open_file(name)?.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    fn outcome(result: Result<String, ContentError>) -> String {
        match result {
            Ok(text) => text,
            Err(ContentError::NotFound { .. }) => "not found".to_owned(),
            Err(ContentError::Escapes { .. }) => "escapes".to_owned(),
            Err(ContentError::SymbolicLink { .. }) => "link".to_owned(),
            Err(ContentError::NotRegular { kind, .. }) => kind.to_string(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn no_name_leaves_the_directory_or_opens_what_is_no_file() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path().join("kickstarts");
        fs::create_dir_all(top.join("sub")).unwrap();
        fs::write(home.path().join("secret"), "secret").unwrap();
        fs::write(top.join("basic.ks"), "basic").unwrap();
        fs::write(top.join("sub/a.ks"), "a").unwrap();
        for (link, target) in [
            ("inside", "basic.ks"),
            ("insidedir", "sub"),
            ("sub/back", "../basic.ks"),
            ("out", "/etc/passwd"),
            ("outdir", "/etc"),
            ("up", "../secret"),
            ("updir", ".."),
            ("sub/up", "../../secret"),
            ("roundabout", "../kickstarts/basic.ks"),
            ("magic", "/proc/self/root"),
            ("loop", "loop"),
            ("dangling", "nothing"),
        ] {
            symlink(target, top.join(link)).unwrap();
        }
        symlink(top.join("basic.ks"), top.join("absolute")).unwrap();
        mkfifoat(CWD, top.join("fifo"), Mode::RWXU).unwrap();
        let _listener = UnixListener::bind(top.join("socket")).unwrap();
        let device = mknodat(
            CWD,
            top.join("device"),
            FileType::CharacterDevice,
            Mode::RWXU,
            makedev(1, 3),
        );

        // Name; outcome with openat2; outcome without.
        let mut table = vec![
            ("basic.ks", "basic", "basic"),
            ("sub/a.ks", "a", "a"),
            ("inside", "basic", "link"),
            ("insidedir/a.ks", "a", "link"),
            ("sub/back", "basic", "link"),
            ("out", "escapes", "link"),
            ("outdir/passwd", "escapes", "link"),
            ("up", "escapes", "link"),
            ("updir/secret", "escapes", "link"),
            ("updir/kickstarts/basic.ks", "escapes", "link"),
            ("sub/up", "escapes", "link"),
            ("roundabout", "escapes", "link"),
            ("absolute", "escapes", "link"),
            ("magic/etc/passwd", "escapes", "link"),
            ("loop", "link", "link"),
            ("dangling", "not found", "link"),
            ("nothing", "not found", "not found"),
            ("nothing/x", "not found", "not found"),
            ("basic.ks/x", "not found", "not found"),
            ("sub", "a directory", "a directory"),
            ("insidedir", "a directory", "link"),
            ("fifo", "a FIFO", "a FIFO"),
            ("socket", "a socket", "a socket"),
        ];
        match device {
            Ok(()) => table.push(("device", "a device", "a device")),
            Err(error) => eprintln!("NOT TESTED: a device in the directory (mknod: {error})"),
        }
        let [with_openat2, without] = both(&top);
        for (path, expected, expected_without) in table {
            let name = name(path);
            assert_eq!(outcome(read(&with_openat2, &name)), expected, "{path}");
            assert_eq!(
                outcome(read(&without, &name)),
                expected_without,
                "{path}, no openat2"
            );
            for root in [&with_openat2, &without] {
                assert_eq!(
                    root.stat(&name).is_ok(),
                    read(root, &name).is_ok(),
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn magic_links_are_not_followed_even_inside() {
        // In /proc/self/fd every entry is a magic link; the directory served is /proc itself.
        for root in both(Path::new("/proc/self")) {
            assert_eq!(outcome(read(&root, &name("exe"))), "link");
            assert_eq!(outcome(read(&root, &name("root/etc/passwd"))), "link");
        }
    }

    #[test]
    fn a_name_that_others_keep_changing_never_yields_what_is_outside() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path().join("kickstarts");
        fs::create_dir(&top).unwrap();
        fs::write(home.path().join("secret"), "secret").unwrap();
        fs::create_dir(home.path().join("outside")).unwrap();
        fs::write(home.path().join("outside/a.ks"), "secret").unwrap();
        thread::scope(|scope| {
            let renamer = scope.spawn(|| {
                for _ in 0..1000 {
                    fs::write(top.join("next"), "inside").unwrap();
                    fs::rename(top.join("next"), top.join("x")).unwrap();
                    symlink("../secret", top.join("next")).unwrap();
                    fs::rename(top.join("next"), top.join("x")).unwrap();
                    mkfifoat(CWD, top.join("next"), Mode::RWXU).unwrap();
                    fs::rename(top.join("next"), top.join("x")).unwrap();
                    fs::create_dir(top.join("sub")).unwrap();
                    fs::write(top.join("sub/a.ks"), "inside").unwrap();
                    fs::remove_dir_all(top.join("sub")).unwrap();
                    symlink("../outside", top.join("sub")).unwrap();
                    fs::remove_file(top.join("sub")).unwrap();
                }
            });
            let mut read_inside = 0;
            let roots = both(&top);
            while !renamer.is_finished() {
                for (root, path) in [(0, "x"), (1, "x"), (0, "sub/a.ks"), (1, "sub/a.ks")] {
                    if let Ok(text) = read(&roots[root], &name(path)) {
                        assert!(text == "inside" || text.is_empty(), "{text}");
                        read_inside += 1;
                    }
                }
            }
            assert!(read_inside > 0, "the race was never run");
        });
    }

    #[test]
    fn a_directory_that_is_replaced_is_served_at_once() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path().join("kickstarts");
        fs::create_dir(&top).unwrap();
        fs::write(top.join("x"), "old").unwrap();
        for root in both(&top) {
            assert_eq!(read(&root, &name("x")).unwrap(), "old");
            fs::rename(&top, home.path().join("aside")).unwrap();
            let error = root.stat(&name("x")).unwrap_err();
            assert!(matches!(error, ContentError::Directory { .. }), "{error}");
            fs::create_dir(&top).unwrap();
            fs::write(top.join("x"), "new").unwrap();
            assert_eq!(read(&root, &name("x")).unwrap(), "new");
            fs::remove_dir_all(&top).unwrap();
            fs::rename(home.path().join("aside"), &top).unwrap();
        }
    }

    #[test]
    fn errors_say_what_and_where() {
        let home = tempfile::tempdir().unwrap();
        let root = FileRoot::open(home.path()).unwrap();
        let expected = format!("no file \"x.ks\" in {}", home.path().display());
        assert_eq!(root.stat(&name("x.ks")).unwrap_err().to_string(), expected);
        let gone = FileRoot::open(&home.path().join("gone")).unwrap_err();
        assert!(gone.to_string().contains("/gone: No such file"), "{gone}");
    }
}
