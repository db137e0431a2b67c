//! A head for a test: the real binary on a data directory of its own, and the ways to ask it.
//!
//! ```ignore
//! mod head;
//! use head::Head;
//!
//! let head = Head::start();
//! head.put("a.ks", "name <n[name]>\n");
//! head.node("n1", "127.0.0.11", &["attr.rack=7"]);
//! let reply = head.get_from("127.0.0.11", "/kickstart/a.ks");
//! assert_eq!((reply.status, reply.text()), (200, "name n1\n"));
//! ```
//!
//! Each test has a head of its own, since one starts in a fraction of a second. It is killed when dropped, and its
//! directory goes with it.

// Each file of tests uses what it needs of this.
#![allow(dead_code, unused_imports, clippy::unwrap_used)]

mod apt;
mod client;
mod command_line;
mod management;
mod nginx;
mod patience;
mod relay;
mod reply;
mod small_disk;
mod throw_away;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(crate) use apt::{apt_get, make_apt_machine};
pub(crate) use client::{NO_HOSTS, curl, get_request, have, read_to_end, run, skip, skipped};
pub(crate) use command_line::ended;
pub(crate) use nginx::Nginx;
pub(crate) use patience::{DEADLINE, until, within};
pub(crate) use relay::Relay;
pub(crate) use reply::Reply;
pub(crate) use small_disk::{SmallDisk, fill};
pub(crate) use throw_away::{ThrowAway, assert_refused, said};

/// A head, running or stopped.
pub(crate) struct Head {
    /// Holds `data`, `config.toml`, and what the head wrote to `stdout` and `log` (its standard error).
    directory: TempDir,
    process: Option<Child>,
    /// `HOST:PORT`, besides what the settings say.
    listen: String,
    urls: Vec<String>,
}

impl Head {
    /// A running head with default settings.
    pub(crate) fn start() -> Self {
        Self::with_config("")
    }

    /// A running head with these settings (TOML). It listens on a free port of 127.0.0.1 besides what they say.
    pub(crate) fn with_config(config: &str) -> Self {
        let mut head = Self::stopped(config);
        head.start_again();
        head
    }

    /// A head that was never started: its data directory does not exist yet.
    pub(crate) fn stopped(config: &str) -> Self {
        Self::stopped_at("127.0.0.1:0", config)
    }

    /// The same, of one that will listen there and not on a free port of 127.0.0.1.
    pub(crate) fn stopped_at(listen: &str, config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.toml"), config).unwrap();
        Self {
            directory,
            process: None,
            listen: listen.to_owned(),
            urls: Vec::new(),
        }
    }

    /// Starts a stopped head on the data it has, on a new port if it has none of its own. Returns when it listens.
    pub(crate) fn start_again(&mut self) {
        self.launch();
        let listeners = self.listeners();
        self.urls = until("the head listens", || {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            if let Some(status) = ended {
                panic!("the head ended at once, {status}:\n{}", self.log());
            }
            let stdout = fs::read_to_string(self.path("stdout")).unwrap();
            let whole_lines = stdout
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            let urls = whole_lines.map(|line| {
                line.trim_end()
                    .strip_prefix("listening on ")
                    .unwrap()
                    .to_owned()
            });
            let urls: Vec<_> = urls.collect();
            (urls.len() == listeners).then_some(urls)
        });
    }

    /// How many addresses the settings make it listen on.
    fn listeners(&self) -> usize {
        let config = fs::read_to_string(self.path("config.toml")).unwrap();
        let config: toml::Table = config.parse().unwrap();
        let listed = |table: &toml::Table| {
            table
                .get("listen")
                .and_then(toml::Value::as_array)
                .map_or(0, Vec::len)
        };
        let tls = config.get("tls").and_then(toml::Value::as_table);
        1 + listed(&config) + tls.map_or(0, listed)
    }

    /// Starts a stopped head that is expected to give up by itself: how it ended. What it said is in [`Self::log`].
    pub(crate) fn start_in_vain(&mut self) -> ExitStatus {
        self.launch();
        let process = self.process.as_mut().unwrap();
        let status = until("the head ends or listens", || {
            let ended = process.try_wait().unwrap();
            let listens = || {
                fs::metadata(self.directory.path().join("stdout"))
                    .unwrap()
                    .len()
                    > 0
            };
            ended.map(Some).or_else(|| listens().then_some(None))
        });
        self.kill();
        status.unwrap_or_else(|| panic!("the head listens, and was to give up:\n{}", self.log()))
    }

    fn launch(&mut self) {
        assert!(self.process.is_none(), "the head is running already");
        let mut serve = pilotlight();
        serve
            .arg("serve")
            .arg("--data")
            .arg(self.data())
            .args(["--listen", &self.listen])
            .arg("--config")
            .arg(self.path("config.toml"))
            .stdout(File::create(self.path("stdout")).unwrap())
            .stderr(File::create(self.path("log")).unwrap());
        self.process = Some(serve.spawn().unwrap());
    }

    /// Tells the head to end, as systemd does, and goes on at once.
    pub(crate) fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
    }

    /// Waits for the head to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("the head is running");
        let status = until("the head ends", || process.try_wait().unwrap());
        self.process = None;
        status
    }

    /// Ends the head in good order.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }

    /// Ends the head as a power cut would: `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// What `--listen` tells it.
    pub(crate) fn listen(&self) -> &str {
        &self.listen
    }

    /// The head's process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(self.process.as_ref().expect("the head is running"))
    }

    /// A file or directory beside the data directory, for what a test needs.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The local socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.data().join("api.sock")
    }

    /// The kickstarts directory.
    pub(crate) fn kickstarts(&self) -> PathBuf {
        self.data().join("kickstarts")
    }

    /// Everything the head has logged since it was started.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap()).into_owned()
    }

    /// The log lines that hold `text`, as soon as there are `count`; more than that fails the test.
    pub(crate) fn log_lines(&self, text: &str, count: usize) -> Vec<String> {
        let lines = until(&format!("{count} log lines with {text:?}"), || {
            let log = self.log();
            let lines = log.lines().filter(|line| line.contains(text));
            let lines: Vec<_> = lines.map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        });
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    /// Its listener on 127.0.0.1, or on the address that it was given.
    pub(crate) fn address(&self) -> SocketAddr {
        let (host, _) = self.listen.rsplit_once(':').unwrap();
        let url = self.urls.iter().find_map(|url| {
            let address = url.strip_prefix("http://")?;
            let (of, _) = address.rsplit_once(':')?;
            (of == host).then_some(address)
        });
        url.expect("the head listens for HTTP").parse().unwrap()
    }

    /// All its listeners, in the form `http://HOST:PORT`.
    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The first HTTPS listener.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        let url = self
            .urls
            .iter()
            .find_map(|url| url.strip_prefix("https://"));
        url.expect("the head listens for HTTPS").parse().unwrap()
    }

    /// The URL of a path under `/api/v1`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.address())
    }

    /// Puts a boot file into the kickstarts directory, as an administrator's `cp` would.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let file = self.kickstarts().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    /// Creates a node that boots from this address; `words` are more of `pilotlight node create`. Its MAC ends in the
    /// address: `52:54:7f:00:00:0b` for 127.0.0.11.
    pub(crate) fn node(&self, name: &str, ip: &str, words: &[&str]) {
        let mac = mac_of(ip);
        let (mac, ip) = (format!("mac={mac}"), format!("ip={ip}"));
        let create = ["node", "create", name, &mac, &ip];
        self.cli(create.iter().chain(words));
    }

    /// Runs `pilotlight --socket …` with these arguments, which is expected to succeed: its standard output.
    pub(crate) fn cli<A: AsRef<str>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let output = self.try_cli(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `pilotlight --socket …` with these arguments.
    pub(crate) fn try_cli<A: AsRef<str>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        let mut command = pilotlight();
        command.arg("--socket").arg(self.socket());
        for argument in arguments {
            command.arg(argument.as_ref());
        }
        command.output().unwrap()
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read(self.path("log")).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let _ = writeln!(
                io::stderr(),
                "what the head at {} said:\n{log}",
                self.listen
            );
        }
    }
}

/// The command `pilotlight`, as built for these tests, without settings from the environment or from a service that
/// runs on this machine.
pub(crate) fn pilotlight() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilotlight"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PILOTLIGHT_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUNTIME_DIRECTORY");
    command.env_remove("NOTIFY_SOCKET");
    command
}

/// The MAC that [`Head::node`] gives to the node with this address.
pub(crate) fn mac_of(ip: &str) -> String {
    let [a, b, c, d] = ip.parse::<Ipv4Addr>().unwrap().octets();
    format!("52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// The repository's root.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
