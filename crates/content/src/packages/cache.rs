//! What was read of the packages, on disk, so that a restart need not read them again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use package::{Identity, Kind};
use serde::{Deserialize, Serialize};

use super::{Entry, Fault, Listing, Package, PackageFile};
use crate::digest::Hasher;
use crate::file_state::nanoseconds;
use crate::{FileId, FileName, Sha256Digest};

/// Who wrote the file: another version may see other faults in the same package.
const VERSION: &str = concat!("pilotlight packages ", env!("CARGO_PKG_VERSION"));

/// The file that a listing is kept in.
///
/// A line that says who wrote it, a line of JSON for each package, and a line with the digest of all that.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
}

/// What was known of the packages when it was written.
#[derive(Debug, Default)]
pub(super) struct Remembered(HashMap<PackageFile, Record>);

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    kind: String,
    name: String,
    state: State,
    content: Content,
}

/// The state of a file. Not its device, whose number may be another one after a restart.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    ino: u64,
    size: u64,
    /// Nanoseconds since 1970.
    mtime: i64,
    ctime: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    Package {
        name: String,
        version: String,
        architecture: String,
        sha256: String,
        scriptlets: Vec<String>,
        made_of: Option<String>,
    },
    Fault {
        reason: String,
        sha256: Option<String>,
    },
}

impl Cache {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What is remembered; nothing, when there is no cache or it is damaged.
    pub(super) fn load(&self) -> Remembered {
        let remembered = match fs::read_to_string(&self.path) {
            Ok(text) => decode(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Remembered::default(),
            Err(error) => Err(error.to_string()),
        };
        remembered.unwrap_or_else(|reason| {
            let path = self.path.display();
            tracing::warn!(%path, reason, "what was known of the packages is ignored; they are read again");
            Remembered::default()
        })
    }

    /// Keeps `listing`: it, or what was kept before, survives a power cut.
    pub(super) fn save(&self, listing: &Listing) -> io::Result<()> {
        let new = self.path.with_added_extension("new");
        let mut file = Digesting {
            file: BufWriter::new(File::create(&new)?),
            hasher: Hasher::default(),
        };
        writeln!(file, "{VERSION}")?;
        for entry in listing.entries() {
            serde_json::to_writer(&mut file, &Record::of(entry))?;
            file.write_all(b"\n")?;
        }
        let Digesting { mut file, hasher } = file;
        writeln!(file, "{}", hasher.finish().1)?;
        file.into_inner()?.sync_all()?;
        fs::rename(&new, &self.path)?;
        let directory = self
            .path
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Remembered {
    /// What is known of `file`, if it is in the same state.
    pub(super) fn take(&mut self, file: &PackageFile, file_id: FileId) -> Option<Entry> {
        let record = self.0.remove(file)?;
        let content = (record.state == State::of(file_id)).then_some(record.content)?;
        let entry = Entry {
            file: file.clone(),
            file_id,
            content: content.decode()?,
        };
        // What could not be read may be readable by now.
        entry.sha256().is_some().then_some(entry)
    }
}

impl Record {
    fn of(entry: &Entry) -> Self {
        Self {
            kind: entry.kind().to_string(),
            name: entry.file.name().to_string(),
            state: State::of(entry.file_id),
            content: match &entry.content {
                Ok(package) => Content::Package {
                    name: package.identity.name.to_string(),
                    version: package.identity.version.to_string(),
                    architecture: package.identity.architecture.to_string(),
                    sha256: package.sha256.to_string(),
                    scriptlets: package.scriptlets.clone(),
                    made_of: package.made_of.map(|sha256| sha256.to_string()),
                },
                Err(fault) => Content::Fault {
                    reason: fault.reason.clone(),
                    sha256: fault.sha256.map(|sha256| sha256.to_string()),
                },
            },
        }
    }
}

impl State {
    fn of(id: FileId) -> Self {
        Self {
            ino: id.ino,
            size: id.size,
            mtime: nanoseconds(id.mtime),
            ctime: nanoseconds(id.ctime),
        }
    }
}

impl Content {
    /// `None` for what no package says.
    fn decode(self) -> Option<Result<Package, Fault>> {
        Some(match self {
            Self::Package {
                name,
                version,
                architecture,
                sha256,
                scriptlets,
                made_of,
            } => Ok(Package {
                identity: Identity {
                    name: name.parse().ok()?,
                    version: version.parse().ok()?,
                    architecture: architecture.parse().ok()?,
                },
                sha256: sha256.parse().ok()?,
                scriptlets,
                made_of: optional_digest(made_of)?,
            }),
            Self::Fault { reason, sha256 } => Err(Fault {
                reason,
                sha256: optional_digest(sha256)?,
            }),
        })
    }
}

fn optional_digest(text: Option<String>) -> Option<Option<Sha256Digest>> {
    text.map(|text| text.parse()).transpose().ok()
}

fn decode(text: &str) -> Result<Remembered, String> {
    let body = text.strip_suffix('\n').ok_or("it is cut off")?;
    let end = body.rfind('\n').ok_or("it is cut off")? + 1;
    let (body, digest) = body.split_at(end);
    if Sha256Digest::of(body.as_bytes()).to_string() != digest {
        return Err("its digest is not that of its content".to_owned());
    }
    let mut lines = body.lines();
    if lines.next() != Some(VERSION) {
        return Err("it was written by another version".to_owned());
    }
    let mut remembered = HashMap::new();
    for line in lines {
        let record: Record = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let file = record
            .kind
            .parse::<Kind>()
            .ok()
            .zip(record.name.parse::<FileName>().ok())
            .and_then(|(kind, name)| PackageFile::new(kind, name).ok())
            .ok_or_else(|| format!("{:?} names no package", record.name))?;
        remembered.insert(file, record);
    }
    Ok(Remembered(remembered))
}

/// Hashes what is written to the file.
struct Digesting {
    file: BufWriter<File>,
    hasher: Hasher,
}

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.write_all(&bytes[..written])?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn id(ino: u64) -> FileId {
        FileId {
            dev: 1,
            ino,
            size: 100,
            mtime: UNIX_EPOCH - Duration::from_millis(1500),
            ctime: UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789),
        }
    }

    fn entries() -> [Entry; 3] {
        let file = |kind, name: &str| PackageFile::new(kind, name.parse().unwrap()).unwrap();
        let package = Package {
            identity: Identity {
                name: "a".parse().unwrap(),
                version: "1:2.0-3.el9".parse().unwrap(),
                architecture: "x86_64".parse().unwrap(),
            },
            sha256: Sha256Digest::of(b"a"),
            scriptlets: vec!["post".to_owned()],
            made_of: None,
        };
        let made = Package {
            made_of: Some(package.sha256),
            sha256: Sha256Digest::of(b"tar"),
            ..package.clone()
        };
        let fault = Fault {
            reason: "it is \"cut\"\nshort".to_owned(),
            sha256: Some(Sha256Digest::of(b"half")),
        };
        let entry = |ino, file, content| Entry {
            file,
            file_id: id(ino),
            content,
        };
        [
            entry(1, file(Kind::Rpm, "sub/a b.rpm"), Ok(package)),
            entry(2, file(Kind::Rpm, "half.rpm"), Err(fault)),
            entry(3, file(Kind::Tar, "a.tar.gz"), Ok(made)),
        ]
    }

    fn saved(home: &Path) -> Cache {
        let mut listing = Listing::default();
        for entry in entries() {
            listing.insert(Arc::new(entry));
        }
        let cache = Cache::new(home.join("packages.cache"));
        cache.save(&listing).unwrap();
        cache
    }

    #[test]
    fn what_is_saved_is_remembered_as_long_as_the_file_is_in_the_same_state() {
        let home = tempfile::tempdir().unwrap();
        let cache = saved(home.path());
        let mut remembered = cache.load();
        for entry in entries() {
            // The device may have another number after a restart.
            let now = FileId {
                dev: 2,
                ..entry.file_id
            };
            let expected = Entry {
                file_id: now,
                ..entry
            };
            assert_eq!(remembered.take(&expected.file, now), Some(expected));
        }
        let [entry, ..] = entries();
        let nanosecond = Duration::from_nanos(1);
        for changed in [
            FileId { ino: 9, ..id(1) },
            FileId { size: 9, ..id(1) },
            FileId {
                mtime: id(1).mtime + nanosecond,
                ..id(1)
            },
            FileId {
                ctime: id(1).ctime + nanosecond,
                ..id(1)
            },
        ] {
            assert_eq!(cache.load().take(&entry.file, changed), None);
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_cache_is_ignored() {
        let home = tempfile::tempdir().unwrap();
        let cache = saved(home.path());
        let whole = fs::read(&cache.path).unwrap();
        assert_eq!(cache.load().0.len(), 3);
        for end in (0..whole.len()).step_by(7) {
            fs::write(&cache.path, &whole[..end]).unwrap();
            assert!(cache.load().0.is_empty(), "cut at {end}");
            let mut flipped = whole.clone();
            flipped[end] ^= 1;
            fs::write(&cache.path, flipped).unwrap();
            assert!(cache.load().0.is_empty(), "flipped at {end}");
        }
        fs::remove_file(&cache.path).unwrap();
        assert!(cache.load().0.is_empty());
    }
}
