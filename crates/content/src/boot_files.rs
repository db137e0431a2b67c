//! Boot files: read, hashed and parsed once per revision, and checked against the disk at every request.

use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use template::Template;

use crate::listing::Digests;
use crate::reading::{Reading, SETTLING, read_at_rest};
use crate::{ContentError, FileId, FileName, FileRoot, Sha256Digest};

/// Largest boot file, in bytes.
pub const MAX_BOOT_FILE: u64 = 16 << 20;

/// How many bytes of boot files are kept in memory.
const CACHE_BYTES: u64 = 256 << 20;
/// Each shard of the cache must hold the largest boot file with room to spare.
const CACHE_SHARDS: usize = 8;
/// How many files are read from disk at once.
const READERS: usize = 16;

/// One revision of a boot file.
#[derive(Debug, Clone)]
pub struct BootFile {
    /// Its name below the kickstarts directory.
    pub name: FileName,
    /// The state of the file that was read.
    pub id: FileId,
    /// Its bytes, as they are on disk: never none.
    pub bytes: Bytes,
    /// The same, parsed.
    pub template: Arc<Template>,
    /// The digest of `bytes`.
    pub sha256: Sha256Digest,
}

impl BootFile {
    fn parse(name: FileName, id: FileId, bytes: Bytes) -> Self {
        Self {
            template: Arc::new(Template::parse(name.as_str(), bytes.clone())),
            sha256: Sha256Digest::of(&bytes),
            name,
            id,
            bytes,
        }
    }

    /// When the file was last written, as far as its `mtime` tells.
    #[must_use]
    pub const fn modified(&self) -> SystemTime {
        self.id.mtime
    }
}

/// The boot files of a directory.
///
/// A request is answered from memory if the file has, at this moment, the identity ([`FileId`]) under which the
/// bytes were read; so an edit, a replacement or a deletion is seen by the next request. An identity proves the
/// bytes only once its `ctime` is 2 s old: until then a file is read anew for each request, and keeps its parsed
/// form if the bytes are equal.
///
/// On NFS the answer of `stat` itself may be some seconds old, by the mount's `actimeo`.
pub struct BootFiles {
    pub(crate) root: FileRoot,
    cache: Cache<FileName, Cached, SourceBytes>,
    readers: [Mutex<()>; READERS],
    reader_of: RandomState,
    pub(crate) settling: Duration,
    pub(crate) digests: Mutex<Digests>,
    /// Held from the check of a precondition to the change it guards.
    pub(crate) edits: Mutex<()>,
}

#[derive(Clone)]
struct Cached {
    file: Arc<BootFile>,
    /// When the bytes were read.
    began: Instant,
    /// When the file was first seen in this state.
    first_seen: Instant,
    /// Whether the identity alone proves the bytes.
    settled: bool,
}

#[derive(Clone)]
struct SourceBytes;

impl Weighter<FileName, Cached> for SourceBytes {
    fn weight(&self, _name: &FileName, cached: &Cached) -> u64 {
        // Never 0, which would exempt an entry from eviction.
        cached.file.bytes.len() as u64 + 1024
    }
}

impl BootFiles {
    /// The boot files below `root`.
    #[must_use]
    pub fn new(root: FileRoot) -> Self {
        Self::with_settling(root, SETTLING)
    }

    pub(crate) fn with_settling(root: FileRoot, settling: Duration) -> Self {
        let options = OptionsBuilder::new()
            .shards(CACHE_SHARDS)
            .estimated_items_capacity(1024)
            .weight_capacity(CACHE_BYTES)
            .build()
            .expect("both capacities are given");
        Self {
            root,
            cache: Cache::with_options(
                options,
                SourceBytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            readers: Default::default(),
            reader_of: RandomState::new(),
            settling,
            digests: Mutex::default(),
            edits: Mutex::default(),
        }
    }

    /// The directory.
    #[must_use]
    pub const fn root(&self) -> &FileRoot {
        &self.root
    }

    /// The boot file `name` as it is on disk now.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn boot_file(&self, name: &FileName) -> Result<Arc<BootFile>, ContentError> {
        match self.try_cached(name) {
            Some(file) => Ok(file),
            None => self.load(name),
        }
    }

    /// The boot file `name`, if memory holds it as it is on disk now. Costs one `stat`; reads nothing.
    #[must_use]
    pub fn try_cached(&self, name: &FileName) -> Option<Arc<BootFile>> {
        let cached = self.cache.get(name).filter(|cached| cached.settled)?;
        let on_disk = self.root.stat(name).ok()?;
        (on_disk == cached.file.id).then_some(cached.file)
    }

    /// Reads the boot file `name` from disk, however many ask for it at once: those who wait for a reading that
    /// began after they asked share it.
    ///
    /// # Errors
    /// No such file, a refused name, an empty or too large file, a file that never rests, a disk that fails.
    pub fn load(&self, name: &FileName) -> Result<Arc<BootFile>, ContentError> {
        let asked = Instant::now();
        let _turn = self.turn(name);
        let known = self.cache.get(name);
        if let Some(known) = &known
            && known.began >= asked
        {
            return Ok(Arc::clone(&known.file));
        }
        if let Some(file) = self.try_cached(name) {
            return Ok(file);
        }

        let reading = read_at_rest(&self.root, name, self.settling, |file, id| {
            self.read_bytes(name, file, id)
        })?;
        let cached = self.remember(name, reading, known);
        let file = Arc::clone(&cached.file);
        self.cache.insert(name.clone(), cached);
        Ok(file)
    }

    /// The lock to hold while `name` is read.
    fn turn(&self, name: &FileName) -> MutexGuard<'_, ()> {
        let reader = self.reader_of.hash_one(name) as usize % READERS;
        self.readers[reader]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn read_bytes(
        &self,
        name: &FileName,
        file: &mut File,
        id: FileId,
    ) -> Result<Option<Bytes>, ContentError> {
        if id.size > MAX_BOOT_FILE {
            return Err(ContentError::TooLarge {
                name: name.clone(),
                limit: MAX_BOOT_FILE,
            });
        }
        if id.size == 0 {
            return Err(ContentError::Empty {
                name: name.clone(),
                directory: self.root.path().to_owned(),
            });
        }
        // One more than there should be, so that the end is found without growing.
        let mut bytes = Vec::with_capacity(id.size as usize + 1);
        file.take(MAX_BOOT_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| self.root.failed("read", name, source))?;
        Ok((bytes.len() as u64 == id.size).then(|| bytes.into()))
    }

    /// What to keep of a reading, given what is known of the file: equal bytes are not hashed and parsed again.
    fn remember(&self, name: &FileName, reading: Reading<Bytes>, known: Option<Cached>) -> Cached {
        let Reading {
            value: bytes,
            id,
            began,
            settled,
        } = reading;
        match known.filter(|known| known.file.bytes == bytes) {
            Some(known) if known.file.id == id => Cached {
                began,
                // Settled by our own clock too: the file system's may be set wrong, or be another machine's.
                settled: settled || began.duration_since(known.first_seen) >= self.settling,
                ..known
            },
            known => Cached {
                file: Arc::new(match known {
                    Some(known) => BootFile {
                        id,
                        ..BootFile::clone(&known.file)
                    },
                    None => BootFile::parse(name.clone(), id, bytes),
                }),
                began,
                first_seen: began,
                settled,
            },
        }
    }
}

impl fmt::Debug for BootFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootFiles")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    use crate::Precondition;

    fn name(name: &str) -> FileName {
        name.parse().unwrap()
    }

    /// Trusts an identity from the first reading, as if all files were old.
    fn trusting(path: &Path) -> BootFiles {
        BootFiles::with_settling(FileRoot::open(path).unwrap(), Duration::ZERO)
    }

    fn cautious(path: &Path) -> BootFiles {
        BootFiles::new(FileRoot::open(path).unwrap())
    }

    #[test]
    fn a_warm_file_comes_from_memory() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("sub")).unwrap();
        fs::write(home.path().join("sub/x.ks"), "text <a[x]>").unwrap();
        symlink("sub/x.ks", home.path().join("link.ks")).unwrap();
        let files = trusting(home.path());
        for name in [name("sub/x.ks"), name("link.ks")] {
            assert!(files.try_cached(&name).is_none());
            let loaded = files.boot_file(&name).unwrap();
            assert_eq!(loaded.bytes, "text <a[x]>");
            assert_eq!(loaded.sha256, Sha256Digest::of(b"text <a[x]>"));
            assert!(!loaded.template.is_plain());
            assert!(Arc::ptr_eq(&loaded, &files.try_cached(&name).unwrap()));
        }

        fs::write(home.path().join("sub/x.ks"), "longer text").unwrap();
        for name in [name("sub/x.ks"), name("link.ks")] {
            assert!(files.try_cached(&name).is_none());
            assert_eq!(files.boot_file(&name).unwrap().bytes, "longer text");
        }
    }

    #[test]
    fn what_is_gone_or_not_permitted_any_more_is_not_served_from_memory() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path().join("kickstarts");
        fs::create_dir_all(top.join("sub")).unwrap();
        fs::write(top.join("x"), "x").unwrap();
        fs::write(top.join("sub/x"), "x").unwrap();
        let files = trusting(&top);
        files.boot_file(&name("x")).unwrap();
        files.boot_file(&name("sub/x")).unwrap();

        // The very same inodes, now outside and reached by links: stat alone would find them unchanged.
        fs::rename(top.join("sub"), home.path().join("sub")).unwrap();
        symlink("../sub", top.join("sub")).unwrap();
        assert!(files.try_cached(&name("sub/x")).is_none());
        let error = files.boot_file(&name("sub/x")).unwrap_err();
        assert!(matches!(error, ContentError::Escapes { .. }), "{error}");

        fs::remove_file(top.join("x")).unwrap();
        let error = files.boot_file(&name("x")).unwrap_err();
        assert!(matches!(error, ContentError::NotFound { .. }), "{error}");
    }

    #[test]
    fn every_edit_is_seen_at_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x");
        let files = cautious(home.path());
        for turn in 0..500 {
            // Equal size, and many of these in one tick of the clock; every other one in place.
            let text = format!("{turn:06}");
            if turn % 2 == 0 {
                fs::write(&path, &text).unwrap();
            } else {
                fs::write(home.path().join("next"), &text).unwrap();
                fs::rename(home.path().join("next"), &path).unwrap();
            }
            assert_eq!(files.boot_file(&name("x")).unwrap().bytes, text);
        }
    }

    #[test]
    fn an_identity_is_not_trusted_while_the_file_is_fresh() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("x"), "new").unwrap();
        let files = cautious(home.path());
        let loaded = files.boot_file(&name("x")).unwrap();
        assert!(files.try_cached(&name("x")).is_none());

        // As after two writes in one tick, of which the first was read: the identity is equal, the bytes are not.
        let stale = Cached {
            file: Arc::new(BootFile::parse(name("x"), loaded.id, "old".into())),
            began: Instant::now(),
            first_seen: Instant::now(),
            settled: false,
        };
        files.cache.insert(name("x"), stale.clone());
        assert_eq!(files.boot_file(&name("x")).unwrap().bytes, "new");

        // A settled one would be trusted: this is what the caution is for.
        let settled = Cached {
            settled: true,
            ..stale
        };
        files.cache.insert(name("x"), settled);
        assert_eq!(files.boot_file(&name("x")).unwrap().bytes, "old");
    }

    #[test]
    fn an_identity_seen_long_enough_is_trusted_whatever_the_file_systems_clock_says() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("x"), "text").unwrap();
        let files = cautious(home.path());
        let id = files.root.stat(&name("x")).unwrap();
        let began = Instant::now();
        let reading = |seconds| Reading {
            value: Bytes::from("text"),
            id,
            began: began + Duration::from_secs(seconds),
            settled: false,
        };
        let first = files.remember(&name("x"), reading(0), None);
        let second = files.remember(&name("x"), reading(1), Some(first.clone()));
        assert!(!first.settled && !second.settled);
        assert!(files.remember(&name("x"), reading(2), Some(second)).settled);

        // The time counts from the first sight of this state, not of an earlier one.
        let other = FileId {
            ino: id.ino + 1,
            ..id
        };
        let changed = Reading {
            id: other,
            ..reading(2)
        };
        assert!(!files.remember(&name("x"), changed, Some(first)).settled);
    }

    #[test]
    fn equal_bytes_keep_their_parsed_form() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x");
        fs::write(&path, "text").unwrap();
        let files = cautious(home.path());
        let before = files.boot_file(&name("x")).unwrap();
        let again = files.boot_file(&name("x")).unwrap();
        assert!(Arc::ptr_eq(&before, &again));
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let touched = files.boot_file(&name("x")).unwrap();
        assert_eq!(touched.modified(), SystemTime::UNIX_EPOCH);
        assert!(Arc::ptr_eq(&before.template, &touched.template));
    }

    #[test]
    fn empty_and_too_large_files_are_errors_and_the_largest_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let files = trusting(home.path());
        let file = File::create(home.path().join("x")).unwrap();
        let error = files.boot_file(&name("x")).unwrap_err();
        assert!(matches!(error, ContentError::Empty { .. }), "{error}");
        file.set_len(MAX_BOOT_FILE + 1).unwrap();
        let error = files.boot_file(&name("x")).unwrap_err();
        assert!(matches!(error, ContentError::TooLarge { .. }), "{error}");
        file.set_len(MAX_BOOT_FILE).unwrap();
        files.boot_file(&name("x")).unwrap();
        assert!(files.try_cached(&name("x")).is_some());
    }

    #[test]
    fn under_a_writer_every_reader_gets_a_whole_version_no_older_than_its_request() {
        let home = tempfile::tempdir().unwrap();
        let name = name("sub/x.ks");
        let version = |number: usize| format!("{number:08}\n").repeat(1000);
        let files = cautious(home.path());
        let published = AtomicUsize::new(0);
        let put = |number| {
            let body = version(number);
            files
                .put(&name, body.as_bytes(), Precondition::None)
                .unwrap();
            published.store(number, Ordering::SeqCst);
        };
        put(1);
        thread::scope(|scope| {
            let writer = scope.spawn(|| (2..200).for_each(put));
            let read = || {
                while !writer.is_finished() {
                    let oldest = published.load(Ordering::SeqCst);
                    let file = match files.boot_file(&name) {
                        Ok(file) => file,
                        // Replaced under every one of several readings.
                        Err(ContentError::Changing { .. }) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    let first = str::from_utf8(&file.bytes[..8]).unwrap();
                    let number: usize = first.parse().unwrap();
                    assert_eq!(file.bytes, version(number), "a mixture");
                    assert_eq!(file.sha256, Sha256Digest::of(&file.bytes));
                    assert!(number >= oldest, "{number} was served after {oldest}");
                }
            };
            thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(read))));
        });
        assert_eq!(files.boot_file(&name).unwrap().bytes, version(199));
    }
}
