//! Signing, by the program gpg: it knows where the administrator's keys are, be it on a smart card.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{Directory, RepositoryError};
use crate::temporary::Temporary;

/// How long a signature may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How much of what gpg complains about is read.
const MAX_COMPLAINT: u64 = 2 << 10;

/// The key that the repositories are signed with.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// Its fingerprint or key ID, or a user ID of it.
    pub key: String,
    /// The directory where gpg keeps it.
    pub gnupg_home: PathBuf,
}

impl SigningKey {
    /// The public key in ASCII, as a file in `directory`.
    pub(super) fn export(&self, directory: &Directory) -> Result<Temporary, RepositoryError> {
        let arguments = ["--armor", "--export", "--", &self.key];
        let exported = self.write(directory, &arguments, Stdio::null())?;
        // It is no failure to gpg if there is nothing to export.
        if directory.explain(exported.file.metadata())?.len() == 0 {
            return Err(self.error("gpg has no such key".to_owned()));
        }
        Ok(exported)
    }

    /// A signature of `document` in ASCII, as a file in `directory`.
    pub(super) fn sign_detached(
        &self,
        directory: &Directory,
        document: &File,
    ) -> Result<Temporary, RepositoryError> {
        self.sign(directory, document, "--detach-sign")
    }

    /// The text `document` with a signature of it, as a file in `directory`.
    pub(super) fn sign_clear(
        &self,
        directory: &Directory,
        document: &File,
    ) -> Result<Temporary, RepositoryError> {
        self.sign(directory, document, "--clear-sign")
    }

    fn sign(
        &self,
        directory: &Directory,
        mut document: &File,
        how: &str,
    ) -> Result<Temporary, RepositoryError> {
        directory.explain(document.rewind())?;
        let document = directory.explain(document.try_clone())?;
        let arguments = ["--armor", "--local-user", &self.key, how];
        self.write(directory, &arguments, Stdio::from(document))
    }

    fn write(
        &self,
        directory: &Directory,
        arguments: &[&str],
        input: Stdio,
    ) -> Result<Temporary, RepositoryError> {
        let out = directory.temporary()?;
        let written = self.gpg(arguments, input, &out.file);
        written.map_err(|reason| self.error(reason))?;
        Ok(out)
    }

    fn error(&self, reason: String) -> RepositoryError {
        RepositoryError::Sign {
            key: self.key.clone(),
            reason,
        }
    }

    /// Runs gpg with nothing but its arguments and its directory to decide what it does. gpg starts its agent if none is
    /// running, and leaves it running: it may hold a passphrase that the administrator has typed.
    fn gpg(&self, arguments: &[&str], input: Stdio, out: &File) -> Result<(), String> {
        let cannot_run = |error: io::Error| format!("cannot run gpg: {error}");
        let mut complaint = tempfile::tempfile().map_err(cannot_run)?;
        let mut command = Command::new("gpg");
        command
            // Whoever could type a passphrase is not here.
            .args(["--batch", "--no-tty", "--pinentry-mode", "error"])
            .args(arguments)
            .env_clear()
            .env("GNUPGHOME", &self.gnupg_home)
            .env("LC_ALL", "C")
            .stdin(input)
            .stdout(out.try_clone().map_err(cannot_run)?)
            .stderr(complaint.try_clone().map_err(cannot_run)?)
            .process_group(0);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let child = command.spawn().map_err(cannot_run)?;
        let Some(status) = wait(child, LIMIT).map_err(cannot_run)? else {
            return Err(format!("gpg took longer than {} s", LIMIT.as_secs()));
        };
        if status.success() {
            return Ok(());
        }
        let mut text = Vec::new();
        complaint
            .rewind()
            .and_then(|()| complaint.take(MAX_COMPLAINT).read_to_end(&mut text))
            .map_err(cannot_run)?;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        Err(lines.join("; "))
    }
}

/// Waits until the program ends. `None` if it took too long; it is killed then, with all that is in its process group.
fn wait(mut child: Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let has_ended = ends_within(&child, limit);
    if !matches!(has_ended, Ok(true))
        && let Some(leader) = Pid::from_raw(child.id().cast_signed())
    {
        // Not yet waited for, so the number still is its own.
        let _ = kill_process_group(leader, Signal::KILL);
    }
    let status = child.wait()?;
    Ok(has_ended?.then_some(status))
}

fn ends_within(child: &Child, limit: Duration) -> io::Result<bool> {
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or(Errno::SRCH)?;
    let end = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    loop {
        match poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&limit)) {
            Err(Errno::INTR) => {}
            count => return Ok(count? > 0),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_takes_too_long_is_killed_with_what_it_has_started() {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "sleep 3600 & echo $!; wait"])
            .process_group(0);
        let mut shell = shell.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = shell.stdout.take().unwrap();
        assert_eq!(wait(shell, Duration::from_millis(200)).unwrap(), None);
        // Ends only when both are gone: both have it open.
        stdout.read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn a_program_that_ends_says_how() {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", "exit 3"]).spawn().unwrap();
        let status = wait(shell, LIMIT).unwrap().unwrap();
        assert_eq!(status.code(), Some(3));
    }
}
