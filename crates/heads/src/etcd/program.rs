//! [`Program`]: the etcd that is on this machine.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

/// An etcd that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
}

/// There is no etcd to run.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no etcd program: neither {own} nor one in PATH ({searched}). Install the package etcd (etcd-server on \
     Debian), or join again, which gets it from another head"
)]
pub struct ProgramError {
    own: PathBuf,
    searched: String,
}

impl Program {
    /// The etcd of the data directory `data`, which another head handed over, else the one in `PATH`.
    ///
    /// # Errors
    /// There is none.
    pub fn find(data: &Path) -> Result<Self, ProgramError> {
        Self::find_in(data, &env::var("PATH").unwrap_or_default())
    }

    fn find_in(data: &Path, searched: &str) -> Result<Self, ProgramError> {
        let own = Self::own_path(data);
        let in_path = env::split_paths(searched).map(|directory| directory.join("etcd"));
        match std::iter::once(own.clone())
            .chain(in_path)
            .find(|path| path.is_file() && access(path, Access::EXEC_OK).is_ok())
        {
            Some(path) => Ok(Self { path }),
            None => Err(ProgramError {
                own,
                searched: searched.to_owned(),
            }),
        }
    }

    /// Where the etcd of the data directory `data` is, if another head handed it one.
    pub fn own_path(data: &Path) -> PathBuf {
        data.join("bin/etcd")
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file, to hand it to another head.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self) -> io::Result<std::fs::File> {
        std::fs::File::open(&self.path)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn program(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_one_that_a_head_handed_over_comes_before_those_in_path() {
        let home = tempfile::tempdir().unwrap();
        let (data, system) = (home.path().join("data"), home.path().join("usr"));
        let path = format!("/nonexistent:{}", system.display());
        let error = Program::find_in(&data, &path).unwrap_err().to_string();
        assert!(
            error.contains(&path) && error.contains("data/bin/etcd"),
            "{error}"
        );

        program(&system.join("etcd"), 0o755);
        let found = Program::find_in(&data, &path).unwrap();
        assert_eq!(found.path(), system.join("etcd"));
        program(&data.join("bin/etcd"), 0o755);
        let found = Program::find_in(&data, &path).unwrap();
        assert_eq!(found.path(), data.join("bin/etcd"));
    }

    #[test]
    fn a_file_that_cannot_be_run_is_no_program() {
        let home = tempfile::tempdir().unwrap();
        program(&home.path().join("bin/etcd"), 0o644);
        // Root may run what anybody may run, and this file nobody may.
        assert!(Program::find_in(home.path(), "").is_err());
    }
}
