//! Copies of what was fetched, on disk, so that they outlive a restart.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::http::Validators;
use super::settings::KeepLimits;
use super::source::Upstream;
use crate::Sha256Digest;

/// A file as its upstream had it.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The whole file.
    pub bytes: Bytes,
    /// Their digest.
    pub sha256: Sha256Digest,
    /// What the upstream calls this state of the file: an `ETag`, a date or a commit; else the digest.
    pub revision: String,
    /// When it was fetched.
    pub fetched_at: SystemTime,
    pub(super) validators: Option<Validators>,
}

/// What a fetch yields.
pub(super) enum Fetch {
    /// It is still what is kept.
    Unchanged,
    New(Arc<Fetched>),
}

impl Fetch {
    pub(super) fn http(bytes: Bytes, validators: Validators) -> Self {
        let sha256 = Sha256Digest::of(&bytes);
        let revision = validators
            .revision()
            .map_or_else(|| format!("sha256:{sha256}"), str::to_owned);
        Self::New(Arc::new(Fetched {
            bytes,
            sha256,
            revision,
            fetched_at: SystemTime::now(),
            validators: Some(validators),
        }))
    }

    pub(super) fn git(bytes: Bytes, commit: String) -> Self {
        Self::New(Arc::new(Fetched {
            sha256: Sha256Digest::of(&bytes),
            bytes,
            revision: commit,
            fetched_at: SystemTime::now(),
            validators: None,
        }))
    }
}

/// A copy, and when its upstream last said that it is the present state.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) fetched: Arc<Fetched>,
    pub(super) confirmed_at: SystemTime,
}

/// The directory of copies. Everything here blocks.
///
/// A copy is a line with the digest of what follows, a line of JSON that tells what it is a copy of, and the file.
/// Its modification time is when its upstream last confirmed it.
#[derive(Debug)]
pub(super) struct Copies {
    directory: PathBuf,
    keep: KeepLimits,
}

#[derive(Serialize, Deserialize)]
struct Description {
    upstream: String,
    revision: String,
    /// Seconds since 1970.
    fetched_at: u64,
    validators: Option<Validators>,
}

/// Files that a crash left half written begin so.
const TEMPORARY: &str = ".new-";

impl Copies {
    pub(super) fn open(directory: PathBuf, keep: KeepLimits) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                fs::remove_file(entry.path())?;
            }
        }
        let copies = Self { directory, keep };
        copies.drop_oldest()?;
        Ok(copies)
    }

    /// The copy of `upstream`, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written. It is out of the way then.
    pub(super) fn load(&self, upstream: &Upstream) -> Result<Option<Kept>, String> {
        let path = self.path(upstream);
        let read =
            fs::read(&path).and_then(|content| Ok((content, fs::metadata(&path)?.modified()?)));
        let (content, confirmed_at) = match read {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        match decode(content, upstream) {
            Ok(fetched) => Ok(Some(Kept {
                fetched: Arc::new(fetched),
                confirmed_at,
            })),
            Err(reason) => {
                // Would be overwritten by the next fetch; until then it would only be read in vain.
                let _ = fs::remove_file(&path);
                Err(reason.to_owned())
            }
        }
    }

    /// Stores a copy so that either it or the previous one survives a power cut.
    pub(super) fn store(&self, upstream: &Upstream, fetched: &Fetched) -> io::Result<()> {
        let description = serde_json::to_vec(&Description {
            upstream: upstream.identity(),
            revision: fetched.revision.clone(),
            fetched_at: fetched
                .fetched_at
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            validators: fetched.validators.clone(),
        })?;
        let mut content = description;
        content.push(b'\n');
        content.extend_from_slice(&fetched.bytes);
        let digest = Sha256Digest::of(&content);

        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempfile_in(&self.directory)?;
        writeln!(file, "{digest}")?;
        file.write_all(&content)?;
        file.as_file().sync_all()?;
        file.persist(self.path(upstream))
            .map_err(|error| error.error)?;
        File::open(&self.directory)?.sync_all()?;
        self.drop_oldest()
    }

    /// Notes that the upstream has just confirmed the copy.
    pub(super) fn confirm(&self, upstream: &Upstream) -> io::Result<()> {
        File::open(self.path(upstream))?.set_modified(SystemTime::now())
    }

    /// Removes the copy: the upstream says that there is no such file.
    pub(super) fn remove(&self, upstream: &Upstream) -> io::Result<()> {
        remove_if_there(&self.path(upstream))
    }

    fn path(&self, upstream: &Upstream) -> PathBuf {
        let digest = Sha256Digest::of(upstream.identity().as_bytes());
        self.directory.join(digest.to_string())
    }

    fn drop_oldest(&self) -> io::Result<()> {
        let mut copies: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // It may be gone since: another copy's turn.
            if let Ok(metadata) = entry.metadata() {
                copies.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        copies.sort_unstable_by(|a, b| b.cmp(a));
        let mut bytes = 0;
        for (position, (_, size, path)) in copies.iter().enumerate() {
            bytes += size;
            if position >= self.keep.files || bytes > self.keep.bytes {
                remove_if_there(path)?;
            }
        }
        Ok(())
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn decode(content: Vec<u8>, upstream: &Upstream) -> Result<Fetched, &'static str> {
    let content = Bytes::from(content);
    let (digest, rest) = split_line(&content).ok_or("it is cut off")?;
    if Sha256Digest::of(&rest).to_string().as_bytes() != &*digest {
        return Err("its digest is not that of its content");
    }
    let (description, bytes) = split_line(&rest).ok_or("it is cut off")?;
    let description: Description =
        serde_json::from_slice(&description).map_err(|_| "its description is not understood")?;
    if description.upstream != upstream.identity() {
        return Err("it is a copy of something else");
    }
    Ok(Fetched {
        sha256: Sha256Digest::of(&bytes),
        bytes,
        revision: description.revision,
        fetched_at: SystemTime::UNIX_EPOCH + Duration::from_secs(description.fetched_at),
        validators: description.validators,
    })
}

fn split_line(content: &Bytes) -> Option<(Bytes, Bytes)> {
    let end = content.iter().position(|byte| *byte == b'\n')?;
    Some((content.slice(..end), content.slice(end + 1..)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Source;
    use super::*;

    const KEEP: KeepLimits = KeepLimits {
        files: 3,
        bytes: 1 << 20,
        repositories: 1,
    };

    fn upstream(name: &str) -> Upstream {
        match Source::parse(&format!("http://h/{name}?token=secret")).unwrap() {
            Source::Upstream(upstream) => upstream,
            other => panic!("{other:?}"),
        }
    }

    fn copy(text: &'static str) -> Arc<Fetched> {
        match Fetch::git(Bytes::from_static(text.as_bytes()), "c0ffee".to_owned()) {
            Fetch::New(fetched) => fetched,
            Fetch::Unchanged => unreachable!(),
        }
    }

    #[test]
    fn what_is_stored_is_read_back_and_what_is_damaged_is_not() {
        let home = tempfile::tempdir().unwrap();
        let copies = Copies::open(home.path().to_owned(), KEEP).unwrap();
        assert!(copies.load(&upstream("a")).unwrap().is_none());
        copies
            .store(&upstream("a"), &copy("first\nsecond\n"))
            .unwrap();
        let kept = copies.load(&upstream("a")).unwrap().unwrap();
        assert_eq!(&*kept.fetched.bytes, b"first\nsecond\n");
        assert_eq!(kept.fetched.revision, "c0ffee");

        let path = copies.path(&upstream("a"));
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [flipped, whole[..whole.len() - 1].to_vec(), Vec::new()] {
            fs::write(&path, damaged).unwrap();
            assert!(copies.load(&upstream("a")).is_err());
            assert!(
                copies.load(&upstream("a")).unwrap().is_none(),
                "out of the way"
            );
        }
        fs::write(copies.path(&upstream("b")), whole).unwrap();
        assert_eq!(
            copies.load(&upstream("b")).unwrap_err(),
            "it is a copy of something else"
        );
    }

    #[test]
    fn the_oldest_copies_go_first_and_half_written_ones_at_once() {
        let home = tempfile::tempdir().unwrap();
        let copies = Copies::open(home.path().to_owned(), KEEP).unwrap();
        for (age, name) in ["a", "b", "c", "d"].iter().enumerate() {
            copies.store(&upstream(name), &copy("x")).unwrap();
            let past = SystemTime::now() - Duration::from_secs(100 - age as u64);
            File::open(copies.path(&upstream(name)))
                .unwrap()
                .set_modified(past)
                .unwrap();
        }
        copies.confirm(&upstream("b")).unwrap();
        fs::write(home.path().join(".new-x"), "half").unwrap();
        Copies::open(home.path().to_owned(), KEEP).unwrap();
        let kept: Vec<_> = ["a", "b", "c", "d"]
            .iter()
            .filter(|name| copies.load(&upstream(name)).unwrap().is_some())
            .collect();
        assert_eq!(kept, [&"b", &"c", &"d"]);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 3);
    }
}
