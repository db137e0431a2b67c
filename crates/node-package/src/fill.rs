//! The node package in a directory of client packages.

mod record;

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use package::build::BuildError;

use crate::{Made, packages, sha256};
use record::Record;

/// Why the node package cannot be put there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FillError {
    /// It cannot be made.
    #[error("cannot make the node package: {0}")]
    Build(#[from] BuildError),
    /// A file or directory cannot be read or written.
    #[error("cannot put the node package among the client packages: {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Puts the node package of this version into the directories `rpm`, `deb` and `tar` of `directory`, and gives the files
/// it wrote.
///
/// Where all three are empty, it is written into each. From then on, a file that was written so gives way to the one of
/// another version, as long as nobody has changed it. One that was removed does not come back, and what others put there
/// is never touched.
///
/// # Errors
/// A file cannot be read or written. What was written until then is whole, and the next call goes on from there.
pub fn fill(directory: &Path) -> Result<Vec<PathBuf>, FillError> {
    fill_with(directory, &packages()?)
}

fn fill_with(directory: &Path, made: &[Made]) -> Result<Vec<PathBuf>, FillError> {
    let known = Record::read(directory)?;
    let is_new = known.is_none() && holds_nothing_but(directory, made)?;
    let mut record = known.clone().unwrap_or_default();
    let mut written = Vec::new();
    for package in made {
        let name = format!("{}/{}", package.kind, package.file_name);
        let path = directory.join(&name);
        let digest = package.sha256();
        let before = record.of(package.kind);
        let unchanged = match &before {
            Some((old, digest)) => is_file_of(&directory.join(old), digest)?,
            None => false,
        };
        // It is there already if a call before this one was cut short.
        if !is_file_of(&path, &digest)? {
            if !(is_new || unchanged) {
                continue;
            }
            write(&path, &package.bytes)?;
            written.push(path);
        }
        if let Some((old, _)) = before.filter(|(old, _)| unchanged && *old != name) {
            let old = directory.join(old);
            fs::remove_file(&old).map_err(at(&old))?;
        }
        record.set(package.kind, name, digest);
    }
    if known.unwrap_or_default() != record {
        record.write(directory)?;
    }
    Ok(written)
}

/// Whether the directories are empty, but for files that a first call would write anyway.
fn holds_nothing_but(directory: &Path, made: &[Made]) -> Result<bool, FillError> {
    for package in made {
        let directory = directory.join(package.kind.to_string());
        fs::create_dir_all(&directory).map_err(at(&directory))?;
        for entry in fs::read_dir(&directory).map_err(at(&directory))? {
            let entry = entry.map_err(at(&directory))?;
            // What begins with a dot is no package.
            let is_package = !entry.file_name().to_string_lossy().starts_with('.');
            let is_ours = entry.file_name() == package.file_name.as_str()
                && is_file_of(&entry.path(), &package.sha256())?;
            if is_package && !is_ours {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether there is a file with this SHA-256.
fn is_file_of(path: &Path, digest: &str) -> Result<bool, FillError> {
    match fs::read(path) {
        Ok(bytes) => Ok(sha256(&bytes) == digest),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at(path)(error)),
    }
}

/// Writes a file that is whole whenever it is there.
fn write(path: &Path, bytes: &[u8]) -> Result<(), FillError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.new"));
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        path.parent()
            .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    write().map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FillError {
    move |source| FillError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use package::Kind;
    use tempfile::TempDir;

    use super::*;

    /// The package as a version of the head would make it.
    fn version(version: &str) -> [Made; 3] {
        [
            (Kind::Rpm, "rpm"),
            (Kind::Deb, "deb"),
            (Kind::Tar, "tar.gz"),
        ]
        .map(|(kind, end)| Made {
            kind,
            file_name: format!("pilotlight-node-{version}.{end}"),
            bytes: format!("{kind} of {version}").into_bytes(),
        })
    }

    /// Every file below the directory, with its content.
    fn files(directory: &TempDir) -> BTreeMap<String, String> {
        let kinds = ["rpm", "deb", "tar"].iter().flat_map(|kind| {
            let entries = fs::read_dir(directory.path().join(kind)).unwrap();
            entries.map(move |entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                format!("{kind}/{name}")
            })
        });
        kinds
            .map(|name| {
                (
                    name.clone(),
                    fs::read_to_string(directory.path().join(name)).unwrap(),
                )
            })
            .collect()
    }

    fn written_by(version: &str) -> BTreeMap<String, String> {
        let file = |(kind, end): (&str, &str)| {
            (
                format!("{kind}/pilotlight-node-{version}.{end}"),
                format!("{kind} of {version}"),
            )
        };
        [("rpm", "rpm"), ("deb", "deb"), ("tar", "tar.gz")]
            .map(file)
            .into()
    }

    #[test]
    fn an_empty_directory_is_filled_and_kept_at_the_version_of_the_head() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(fill_with(directory.path(), &version("1")).unwrap().len(), 3);
        assert_eq!(files(&directory), written_by("1"));
        assert_eq!(fill_with(directory.path(), &version("1")).unwrap().len(), 0);
        assert_eq!(fill_with(directory.path(), &version("2")).unwrap().len(), 3);
        assert_eq!(files(&directory), written_by("2"));
        assert_eq!(
            fill_with(directory.path(), &version("1")).unwrap().len(),
            3,
            "an older head"
        );
        assert_eq!(files(&directory), written_by("1"));
    }

    #[test]
    fn a_version_whose_bytes_changed_is_written_again() {
        let directory = tempfile::tempdir().unwrap();
        fill_with(directory.path(), &version("1")).unwrap();
        let mut rebuilt = version("1");
        rebuilt[0].bytes = b"rebuilt".to_vec();
        let written = fill_with(directory.path(), &rebuilt).unwrap();
        assert_eq!(
            written,
            [directory.path().join("rpm/pilotlight-node-1.rpm")]
        );
        assert_eq!(files(&directory)["rpm/pilotlight-node-1.rpm"], "rebuilt");
    }

    #[test]
    fn what_others_put_there_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("deb")).unwrap();
        fs::write(directory.path().join("deb/telegraf.deb"), "theirs").unwrap();
        assert_eq!(
            fill_with(directory.path(), &version("1")).unwrap().len(),
            0,
            "not empty"
        );

        fs::remove_file(directory.path().join("deb/telegraf.deb")).unwrap();
        fill_with(directory.path(), &version("1")).unwrap();
        fs::write(directory.path().join("deb/telegraf.deb"), "theirs").unwrap();
        fs::write(
            directory.path().join("rpm/pilotlight-node-1.rpm"),
            "changed",
        )
        .unwrap();
        fs::remove_file(directory.path().join("tar/pilotlight-node-1.tar.gz")).unwrap();
        fill_with(directory.path(), &version("2")).unwrap();
        let expected = [
            ("deb/pilotlight-node-2.deb", "deb of 2"),
            ("deb/telegraf.deb", "theirs"),
            ("rpm/pilotlight-node-1.rpm", "changed"),
        ];
        assert_eq!(
            files(&directory),
            expected
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .into()
        );
    }

    #[test]
    fn a_call_that_was_cut_short_is_finished_by_the_next() {
        // In the first call: one file is written, the record is not.
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("rpm")).unwrap();
        fs::write(
            directory.path().join("rpm/pilotlight-node-1.rpm"),
            "rpm of 1",
        )
        .unwrap();
        fs::create_dir(directory.path().join("deb")).unwrap();
        fs::write(
            directory.path().join("deb/.pilotlight-node-1.deb.new"),
            "de",
        )
        .unwrap();
        assert_eq!(fill_with(directory.path(), &version("1")).unwrap().len(), 2);
        assert_eq!(files(&directory), written_by("1"));

        // In a later one: the new file is there beside the old one, or without it.
        for old_is_there in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            fill_with(directory.path(), &version("1")).unwrap();
            fs::write(
                directory.path().join("rpm/pilotlight-node-2.rpm"),
                "rpm of 2",
            )
            .unwrap();
            if !old_is_there {
                fs::remove_file(directory.path().join("rpm/pilotlight-node-1.rpm")).unwrap();
            }
            assert_eq!(fill_with(directory.path(), &version("2")).unwrap().len(), 2);
            assert_eq!(files(&directory), written_by("2"));
            fill_with(directory.path(), &version("3")).unwrap();
            assert_eq!(files(&directory), written_by("3"), "all are known as ours");
        }
    }
}
