//! [`Conflicts`]: versions of files that others overrode, kept for administrators.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use content::OpenFile;
use jiff::Timestamp;
use model::{FilePath, Name};

/// Longest name of a file, in bytes.
const LONGEST: usize = 255;

/// What the name of a copy begins with until it is whole.
const NEW: &str = ".new-";

/// The versions that were overridden and that this head kept: `DIR/conflicts/<tree>/<path>.<time>.<head>`.
///
/// Nobody but administrators removes them.
#[derive(Clone, Debug)]
pub struct Conflicts {
    directory: PathBuf,
    head: Name,
}

/// A version that was overridden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its path below the conflicts directory.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
}

impl Conflicts {
    /// Those kept in a data directory, by the head of this name.
    pub(super) fn new(data: &Path, head: Name) -> Self {
        Self {
            directory: data.join("conflicts"),
            head,
        }
    }

    /// The directory that they are kept in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// All of them, by their paths. Blocks.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<Conflict>> {
        let mut found = Vec::new();
        let mut pending = vec![self.directory.clone()];
        while let Some(directory) = pending.pop() {
            let entries = match fs::read_dir(&directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let (path, metadata) = (entry.path(), entry.metadata()?);
                if metadata.is_dir() {
                    pending.push(path);
                } else if let Ok(below) = path.strip_prefix(&self.directory)
                    && !entry.file_name().as_encoded_bytes().starts_with(b".")
                {
                    found.push(Conflict {
                        path: below.to_string_lossy().into_owned(),
                        size: metadata.len(),
                    });
                }
            }
        }
        found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }

    /// Keeps a copy of `file`, which has been at `path` until `now`: where it is. It survives a power cut.
    pub(super) fn keep(
        &self,
        path: &FilePath,
        file: &OpenFile,
        mode: u32,
        now: Timestamp,
    ) -> io::Result<PathBuf> {
        let suffix = format!(".{}.{}", now.strftime("%Y%m%dT%H%M%S%.3fZ"), self.head);
        let (parent, name) = path.path.rsplit_once('/').unwrap_or(("", &path.path));
        let parent = self.directory.join(path.tree.name()).join(parent);
        fs::create_dir_all(&parent)?;
        let name = shortened(name, LONGEST.saturating_sub(NEW.len() + suffix.len()));
        let kept = parent.join(format!("{name}{suffix}"));

        // By its own name: others may be copied in the same moment.
        let new = parent.join(format!("{NEW}{name}{suffix}"));
        let copied = copy(file, &new, mode).and_then(|()| fs::rename(&new, &kept));
        if let Err(error) = copied {
            // Half a copy is of no use to anybody.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        // The directories above may be new as well.
        for directory in kept.ancestors().skip(1) {
            File::open(directory)?.sync_all()?;
            if directory == self.directory {
                break;
            }
        }
        Ok(kept)
    }
}

/// The beginning of a name that leaves it room.
fn shortened(name: &str, length: usize) -> &str {
    &name[..name.floor_char_boundary(length)]
}

fn copy(from: &OpenFile, to: &Path, mode: u32) -> io::Result<()> {
    let to = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        // Its group and others may read it where they could read the original; only its owner may write.
        .mode(mode & 0o644 | 0o600)
        .open(to)?;
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    while at < from.id().size {
        let length = from.read_at(&mut buffer, at)?;
        io::Write::write_all(&mut &to, &buffer[..length])?;
        at += length as u64;
    }
    to.set_modified(from.id().mtime)?;
    to.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use model::Tree;

    use super::*;

    #[test]
    fn a_copy_is_kept_under_a_name_that_says_whose_it_is() {
        let home = tempfile::tempdir().unwrap();
        let conflicts = Conflicts::new(home.path(), "head2".parse().unwrap());
        assert_eq!(conflicts.list().unwrap(), []);
        let original = home.path().join("original");
        fs::write(&original, "mine").unwrap();
        let file = OpenFile::open(&original).unwrap();
        let now = Timestamp::from_millisecond(1_234_567_890_123).unwrap();
        // As long as a name can be, in letters of two bytes.
        let long = format!("{}.ks", "\u{fc}".repeat(126));
        for name in ["rack1/a.ks", &long] {
            let path = FilePath::new(Tree::Kickstarts, name);
            let kept = conflicts.keep(&path, &file, 0o4755, now).unwrap();
            assert_eq!(fs::read(&kept).unwrap(), b"mine");
            let metadata = fs::metadata(&kept).unwrap();
            assert_eq!(metadata.modified().unwrap(), file.id().mtime);
        }
        let listed = conflicts.list().unwrap();
        assert_eq!(listed.len(), 2);
        let expected = "kickstarts/rack1/a.ks.20090213T233130.123Z.head2";
        assert_eq!(listed[0].path, expected);
        assert!(listed[1].path.ends_with(".20090213T233130.123Z.head2"));
        assert!(listed[1].path.starts_with("kickstarts/\u{fc}\u{fc}"));
        assert_eq!(listed[0].size, 4);
    }

    #[test]
    fn copies_that_are_made_in_one_moment_do_not_meet() {
        let home = tempfile::tempdir().unwrap();
        let conflicts = Conflicts::new(home.path(), "head2".parse().unwrap());
        let now = Timestamp::from_millisecond(1_234_567_890_123).unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (home, conflicts) = (home.path(), &conflicts);
                scope.spawn(move || {
                    let text = format!("{number}").repeat(1 << 20);
                    let original = home.join(format!("{number}.ks"));
                    fs::write(&original, &text).unwrap();
                    let file = OpenFile::open(&original).unwrap();
                    let path = FilePath::new(Tree::Kickstarts, format!("{number}.ks"));
                    let kept = conflicts.keep(&path, &file, 0o644, now).unwrap();
                    assert!(fs::read(kept).unwrap() == text.as_bytes(), "{number}");
                });
            }
        });
    }
}
