//! Making the packages.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use package::build::BuildError;
use package::{Architecture, Kind};

use crate::contents::{Parts, RELEASE, version};
use crate::made::Hashing;
use crate::{Documents, HeadPackage, HeadPackages};

/// Why there are no packages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// One cannot be made or written.
    #[error("cannot make the {kind} package: {source}")]
    Build {
        /// Which.
        kind: Kind,
        /// Why.
        source: BuildError,
    },
    /// A file or directory cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Heads run on x86-64 and 64-bit Arm alone.
    #[error("there are no packages for {0}: {1}")]
    Architecture(&'static str, &'static str),
}

/// Makes the packages of `executable`, which is of this version, in a new directory `directory`. That is there when all
/// of them are.
///
/// Keeps the executable in memory, and once more as the rpm is made.
///
/// # Errors
/// The executable cannot be read, the packages cannot be written, or there is such a directory already.
pub fn write(
    executable: &Path,
    documents: &Documents,
    directory: &Path,
) -> Result<HeadPackages, WriteError> {
    use std::env::consts::ARCH;
    let architecture: Architecture =
        (ARCH.parse()).map_err(|reason| WriteError::Architecture(ARCH, reason))?;
    let parent = directory.parent().filter(|path| *path != Path::new(""));
    let unfinished = tempfile::Builder::new()
        .prefix(".head-packages.")
        // As other directories: whoever makes packages hands them out.
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(parent.unwrap_or(Path::new(".")))
        .map_err(failed("make a directory beside", directory))?;
    let executable = fs::read(executable).map_err(failed("read", executable))?;
    let make = |kind| {
        let parts = Parts::new(kind, architecture, &executable, documents);
        write_one(&parts, kind, unfinished.path())
    };
    let packages = HeadPackages {
        version: format!("{}-{RELEASE}", version()),
        tar: make(Kind::Tar)?,
        deb: make(Kind::Deb)?,
        rpm: make(Kind::Rpm)?,
    };
    packages
        .write(unfinished.path())
        .map_err(failed("write in", unfinished.path()))?;
    if directory.exists() {
        let reason = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(failed("make", directory)(reason));
    }
    fs::rename(unfinished.path(), directory).map_err(failed("make", directory))?;
    // It has another name now.
    let _ = unfinished.keep();
    Ok(packages)
}

fn write_one(parts: &Parts<'_>, kind: Kind, directory: &Path) -> Result<HeadPackage, WriteError> {
    let contents = parts.contents();
    let name = contents.file_name(kind);
    let directory = directory.join(kind.to_string());
    fs::create_dir(&directory).map_err(failed("make", &directory))?;
    let path = directory.join(&name);
    let file = File::create_new(&path).map_err(failed("make", &path))?;
    let mut out = Hashing::new(file);
    contents
        .write(kind, &mut out)
        .map_err(|source| WriteError::Build { kind, source })?;
    let (sha256, size) = out.finish().map_err(failed("write", &path))?;
    Ok(HeadPackage {
        file: name,
        sha256,
        size,
    })
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    move |source| WriteError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
