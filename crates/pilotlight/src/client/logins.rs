//! Logins kept between commands: one file, readable by its owner alone.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::HeadAddress;
use crate::error::Error;

/// The tokens of a login. Not `Debug`: they must not reach a log.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    /// When the access token ends, in seconds since 1970.
    ends: u64,
}

impl Login {
    pub(super) fn new(access_token: String, refresh_token: String, ends: SystemTime) -> Self {
        Self {
            access_token,
            refresh_token,
            ends: since_1970(ends).as_secs(),
        }
    }

    /// Whether the access token has not ended at `time`.
    pub(super) fn is_good_at(&self, time: SystemTime) -> bool {
        since_1970(time) < Duration::from_secs(self.ends)
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// The file that holds a login for each head.
pub(crate) struct Logins {
    path: PathBuf,
}

impl Logins {
    /// The file of this user: `$XDG_CONFIG_HOME/pilotlight/token`, with `~/.config` where that is not set.
    pub(crate) fn of_this_user() -> Self {
        let directory = |variable| {
            std::env::var_os(variable)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let configuration = directory("XDG_CONFIG_HOME")
            .or_else(|| Some(directory("HOME")?.join(".config")))
            .unwrap_or_else(|| PathBuf::from("/nonexistent"));
        Self::at(configuration.join("pilotlight/token"))
    }

    /// The file at `path`.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The login for `head`, if there is one.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read or is damaged.
    pub(crate) fn get(&self, head: &HeadAddress) -> Result<Option<Login>, Error> {
        let mut logins = self
            .read()
            .map_err(|error| Error::file("read", &self.path, error))?;
        Ok(logins.remove(&head.to_string()))
    }

    /// Keeps other commands from changing any login meanwhile; waits for those that do.
    ///
    /// # Errors
    /// [`Error::File`] when there can be no such file.
    pub(crate) fn lock(&self) -> Result<LockedLogins<'_>, Error> {
        let lock = || {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(self.directory())?;
            lock(&self.path.with_extension("lock"))
        };
        match lock() {
            Ok(lock) => Ok(LockedLogins {
                logins: self,
                _lock: lock,
            }),
            Err(error) => Err(Error::file("write", &self.path, error)),
        }
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn read(&self) -> io::Result<BTreeMap<String, Login>> {
        match std::fs::read(&self.path) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }
}

/// The logins while no other command changes them.
pub(crate) struct LockedLogins<'a> {
    logins: &'a Logins,
    _lock: File,
}

impl LockedLogins<'_> {
    /// As [`Logins::get`].
    ///
    /// # Errors
    /// As [`Logins::get`].
    pub(crate) fn get(&self, head: &HeadAddress) -> Result<Option<Login>, Error> {
        self.logins.get(head)
    }

    /// Keeps `login` for `head`, or forgets the one it had.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read or written.
    pub(crate) fn store(&self, head: &HeadAddress, login: Option<Login>) -> Result<(), Error> {
        let update = || {
            let mut logins = self.logins.read()?;
            match login {
                Some(login) => logins.insert(head.to_string(), login),
                None => logins.remove(&head.to_string()),
            };
            // Readable by the owner alone from its first byte on.
            let mut file = tempfile::NamedTempFile::new_in(self.logins.directory())?;
            file.write_all(&serde_json::to_vec(&logins)?)?;
            file.persist(&self.logins.path)?;
            Ok(())
        };
        update().map_err(|error: io::Error| Error::file("write", &self.logins.path, error))
    }
}

fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn login(token: &str) -> Login {
        let ends = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        Login::new(token.to_owned(), "refresh".to_owned(), ends)
    }

    #[test]
    fn logins_are_kept_by_head_and_read_by_the_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let logins = Logins::at(home.path().join("pilotlight/token"));
        let (a, b): (HeadAddress, HeadAddress) =
            ("http://a".parse().unwrap(), "http://b".parse().unwrap());
        assert!(logins.get(&a).unwrap().is_none());
        logins
            .lock()
            .unwrap()
            .store(&a, Some(login("of-a")))
            .unwrap();
        logins
            .lock()
            .unwrap()
            .store(&b, Some(login("of-b")))
            .unwrap();
        assert_eq!(logins.get(&a).unwrap().unwrap().access_token, "of-a");
        assert_eq!(
            std::fs::metadata(&logins.path)
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        logins.lock().unwrap().store(&a, None).unwrap();
        assert!(logins.get(&a).unwrap().is_none());
        assert_eq!(logins.get(&b).unwrap().unwrap().access_token, "of-b");
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        std::fs::write(&path, "{").unwrap();
        let logins = Logins::at(path.clone());
        let head = "http://a".parse().unwrap();
        assert!(logins.get(&head).is_err());
        assert!(
            logins
                .lock()
                .unwrap()
                .store(&head, Some(login("x")))
                .is_err()
        );
        assert_eq!(std::fs::read_to_string(path).unwrap(), "{");
    }

    #[test]
    fn a_token_is_good_until_it_ends() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(login("x").is_good_at(at(999)));
        assert!(!login("x").is_good_at(at(1000)));
    }
}
