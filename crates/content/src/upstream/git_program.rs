//! Running the program `git` so that nothing but its arguments decides what it does.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::error::Fault;

/// How much of what it complains about is read.
const MAX_COMPLAINT: u64 = 16 << 10;
/// How much it may write into one file, which bounds what a server can make it store.
const MAX_FILE: u64 = 256 << 20;

/// What holds for every run, whichever the remote.
const CONFIGURATION: [(&str, &str); 14] = [
    ("core.askPass", ""),
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("credential.helper", ""),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("gc.auto", "0"),
    // A redirect would lead to an address that nobody has judged.
    ("http.followRedirects", "false"),
    ("http.proxy", ""),
    ("maintenance.auto", "false"),
    ("protocol.version", "2"),
    ("remote.origin.promisor", "true"),
    ("remote.origin.partialCloneFilter", "blob:none"),
    ("transfer.bundleURI", "false"),
];

/// The program, and what of this head it may see.
#[derive(Debug)]
pub(super) struct GitProgram {
    pub(super) program: PathBuf,
    /// In place of the home directory, where configuration could lie.
    pub(super) home: PathBuf,
}

/// What git needs to know of the remote for one run.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// The only protocol it may use.
    pub(super) protocol: &'static str,
    /// Configuration, by key: the URL of the remote `origin`, for one. Kept out of the argument list, which every user
    /// of this machine can read.
    pub(super) configuration: Vec<(&'static str, String)>,
    /// Environment variables, by name.
    pub(super) environment: Vec<(&'static str, String)>,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) is_success: bool,
    pub(super) stdout: Vec<u8>,
    /// Whether there was more than was asked for.
    pub(super) is_cut: bool,
    /// The end of what it complained about.
    pub(super) complaint: String,
}

impl GitProgram {
    /// Runs `git --git-dir=REPOSITORY ARGUMENTS`, and reads at most `limit` bytes of what it prints.
    ///
    /// Dropping the future kills git and all that it has started.
    pub(super) async fn run<A: AsRef<OsStr>>(
        &self,
        repository: &Path,
        access: &Access,
        arguments: &[A],
        limit: u64,
    ) -> Result<Output, Fault> {
        let missing = |error: std::io::Error| Fault::GitMissing(error.to_string());
        let mut child = self
            .command(repository, access)
            .args(arguments)
            .spawn()
            .map_err(missing)?;
        let group = ProcessGroup::led_by(child.id());
        group.limit_files();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = tokio::join!(read(stdout, limit), read(stderr, MAX_COMPLAINT));
        let ((stdout, is_cut), (stderr, _)) = (stdout, stderr);
        let status = child.wait().await.map_err(missing)?;
        group.has_ended();
        Ok(Output {
            is_success: status.success(),
            stdout,
            is_cut,
            complaint: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    fn command(&self, repository: &Path, access: &Access) -> Command {
        let mut git_dir = std::ffi::OsString::from("--git-dir=");
        git_dir.push(repository);
        let mut command = Command::new(&self.program);
        command
            .arg(git_dir)
            .current_dir(&self.home)
            .env_clear()
            .env("HOME", &self.home)
            .env("LC_ALL", "C")
            .env("GIT_ALLOW_PROTOCOL", access.protocol)
            .env("GIT_ASKPASS", "")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .envs(access.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let fixed = CONFIGURATION.iter().map(|(key, value)| (*key, *value));
        let given = access
            .configuration
            .iter()
            .map(|(key, value)| (*key, value.as_str()));
        let configuration: Vec<_> = fixed.chain(given).collect();
        command.env("GIT_CONFIG_COUNT", configuration.len().to_string());
        for (number, (key, value)) in configuration.into_iter().enumerate() {
            command
                .env(format!("GIT_CONFIG_KEY_{number}"), key)
                .env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        command
    }
}

/// Reads to the end, keeps the first `limit` bytes, and tells whether there were more.
async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> (Vec<u8>, bool) {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else {
        return (kept, false);
    };
    // A pipe that breaks is as good as one that ends: the exit status tells the rest.
    let _ = (&mut pipe).take(limit).read_to_end(&mut kept).await;
    let more = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    (kept, more.unwrap_or(0) > 0)
}

/// git and the programs it starts. Killed when dropped, unless they have ended.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn led_by(pid: Option<u32>) -> Self {
        Self(pid.and_then(|pid| Pid::from_raw(pid.cast_signed())))
    }

    fn limit_files(&self) {
        let limit = Rlimit {
            current: Some(MAX_FILE),
            maximum: Some(MAX_FILE),
        };
        if let Some(leader) = self.0 {
            // Fails only if it has ended already.
            let _ = prlimit(Some(leader), Resource::Fsize, limit);
        }
    }

    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Not yet waited for, so the number still is its own.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
