//! The files of the repository, in memory.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Directories that hold what was made from the repository, not the repository, or what others would write.
const NOT_OURS: &[&str] = &[
    ".git",
    "target",
    "fuzz/target",
    "fuzz/corpus",
    "fuzz/artifacts",
    "crates/ignition/tests/butane",
];

/// The directory that holds the workspace.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// One text file.
pub(crate) struct File {
    /// Relative to the root.
    pub path: String,
    pub text: String,
    pub executable: bool,
}

/// Every text file, in the order of their paths.
pub(crate) struct Repository {
    pub files: Vec<File>,
}

impl Repository {
    /// Reads the work tree. Asks no git, which a machine that only builds need not have.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        read_directory(root, root, &mut files)?;
        files.sort_by(|a: &File, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// The file at this path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The files whose names end so, say in ".rs".
    pub(crate) fn ending(&self, end: &str) -> impl Iterator<Item = &File> {
        self.files
            .iter()
            .filter(move |file| file.path.ends_with(end))
    }

    /// Whether there is a file or a directory at this path.
    pub(crate) fn contains(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        path.is_empty()
            || self
                .files
                .iter()
                .any(|file| file.path == path || file.path.starts_with(&inside))
    }

    /// A repository of these paths and texts.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
            executable: false,
        };
        Self {
            files: files.iter().map(file).collect(),
        }
    }
}

fn read_directory(root: &Path, directory: &Path, files: &mut Vec<File>) -> Result<()> {
    for entry in
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?
    {
        let entry = entry?;
        let path = entry.path();
        let relative = path.strip_prefix(root)?.to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() && !NOT_OURS.contains(&relative.as_str()) {
            read_directory(root, &path, files)?;
        } else if kind.is_file() {
            match fs::read_to_string(&path) {
                Ok(text) => {
                    let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
                    files.push(File {
                        path: relative,
                        text,
                        executable,
                    });
                }
                // Not text.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                // An editor's temporary file, gone since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", path.display()));
                }
            }
        }
    }
    Ok(())
}
