//! Heads that serve one cluster, on addresses and in directories of their own.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::bench::{pilotlight::Head, storm};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Waits for something that heads do by themselves.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<Duration> {
    let began = Instant::now();
    while !is_so() {
        ensure!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
    Ok(began.elapsed())
}

/// How a machine joined, without starting.
pub(crate) struct Join {
    /// How long it took.
    pub(crate) whole: Duration,
    /// When, within that, it got the files.
    pub(crate) copied: Range<Instant>,
}

impl Join {
    /// How long it took to get the files.
    pub(crate) fn copying(&self) -> Duration {
        self.copied.end - self.copied.start
    }
}

/// Heads of one cluster, numbered from 0. Those that are down have no process.
pub(crate) struct Heads<'a> {
    binary: &'a Path,
    directory: &'a Path,
    heads: Vec<Option<Head>>,
}

impl<'a> Heads<'a> {
    /// One head, with all that is its own in `directory`.
    pub(crate) fn begin(binary: &'a Path, directory: &'a Path) -> Result<Self> {
        let mut heads = Self {
            binary,
            directory,
            heads: vec![None],
        };
        fs::create_dir_all(heads.home(0))?;
        heads.start(0)?;
        Ok(heads)
    }

    /// One more, which is ready; how long that took.
    pub(crate) fn grow(&mut self) -> Result<Duration> {
        let began = Instant::now();
        self.join(self.heads.len())?;
        self.add()?;
        Ok(began.elapsed())
    }

    /// Starts the next, which has joined.
    pub(crate) fn add(&mut self) -> Result<()> {
        self.heads.push(None);
        self.start(self.heads.len() - 1)
    }

    /// Has the machine with this number join, without starting it. How long that took.
    pub(crate) fn join(&self, number: usize) -> Result<Join> {
        fs::create_dir_all(self.home(number))?;
        let began = Instant::now();
        let mut child = Command::new(self.binary)
            .args(["join", "--yes", "--head", &address(0).to_string()])
            .args(["--listen", &address(number).to_string()])
            .arg("--password-file")
            .arg(self.data(0).join("admin_pass"))
            .arg("--data")
            .arg(self.data(number))
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", self.binary.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let (mut said, mut copying_began, mut copied) = (String::new(), began, None);
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if line.starts_with("copying ") {
                copying_began = Instant::now();
            } else if line == "copied the files" {
                copied = Some(copying_began..Instant::now());
            }
            said += &line;
            said.push('\n');
        }
        ensure!(child.wait()?.success(), "a head does not join: {said}");
        Ok(Join {
            whole: began.elapsed(),
            copied: copied.with_context(|| format!("nothing was copied: {said}"))?,
        })
    }

    /// Starts one that is down, and waits until it is ready.
    pub(crate) fn start(&mut self, number: usize) -> Result<()> {
        let head = Head::start_on(
            self.binary,
            &self.home(number),
            8090 + u16::try_from(number)?,
            Some(address(number)),
        )?;
        wait_until("a head is ready", || {
            storm::get(head.port(), 0, "/readyz").is_ok()
        })?;
        self.heads[number] = Some(head);
        Ok(())
    }

    /// Ends one in good order.
    pub(crate) fn stop_one(&mut self, number: usize) -> Result<()> {
        self.take(number)?.stop()
    }

    /// Ends one, and its etcd, as a power cut would.
    pub(crate) fn kill(&mut self, number: usize) -> Result<()> {
        self.take(number)?.kill()
    }

    fn take(&mut self, number: usize) -> Result<Head> {
        let head = self.heads[number].take();
        head.with_context(|| format!("head {number} is down already"))
    }

    /// One that is up.
    pub(crate) fn head(&self, number: usize) -> Result<&Head> {
        let head = self.heads.get(number).and_then(Option::as_ref);
        head.with_context(|| format!("head {number} is down"))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.heads.len()
    }

    /// The data directory of one.
    pub(crate) fn data(&self, number: usize) -> PathBuf {
        self.home(number).join("data")
    }

    fn home(&self, number: usize) -> PathBuf {
        self.directory.join(format!("head{number}"))
    }

    /// Ends all.
    pub(crate) fn stop(self) -> Result<()> {
        self.heads.into_iter().flatten().try_for_each(Head::stop)
    }
}

/// Where other heads reach one.
fn address(number: usize) -> SocketAddr {
    let [.., low] = number.to_be_bytes();
    (Ipv4Addr::new(127, 2, 0, low + 1), 8080).into()
}
