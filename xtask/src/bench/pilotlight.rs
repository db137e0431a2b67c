//! Pilotlight, as an administrator runs it.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, kill_process};

use super::{process::Process, storm};

const PORT: u16 = 8080;

/// A running head.
pub(crate) struct Head {
    process: Process,
    port: u16,
    socket: PathBuf,
    /// How long it took to start.
    pub start: Start,
}

/// How long a head took to start.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    /// Until it said that it listens.
    pub listening: Duration,
    /// Until it had answered a first request.
    pub answered: Duration,
}

impl Head {
    /// Starts the head whose state is in `directory`.
    pub(crate) fn start(binary: &Path, directory: &Path) -> Result<Self> {
        Self::start_on(binary, directory, PORT, None)
    }

    /// Starts a head that listens on this port, and first on the address where other heads reach it.
    pub(crate) fn start_on(
        binary: &Path,
        directory: &Path,
        port: u16,
        for_heads: Option<SocketAddr>,
    ) -> Result<Self> {
        let (data, log) = (directory.join("data"), directory.join("pilotlight.log"));
        let configuration = directory.join("pilotlight.toml");
        // One machine asks as many.
        fs::write(&configuration, "[limits]\nconnections_per_address = 1000\n")?;
        let began = Instant::now();
        let mut child = Command::new(binary)
            .arg("serve")
            .args(for_heads.map(|address| format!("--listen={address}")))
            .arg(format!("--listen=0.0.0.0:{port}"))
            .args([
                Path::new("--config"),
                &configuration,
                Path::new("--data"),
                &data,
            ])
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot run {}", binary.display()))?;
        let output = child.stdout.take().context("no standard output")?;
        let process = Process::new(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let listening = began.elapsed();
        ensure!(
            line.starts_with("listening on "),
            "the head does not start: {}",
            fs::read_to_string(log)?
        );
        storm::get(port, 0, "/healthz")?;
        let start = Start {
            listening,
            answered: began.elapsed(),
        };
        Ok(Self {
            process,
            port,
            socket: data.join("api.sock"),
            start,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its local socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// The CPU time that recording fetches has taken.
    pub(crate) fn recorder(&self) -> Result<Duration> {
        self.process.cpu_of_threads("ledger")
    }

    /// Ends it and its etcd as a power cut would.
    pub(crate) fn kill(mut self) -> Result<()> {
        let etcd = self.process.children("etcd")?;
        self.process.kill()?;
        for process in etcd {
            // It may have ended with its head.
            let _ = kill_process(process, Signal::KILL);
        }
        Ok(())
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> Result<()> {
        let status = self.process.stop()?;
        ensure!(status.success(), "the head ended badly: {status}");
        Ok(())
    }
}
