//! Storing and deleting boot files, on behalf of administrators and of other heads.

use std::io::{self, Read, Write as _};
use std::sync::PoisonError;

use crate::digest::Hasher;
use crate::temporary::Temporary;
use crate::{
    BootFiles, ContentError, FileEntry, FileName, FileState, MAX_BOOT_FILE, PartialFile,
    Sha256Digest,
};

/// What must be true of the present file for a change to happen (RFC 9110 section 13.1).
#[derive(Clone, Copy)]
pub enum Precondition<'a> {
    /// Nothing.
    None,
    /// There is no such file (`If-None-Match: *`).
    Absent,
    /// There is such a file (`If-Match: *`).
    Present,
    /// There is such a file, and its digest is one of those that the function accepts (`If-Match: "…"`).
    Matches(&'a dyn Fn(&Sha256Digest) -> bool),
}

/// What an upload came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The file as it is now.
    pub entry: FileEntry,
    /// Whether there was none of that name before.
    pub created: bool,
}

impl BootFiles {
    /// Stores `body` as the file `name`, with mode 0644, making the sub-directories it needs. Readers see the old
    /// file or the new one, nothing between, and so does a head that loses power. A symbolic link of that name is
    /// replaced, not followed. An empty body is stored as it is, though no node will get it.
    ///
    /// After an error nothing is left behind: no part of the file, and no empty directory on the way to it.
    ///
    /// # Errors
    /// A precondition that fails, a body of more than [`MAX_BOOT_FILE`] bytes or one that breaks off, a full disk,
    /// a directory of that name, a file where a directory must be.
    pub fn put(
        &self,
        name: &FileName,
        body: impl Read,
        precondition: Precondition<'_>,
    ) -> Result<Stored, ContentError> {
        let stored = self.store(name, body, precondition);
        if stored.is_err() {
            self.root.remove_emptied_directories(name);
        }
        stored
    }

    /// Deletes the file `name`, or the symbolic link, and the directories on the way to it that are empty then:
    /// a sub-directory exists as long as it holds a file.
    ///
    /// # Errors
    /// A precondition that fails, no such file, something else than a file, a disk that fails.
    pub fn delete(
        &self,
        name: &FileName,
        precondition: Precondition<'_>,
    ) -> Result<(), ContentError> {
        let _alone = self.edits.lock().unwrap_or_else(PoisonError::into_inner);
        self.check(name, precondition)?;
        self.root.delete(name)?;
        self.root.remove_emptied_directories(name);
        Ok(())
    }

    /// Gives a file that another head has the name `name`, if that is in the state `expected` here: the state it is in
    /// then. The file is whole and synced.
    ///
    /// # Errors
    /// [`ContentError::Changing`] when it is in another state; something else than a file is in the way.
    pub fn place(
        &self,
        name: &FileName,
        file: PartialFile,
        expected: Option<FileState>,
    ) -> Result<FileState, ContentError> {
        let _alone = self.edits.lock().unwrap_or_else(PoisonError::into_inner);
        self.root.without_links().place(name, file, expected)
    }

    /// Sets permission bits and time of the file `name`, if it is in the state `expected`: the state it is in then.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub fn set_metadata(
        &self,
        name: &FileName,
        expected: FileState,
        mode: u32,
        mtime: i64,
    ) -> Result<FileState, ContentError> {
        let _alone = self.edits.lock().unwrap_or_else(PoisonError::into_inner);
        let root = self.root.without_links();
        root.set_metadata(name, expected, mode, mtime)
    }

    /// Deletes the file `name`, if it is in the state `expected`, and the directories that are empty then.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub fn remove(&self, name: &FileName, expected: FileState) -> Result<(), ContentError> {
        let _alone = self.edits.lock().unwrap_or_else(PoisonError::into_inner);
        self.root.without_links().remove(name, expected)
    }

    fn store(
        &self,
        name: &FileName,
        body: impl Read,
        precondition: Precondition<'_>,
    ) -> Result<Stored, ContentError> {
        let failed = |source: io::Error| self.root.failed("store", name, source);
        let mut temporary = self.root.create_temporary(name)?;
        let (size, sha256) = self.receive(name, body, &mut temporary)?;
        temporary.file.sync_all().map_err(failed)?;
        let id = self.root.identify(name, &temporary.file)?;

        let _alone = self.edits.lock().unwrap_or_else(PoisonError::into_inner);
        self.check(name, precondition)?;
        let created = self.root.publish(temporary, name)?;
        Ok(Stored {
            entry: FileEntry {
                name: name.clone(),
                size,
                sha256: Some(sha256),
                modified: id.mtime,
            },
            created,
        })
    }

    fn check(&self, name: &FileName, precondition: Precondition<'_>) -> Result<(), ContentError> {
        if matches!(precondition, Precondition::None) {
            return Ok(());
        }
        let found = match self.digest(name) {
            Ok((_, sha256)) => Some(sha256),
            Err(ContentError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let holds = match (precondition, &found) {
            (Precondition::None, _)
            | (Precondition::Absent, None)
            | (Precondition::Present, Some(_)) => true,
            (Precondition::Matches(accepts), Some(sha256)) => accepts(sha256),
            (Precondition::Absent, Some(_))
            | (Precondition::Present | Precondition::Matches(_), None) => false,
        };
        if holds {
            return Ok(());
        }
        Err(ContentError::Precondition {
            name: name.clone(),
            found,
        })
    }

    /// Writes the body to the file, and counts and hashes it.
    fn receive(
        &self,
        name: &FileName,
        body: impl Read,
        temporary: &mut Temporary,
    ) -> Result<(u64, Sha256Digest), ContentError> {
        let mut body = body.take(MAX_BOOT_FILE + 1);
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let part = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => &buffer[..length],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(ContentError::Upload {
                        name: name.clone(),
                        source,
                    });
                }
            };
            hasher
                .write_all(part)
                .and_then(|()| temporary.file.write_all(part))
                .map_err(|source| self.root.failed("store", name, source))?;
        }
        let (size, sha256) = hasher.finish();
        if size > MAX_BOOT_FILE {
            return Err(ContentError::TooLarge {
                name: name.clone(),
                limit: MAX_BOOT_FILE,
            });
        }
        Ok((size, sha256))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;
    use crate::FileRoot;

    fn name(name: &str) -> FileName {
        name.parse().unwrap()
    }

    fn open(path: &Path) -> BootFiles {
        BootFiles::new(FileRoot::open(path).unwrap())
    }

    /// Everything in the directory, unfinished uploads and directories too.
    fn tree(path: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut pending = vec![path.to_owned()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    pending.push(entry.path());
                }
                found.push(entry.path().strip_prefix(path).unwrap().to_owned());
            }
        }
        found.sort();
        found
    }

    #[test]
    fn a_file_is_stored_replaced_and_deleted() {
        let home = tempfile::tempdir().unwrap();
        let files = open(home.path());
        let name = name("a/b/x.ks");
        let stored = files.put(&name, &b"one"[..], Precondition::None).unwrap();
        assert!(stored.created);
        assert_eq!(stored.entry, files.entry(&name).unwrap());
        assert_eq!(files.boot_file(&name).unwrap().bytes, "one");
        let mode = fs::metadata(home.path().join("a/b/x.ks")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o644);

        let stored = files.put(&name, &b"two"[..], Precondition::None).unwrap();
        assert!(!stored.created);
        assert_eq!(files.boot_file(&name).unwrap().bytes, "two");
        assert_eq!(
            tree(home.path()),
            ["a", "a/b", "a/b/x.ks"].map(PathBuf::from)
        );

        fs::write(home.path().join("a/y.ks"), "y").unwrap();
        files.delete(&name, Precondition::None).unwrap();
        assert_eq!(tree(home.path()), ["a", "a/y.ks"].map(PathBuf::from));
        let error = files.delete(&name, Precondition::None).unwrap_err();
        assert!(matches!(error, ContentError::NotFound { .. }), "{error}");
    }

    #[test]
    fn preconditions_guard_changes() {
        let home = tempfile::tempdir().unwrap();
        let files = open(home.path());
        let name = name("sub/x");
        let one = |sha256: &Sha256Digest| *sha256 == Sha256Digest::of(b"one");
        let matches_one = Precondition::Matches(&one);
        let put = |body: &'static [u8], precondition| files.put(&name, body, precondition);
        let refused = |result: Result<Stored, ContentError>| match result.unwrap_err() {
            ContentError::Precondition { found, .. } => found,
            error => panic!("{error}"),
        };

        assert_eq!(refused(put(b"one", Precondition::Present)), None);
        assert_eq!(refused(put(b"one", matches_one)), None);
        assert!(tree(home.path()).is_empty());
        put(b"one", Precondition::Absent).unwrap();
        let one = Some(Sha256Digest::of(b"one"));
        assert_eq!(refused(put(b"two", Precondition::Absent)), one);
        put(b"two", matches_one).unwrap();
        let two = Some(Sha256Digest::of(b"two"));
        assert_eq!(refused(put(b"three", matches_one)), two);
        assert!(files.delete(&name, matches_one).is_err());
        assert_eq!(files.boot_file(&name).unwrap().bytes, "two");
        files.delete(&name, Precondition::Present).unwrap();
    }

    #[test]
    fn an_upload_that_breaks_off_or_is_too_large_leaves_nothing() {
        struct BrokenPipe;
        impl Read for BrokenPipe {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let home = tempfile::tempdir().unwrap();
        let files = open(home.path());
        let name = name("a/b/x");
        let broken = (&b"half"[..]).chain(BrokenPipe);
        let error = files.put(&name, broken, Precondition::None).unwrap_err();
        assert!(matches!(error, ContentError::Upload { .. }), "{error}");
        let error = files
            .put(&name, io::repeat(b'x'), Precondition::None)
            .unwrap_err();
        assert!(matches!(error, ContentError::TooLarge { .. }), "{error}");
        assert!(tree(home.path()).is_empty());
    }

    #[test]
    fn files_and_directories_do_not_take_each_others_place() {
        let home = tempfile::tempdir().unwrap();
        let files = open(home.path());
        fs::create_dir(home.path().join("dir")).unwrap();
        fs::write(home.path().join("dir/kept"), "kept").unwrap();
        fs::write(home.path().join("file"), "text").unwrap();
        let put = |path: &str| {
            files
                .put(&name(path), &b"new"[..], Precondition::None)
                .unwrap_err()
        };
        let error = put("dir").to_string();
        assert!(
            error.ends_with("is a directory, not a regular file"),
            "{error}"
        );
        let error = put("file/x").to_string();
        assert!(error.ends_with("\"file\" is not a directory"), "{error}");
        let error = files.delete(&name("dir"), Precondition::None).unwrap_err();
        assert!(matches!(error, ContentError::NotRegular { .. }), "{error}");
        let all = ["dir", "dir/kept", "file"].map(PathBuf::from);
        assert_eq!(tree(home.path()), all);
    }

    #[test]
    fn changes_stay_inside_and_replace_links_rather_than_follow_them() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path().join("kickstarts");
        fs::create_dir(&top).unwrap();
        fs::create_dir(home.path().join("outside")).unwrap();
        fs::write(home.path().join("outside/x"), "outside").unwrap();
        symlink("../outside", top.join("dir")).unwrap();
        symlink("../outside/x", top.join("x")).unwrap();
        symlink("../outside/x", top.join("y")).unwrap();
        let without_openat2 = FileRoot::open_without_openat2(&top).unwrap();
        for files in [open(&top), BootFiles::new(without_openat2)] {
            let error = files.put(&name("dir/x"), &b"new"[..], Precondition::None);
            assert!(error.is_err());
            assert!(files.delete(&name("dir/x"), Precondition::None).is_err());
        }
        let files = open(&top);
        files
            .put(&name("x"), &b"new"[..], Precondition::None)
            .unwrap();
        files.delete(&name("y"), Precondition::None).unwrap();
        assert_eq!(fs::read(home.path().join("outside/x")).unwrap(), b"outside");
        assert_eq!(tree(&top), ["dir", "x"].map(PathBuf::from));
        assert_eq!(fs::read(top.join("x")).unwrap(), b"new");
    }

    /// Runs itself again in a mount namespace where the directory is a file system of 256 KiB.
    #[test]
    fn a_full_disk_leaves_the_old_file_and_no_litter() {
        const DISK: &str = "PILOTLIGHT_TEST_FULL_DISK";
        if let Some(disk) = std::env::var_os(DISK) {
            return fill_up(Path::new(&disk));
        }
        let home = tempfile::tempdir().unwrap();
        let this = "edit::tests::a_full_disk_leaves_the_old_file_and_no_litter";
        let mount = r#"mount -t tmpfs -o size=256k,mode=755 tmpfs "$0" || exit 99; exec "$@""#;
        for namespace in ["-Urm", "-m"] {
            let output = Command::new("unshare")
                .args([namespace, "sh", "-c", mount])
                .arg(home.path())
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", this])
                .env(DISK, home.path())
                .output();
            // 1 and 99: no namespace, no mount. The test harness ends with 0 or 101.
            match output {
                Ok(output) if matches!(output.status.code(), Some(1 | 99)) => {}
                Ok(output) => {
                    let stdout = String::from_utf8_lossy(&output.stdout);
                    assert!(output.status.success(), "{stdout}");
                    assert!(stdout.contains("1 passed"), "{stdout}");
                    return;
                }
                Err(error) => eprintln!("unshare: {error}"),
            }
        }
        eprintln!("NOT TESTED: a full disk (this system permits no mount namespace)");
    }

    fn fill_up(disk: &Path) {
        let files = open(disk);
        files
            .put(&name("x"), &b"old"[..], Precondition::None)
            .unwrap();
        for path in ["x", "a/b/y"] {
            let large = io::repeat(b'x').take(1 << 20);
            let error = files
                .put(&name(path), large, Precondition::None)
                .unwrap_err();
            assert!(matches!(error, ContentError::NoSpace { .. }), "{error}");
            assert_eq!(tree(disk), [PathBuf::from("x")]);
        }
        assert_eq!(files.boot_file(&name("x")).unwrap().bytes, "old");
        files
            .put(&name("x"), &b"new"[..], Precondition::None)
            .unwrap();
    }
}
