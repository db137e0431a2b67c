//! wrk: as many requests as a server answers on some connections.

use std::{fmt::Write as _, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{
    cluster::{self, NodeFile},
    outcome::Outcome,
    process::Process,
};
use crate::programs;

/// Fails unless wrk is installed.
pub(crate) fn require() -> Result<()> {
    ensure!(
        programs::find("wrk").is_some(),
        "wrk is not installed (Debian package wrk)"
    );
    Ok(())
}

/// What to ask, and how.
pub(crate) struct Load {
    pub port: u16,
    pub file: NodeFile,
    pub connections: usize,
    /// One thread asks as each of these.
    pub nodes: Vec<usize>,
    pub time: Duration,
}

impl Load {
    /// Runs wrk against `server`.
    pub(crate) fn run(&self, directory: &Path, server: &Process) -> Result<Outcome> {
        let script = directory.join("nodes.lua");
        fs::write(&script, self.script()?)?;
        let before = server.cpu()?;
        let output = Command::new("wrk")
            .arg(format!("-t{}", self.nodes.len()))
            .arg(format!("-c{}", self.connections))
            .arg(format!("-d{}s", self.time.as_secs()))
            .args(["--latency", "--script"])
            .arg(&script)
            .arg(format!(
                "http://{}:{}",
                cluster::address(self.nodes[0]),
                self.port
            ))
            .output()
            .context("cannot run wrk")?;
        let cpu = server.cpu()?.saturating_sub(before);
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "wrk failed: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        read(&text, cpu).with_context(|| format!("wrk says what is not expected:\n{text}"))
    }

    /// Sends each thread to the address of its node, so that it comes from there (see `network`), for its file.
    fn script(&self) -> Result<String> {
        let mut script = String::from("local nodes = {\n");
        for &node in &self.nodes {
            let (address, path) = (cluster::address(node), self.file.path(node));
            writeln!(script, "  {{\"{address}\", \"{path}\"}},")?;
        }
        script.push_str(SCRIPT);
        Ok(script)
    }
}

const SCRIPT: &str = r#"}
local next = 0
function setup(thread)
  next = next + 1
  local address, path = unpack(nodes[next])
  thread.addr = wrk.lookup(address, wrk.port)[1]
  thread:set("path", path)
end
function init()
  wrk.path = path
end
"#;

fn read(text: &str, cpu: Duration) -> Option<Outcome> {
    // Said only when there are any.
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return None;
    }
    let after = |label: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(label))
            .map(str::trim)
    };
    let requests: f64 = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
    Some(Outcome {
        rate: after("Requests/sec:")?.parse().ok()?,
        p50: time(after("50%")?)?,
        p99: time(after("99%")?)?,
        cpu_micros: cpu.as_secs_f64() * 1e6 / requests,
    })
}

fn time(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(number.parse::<f64>().ok()? * scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 4s test @ http://127.1.0.1:8080/x
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.60ms    1.14ms  18.76ms   87.61%
    Req/Sec    20.08k     2.33k   24.94k    77.50%
  Latency Distribution
     50%    1.32ms
     75%    1.88ms
     90%    2.78ms
     99%  670.00us
  160000 requests in 4.01s, 640.34MB read
Requests/sec:  39900.25
Transfer/sec:    159.69MB
";

    #[test]
    fn what_wrk_says_is_understood() {
        let outcome = read(SAID, Duration::from_millis(3200));
        let expected = Outcome {
            rate: 39900.25,
            p50: Duration::from_micros(1320),
            p99: Duration::from_micros(670),
            cpu_micros: 20.0,
        };
        assert_eq!(outcome, Some(expected));
    }

    #[test]
    fn a_run_with_errors_counts_for_nothing() {
        let failed = format!("{SAID}  Non-2xx or 3xx responses: 3\n");
        assert_eq!(read(&failed, Duration::ZERO), None);
    }
}
