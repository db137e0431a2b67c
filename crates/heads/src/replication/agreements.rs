//! [`Agreements`]: what this head and the manifest last agreed on, in memory and in a file.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use model::FilePath;
use serde::{Deserialize, Serialize};

use super::decision::{Agreed, Base, Intent};
use super::files::Digest;

/// Another layout of the file is another number.
const VERSION: u32 = 1;

/// What this head and the manifest last agreed on.
#[derive(Debug)]
pub(super) struct Agreements {
    path: PathBuf,
    /// Whether every file is accounted for: there never was one that is not in `files`.
    is_complete: bool,
    files: HashMap<FilePath, Agreement>,
    /// The inodes of the directories, by their names.
    tops: BTreeMap<String, u64>,
    /// Counts changes.
    change: u64,
}

/// The last agreement about one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Agreement {
    #[serde(flatten)]
    base: Base,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    intent: Option<Intent>,
    /// What proves without reading it that the file is as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
}

/// The whole file.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    complete: bool,
    directories: BTreeMap<String, u64>,
    files: BTreeMap<String, Agreement>,
}

/// A copy of the agreements, to be kept.
pub(super) struct Snapshot {
    path: PathBuf,
    kept: Kept,
    /// Up to which change it goes.
    pub(super) change: u64,
}

impl Agreements {
    /// Those kept in `path`. Where there are none, or none that can be read, all of them are lost: files are hashed
    /// again, and the manifest wins where they differ.
    pub(super) fn load(path: PathBuf) -> Self {
        let mut agreements = Self {
            path,
            is_complete: false,
            files: HashMap::new(),
            tops: BTreeMap::new(),
            change: 0,
        };
        match read(&agreements.path) {
            Ok(Some(kept)) => {
                agreements.is_complete = kept.complete;
                agreements.tops = kept.directories;
                let files = kept.files.into_iter();
                let files = files.filter_map(|(path, entry)| Some((path.parse().ok()?, entry)));
                agreements.files = files.collect();
            }
            Ok(None) => {}
            Err(reason) => {
                let path = agreements.path.display();
                tracing::warn!(%path, reason, "what was agreed on about files is ignored: the other heads' versions win");
            }
        }
        agreements
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// From now on a file that there is no account of is new, but for these, which are not agreed on yet.
    pub(super) fn complete<'a>(&mut self, open: impl Iterator<Item = &'a FilePath>) {
        for path in open {
            self.files.entry(path.clone()).or_default();
        }
        self.is_complete = true;
        self.change += 1;
    }

    pub(super) fn base(&self, path: &FilePath) -> Base {
        let unknown = if self.is_complete {
            Base::Never
        } else {
            Base::Lost
        };
        self.files
            .get(path)
            .map_or(unknown, |agreement| agreement.base)
    }

    pub(super) fn intent(&self, path: &FilePath) -> Option<Intent> {
        self.files.get(path)?.intent
    }

    /// The paths of the files that were agreed on.
    pub(super) fn files(&self) -> impl Iterator<Item = &FilePath> {
        let files = self.files.iter();
        files
            .filter_map(|(path, agreement)| matches!(agreement.base, Base::File(_)).then_some(path))
    }

    /// What is known of the bytes of files.
    pub(super) fn digests(&self) -> impl Iterator<Item = (&FilePath, Digest)> {
        let files = self.files.iter();
        files.filter_map(|(path, agreement)| Some((path, agreement.digest?)))
    }

    /// Here and there are alike: a file, or none.
    pub(super) fn agree(&mut self, path: &FilePath, file: Option<(Agreed, Option<Digest>)>) {
        let base = file.map_or(Base::Absent, |(agreed, _)| Base::File(agreed));
        let digest = file
            .and_then(|(_, digest)| digest)
            .filter(|digest| digest.is_settled);
        self.set(
            path,
            Agreement {
                base,
                intent: None,
                digest,
            },
        );
    }

    /// What was agreed on is not to be relied on any more.
    pub(super) fn lose(&mut self, path: &FilePath) {
        self.set(path, Agreement::default());
    }

    pub(super) fn forget(&mut self, path: &FilePath) {
        if self.files.remove(path).is_some() {
            self.change += 1;
        }
    }

    /// Notes what is about to be done, or that it surely was not.
    pub(super) fn intend(&mut self, path: &FilePath, intent: Option<Intent>) {
        let base = self.base(path);
        let digest = self.files.get(path).and_then(|agreement| agreement.digest);
        self.set(
            path,
            Agreement {
                base,
                intent,
                digest,
            },
        );
    }

    /// The inode of a directory when there were files in it.
    pub(super) fn top(&self, directory: &str) -> Option<u64> {
        self.tops.get(directory).copied()
    }

    pub(super) fn set_top(&mut self, directory: &str, inode: u64) {
        if self.tops.insert(directory.to_owned(), inode) != Some(inode) {
            self.change += 1;
        }
    }

    /// The number of the last change.
    pub(super) fn change(&self) -> u64 {
        self.change
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let files = self.files.iter();
        let files = files.map(|(path, agreement)| (path.to_string(), agreement.clone()));
        Snapshot {
            path: self.path.clone(),
            kept: Kept {
                version: VERSION,
                complete: self.is_complete,
                directories: self.tops.clone(),
                files: files.collect(),
            },
            change: self.change,
        }
    }

    fn set(&mut self, path: &FilePath, agreement: Agreement) {
        if self.files.get(path) != Some(&agreement) {
            self.files.insert(path.clone(), agreement);
            self.change += 1;
        }
    }
}

impl Snapshot {
    /// Keeps it: it, or what was kept before, survives a power cut. Blocks.
    pub(super) fn save(&self) -> io::Result<()> {
        let new = self.path.with_added_extension("new");
        let mut file = File::create(&new)?;
        let text = serde_json::to_vec(&self.kept).map_err(io::Error::other)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let directory = self
            .path
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn read(path: &Path) -> Result<Option<Kept>, String> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| error.to_string())?,
    };
    let kept: Kept = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if kept.version == VERSION {
        Ok(Some(kept))
    } else {
        Err(format!("it has version {}, not {VERSION}", kept.version))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use model::{FileContent, Sha256Digest, Tree};

    use super::*;

    fn path(path: &str) -> FilePath {
        FilePath::new(Tree::Kickstarts, path)
    }

    #[test]
    fn what_was_agreed_on_survives_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let kept = home.path().join("replication.json");
        let sha256 = Sha256Digest::of(b"a");
        let listed = FileContent {
            sha256,
            size: 1,
            mode: 0o644,
            mtime: -5,
        };
        let agreed = Agreed {
            listed,
            mode: 0o600,
            mtime: 0,
        };
        let root = content::FileRoot::open(home.path()).unwrap();
        std::fs::write(home.path().join("a"), "a").unwrap();
        let state = root.state(&"a".parse().unwrap()).unwrap().unwrap();
        let digest = Digest {
            stamp: state.into(),
            sha256,
            is_settled: true,
        };
        let unsettled = Digest {
            is_settled: false,
            ..digest
        };

        let mut agreements = Agreements::load(kept.clone());
        assert_eq!(agreements.base(&path("new")), Base::Lost);
        agreements.agree(&path("file"), Some((agreed, Some(digest))));
        agreements.agree(&path("fresh"), Some((agreed, Some(unsettled))));
        agreements.agree(&path("absent"), None);
        agreements.intend(&path("file"), Some(Intent::Place(sha256)));
        agreements.intend(&path("begun"), Some(Intent::Publish(sha256)));
        agreements.complete([path("open"), path("file")].iter());
        agreements.intend(&path("added"), Some(Intent::Publish(sha256)));
        agreements.set_top("kickstarts", 7);
        let snapshot = agreements.snapshot();
        assert_eq!(snapshot.change, agreements.change());
        snapshot.save().unwrap();

        let again = Agreements::load(kept);
        assert!(again.is_complete());
        assert_eq!(again.files, {
            // What is not proven is read again.
            let mut files = agreements.files.clone();
            files.get_mut(&path("fresh")).unwrap().digest = None;
            files
        });
        for (name, base) in [
            ("file", Base::File(agreed)),
            ("absent", Base::Absent),
            ("begun", Base::Lost),
            ("open", Base::Lost),
            ("added", Base::Never),
            ("new", Base::Never),
        ] {
            assert_eq!(again.base(&path(name)), base, "{name}");
        }
        assert_eq!(again.intent(&path("file")), Some(Intent::Place(sha256)));
        assert_eq!(again.intent(&path("begun")), Some(Intent::Publish(sha256)));
        assert_eq!(again.top("kickstarts"), Some(7));
        assert_eq!(
            again.digests().collect::<Vec<_>>(),
            [(&path("file"), digest)]
        );
    }

    #[test]
    fn only_changes_count() {
        let home = tempfile::tempdir().unwrap();
        let mut agreements = Agreements::load(home.path().join("replication.json"));
        agreements.agree(&path("a"), None);
        let change = agreements.change();
        agreements.agree(&path("a"), None);
        agreements.forget(&path("b"));
        assert_eq!(agreements.change(), change);
        agreements.lose(&path("a"));
        assert!(agreements.change() > change);
    }

    #[test]
    fn of_what_cannot_be_read_nothing_is_known() {
        let home = tempfile::tempdir().unwrap();
        let kept = home.path().join("replication.json");
        let newer = r#"{"version": 2, "complete": true, "directories": {}, "files": {}}"#;
        for text in ["", "{}", "[1]", newer] {
            std::fs::write(&kept, text).unwrap();
            let agreements = Agreements::load(kept.clone());
            assert!(!agreements.is_complete());
            assert_eq!(agreements.base(&path("a")), Base::Lost);
        }
    }
}
