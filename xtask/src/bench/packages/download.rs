//! Downloads of a large file by several clients at once.

use std::{
    fmt,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};

use super::{client_tar::ClientTar, sink};
use crate::bench::{process::Process, report::Row};

const GIBIBYTE: f64 = (1_u64 << 30) as f64;

/// Who downloads.
#[derive(Clone, Copy)]
pub(crate) enum Client {
    Curl,
    Sink,
}

impl Client {
    /// So many do at once.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Curl => 2,
            Self::Sink => 4,
        }
    }

    /// How it downloads.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Curl => "`curl --output /dev/null`",
            Self::Sink => {
                "`recv` with `MSG_TRUNC`, which copies nothing, by threads of the program that measures"
            }
        }
    }

    /// How many times as fast as nginx a head shall serve it.
    pub(crate) fn target(self) -> Option<&'static str> {
        match self {
            Self::Curl => None,
            Self::Sink => Some("1"),
        }
    }

    /// Has each of them download the whole file once.
    pub(crate) fn run(self, port: u16, server: &Process, file: ClientTar) -> Result<Transfer> {
        let path = file.path();
        let download = || match self {
            Self::Curl => curl(port, &path, file.size),
            Self::Sink => sink::download(port, &path, file.size),
        };
        let before = server.cpu()?;
        let began = Instant::now();
        thread::scope(|scope| {
            let clients: Vec<_> = (0..self.count()).map(|_| scope.spawn(download)).collect();
            clients
                .into_iter()
                .try_for_each(|client| client.join().map_err(|_| anyhow!("a client panicked"))?)
        })?;
        let wall = began.elapsed();
        Ok(Transfer {
            bytes: file.size * self.count() as u64,
            wall,
            cpu: server.cpu()?.saturating_sub(before),
        })
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Curl => "by curl",
            Self::Sink => "discarded in the kernel",
        })
    }
}

fn curl(port: u16, path: &str, length: u64) -> Result<()> {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--output",
            "/dev/null",
        ])
        .args(["--write-out", "%{size_download}"])
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output()?;
    ensure!(
        output.status.success() && output.stdout == length.to_string().as_bytes(),
        "curl got {} bytes of {length}: {}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// What was downloaded, and what it cost.
pub(crate) struct Transfer {
    bytes: u64,
    wall: Duration,
    /// Of the server.
    cpu: Duration,
}

impl Transfer {
    pub(crate) const ROWS: &[Row<Self>] = &[
        ("GiB/s", 2, Self::rate),
        ("CPU seconds a GiB", 3, Self::cpu_of_gibibyte),
    ];

    /// GiB a second.
    pub(crate) fn rate(&self) -> f64 {
        self.gibibytes() / self.wall.as_secs_f64()
    }

    fn cpu_of_gibibyte(&self) -> f64 {
        self.cpu.as_secs_f64() / self.gibibytes()
    }

    fn gibibytes(&self) -> f64 {
        self.bytes as f64 / GIBIBYTE
    }
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, cpu) = (self.rate(), self.cpu_of_gibibyte());
        write!(f, "{rate:.2} GiB/s, CPU {cpu:.3} s a GiB")
    }
}
