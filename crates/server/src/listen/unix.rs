use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::Error;

/// A bound Unix socket.
pub(super) struct Listener {
    socket: UnixListener,
    file: SocketFile,
}

/// The file of a Unix socket, removed on drop unless another process has put its own there since.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Listener {
    pub(super) fn bind(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Bind {
            address: path.display().to_string(),
            source,
        };
        remove_stale(path)?;
        let socket = UnixListener::bind(path).map_err(failed)?;
        let file = SocketFile::of(path).map_err(failed)?;
        fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self { socket, file })
    }

    /// Hands the socket to the runtime.
    pub(super) fn start(self) -> Result<(tokio::net::UnixListener, SocketFile), Error> {
        match tokio::net::UnixListener::from_std(self.socket) {
            Ok(listener) => Ok((listener, self.file)),
            Err(source) => Err(Error::Bind {
                address: self.file.path.display().to_string(),
                source,
            }),
        }
    }
}

/// Removes a socket that nobody listens on: what a killed process left.
fn remove_stale(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Bind {
        address: path.display().to_string(),
        source,
    };
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !there.file_type().is_socket() {
        return Err(Error::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // Whatever else the kernel says (no permission, backlog full), somebody may be there.
        Ok(_) | Err(_) => Err(Error::InUse(path.to_owned())),
    }
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|there| there == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Device and inode.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> Error {
        Listener::bind(path).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_socket_that_answers_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        let running = Listener::bind(&path).unwrap();
        assert!(matches!(refused(&path), Error::InUse(named) if named == path));
        UnixStream::connect(&path).unwrap();
        drop(running);
        assert!(!path.exists());
    }

    #[test]
    fn the_socket_of_a_dead_process_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(
            path.exists(),
            "std leaves the file, as a killed process does"
        );
        let _running = Listener::bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
    }

    #[test]
    fn a_file_is_never_taken_for_a_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(refused(&path), Error::NotASocket(named) if named == path));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn the_socket_of_a_successor_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        let old = Listener::bind(&path).unwrap();
        fs::rename(&path, directory.path().join("moved")).unwrap();
        let _successor = Listener::bind(&path).unwrap();
        drop(old);
        UnixStream::connect(&path).unwrap();
    }
}
