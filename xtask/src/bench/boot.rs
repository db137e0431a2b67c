//! Rendered boot files, beside nginx serving the same bytes as one static file.
//!
//! Two loads, each against both servers in turn, several times over, so that whatever else the machine does meanwhile
//! disturbs both; what counts are the medians. All of it happens on the loopback of a network namespace of its own,
//! where a connection to 127.x.y.z comes from 127.x.y.z: so one machine asks as thousands of nodes.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    cluster::{self, NODES},
    machine, network,
    nginx::Nginx,
    pilotlight::{Head, Start},
    process::Process,
    storm::{self, Storm},
    wrk,
};
use crate::repository;

/// How often each server is measured under each load.
const ROUNDS: usize = 7;
/// How long one measurement takes.
const ROUND: Duration = Duration::from_secs(4);
/// How many connections ask at once.
const CONNECTIONS: usize = 64;
/// How often the head is started.
const STARTS: usize = 7;

/// Runs the measurement.
pub(crate) fn run() -> Result<()> {
    wrk::require()?;
    Nginx::require()?;
    let root = repository::root();
    let binary = build(&root)?;
    if !network::is_own() {
        return network::run_in_own();
    }
    let directory = Directory::new()?;
    println!("creating {NODES} nodes through the API");
    let mut head = Head::start(&binary, &directory.0)?;
    cluster::create(head.socket())?;
    head.stop()?;

    println!("starting the head {STARTS} times");
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        head = Head::start(&binary, &directory.0)?;
        starts.push(head.start);
        head.stop()?;
    }

    head = Head::start(&binary, &directory.0)?;
    let at_rest = head.process().resident()?;
    let rendered = storm::fetch(head.port(), 0)?;
    let nginx = Nginx::start(&directory.0, cluster::PATH, &rendered)?;
    ensure!(
        storm::fetch(nginx.port(), 0)? == rendered,
        "nginx does not serve the rendered bytes"
    );
    let servers = [
        ("nginx", nginx.port(), nginx.process()),
        ("Pilotlight", head.port(), head.process()),
    ];

    let recorder = head.recorder()?;
    let mut loads = Vec::new();
    // Few threads cost least, so that the servers get most; many show what many addresses cost.
    for addresses in [2, CONNECTIONS] {
        loads.push((addresses, under_wrk(&servers, addresses, &directory.0)?));
    }
    let recorder = (head.recorder()?.saturating_sub(recorder)).as_secs_f64()
        / (2 * ROUNDS) as f64
        / ROUND.as_secs_f64();
    println!("each of {NODES} nodes once");
    let mut storms = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        cluster::touch(head.socket(), round)?;
        for ((_, port, process), storms) in servers.iter().zip(&mut storms) {
            storms.push(storm::run(*port, process)?);
        }
    }
    let peak = head.process().peak()?;
    head.stop()?;

    let report = Report {
        rendered: rendered.len(),
        at_rest,
        peak,
        starts,
        loads,
        recorder,
        storms,
    };
    let text = report.text()?;
    println!("\n{text}");
    let path = root
        .join("bench/results")
        .join(format!("boot-{}.md", machine::slug()));
    fs::create_dir_all(root.join("bench/results"))?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

fn build(root: &Path) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "pilotlight"])
        .current_dir(root)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "pilotlight does not build");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release/pilotlight"))
}

fn under_wrk(
    servers: &[(&str, u16, &Process); 2],
    addresses: usize,
    directory: &Path,
) -> Result<[Vec<wrk::Outcome>; 2]> {
    let mut outcomes = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for ((name, port, process), outcomes) in servers.iter().zip(&mut outcomes) {
            let load = wrk::Load {
                port: *port,
                path: cluster::PATH,
                connections: CONNECTIONS,
                addresses: cluster::addresses(round * addresses, addresses),
                time: ROUND,
            };
            let outcome = load.run(directory, process)?;
            println!("{addresses:>2} addresses, {name:<10} {outcome}");
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

struct Report {
    /// Bytes of the kickstart.
    rendered: usize,
    /// Resident memory in KiB.
    at_rest: u64,
    peak: u64,
    starts: Vec<Start>,
    /// By number of source addresses: nginx's and Pilotlight's rounds.
    loads: Vec<(usize, [Vec<wrk::Outcome>; 2])>,
    /// The share of one core that recording fetches took under these loads.
    recorder: f64,
    storms: [Vec<Storm>; 2],
}

impl Report {
    fn text(&self) -> Result<String> {
        let mut text = format!(
            "# `cargo xtask bench boot`\n\n{}\n\
             A kickstart of {} bytes with 20 substitutions, rendered for the node that asks, from a head with {NODES} nodes; \
             beside it nginx (2 workers, `sendfile`, `tcp_nopush`, no access log) with one static file of the same bytes. \
             Clients and servers share the cores. Medians of {ROUNDS} interleaved rounds.\n",
            machine::describe()?,
            self.rendered,
        );
        for (addresses, [nginx, pilotlight]) in &self.loads {
            write!(
                text,
                "\n## {CONNECTIONS} connections kept alive, from {addresses} source addresses\n\n\
                 `wrk -t{addresses} -c{CONNECTIONS} -d{}s --latency`, each round as other nodes\n\n{HEADINGS}",
                ROUND.as_secs(),
            )?;
            row(
                &mut text,
                "requests/s",
                nginx,
                pilotlight,
                |outcome| outcome.rate,
                0,
            )?;
            row(
                &mut text,
                "p50, ms",
                nginx,
                pilotlight,
                |outcome| milliseconds(outcome.p50),
                2,
            )?;
            row(
                &mut text,
                "p99, ms",
                nginx,
                pilotlight,
                |outcome| milliseconds(outcome.p99),
                2,
            )?;
            row(
                &mut text,
                "CPU µs a request",
                nginx,
                pilotlight,
                |outcome| outcome.cpu_micros,
                1,
            )?;
        }
        let [nginx, pilotlight] = &self.storms;
        write!(
            text,
            "\n## A cluster powers on: each of the {NODES} nodes once, on a connection of its own, {} at a time\n\n\
             Nothing was rendered before: the cluster changes between two rounds.\n\n{HEADINGS}",
            storm::AT_ONCE,
        )?;
        row(
            &mut text,
            "requests/s",
            nginx,
            pilotlight,
            |storm| storm.rate,
            0,
        )?;
        row(
            &mut text,
            "p50, ms",
            nginx,
            pilotlight,
            |storm| milliseconds(storm.p50),
            2,
        )?;
        row(
            &mut text,
            "p99, ms",
            nginx,
            pilotlight,
            |storm| milliseconds(storm.p99),
            2,
        )?;
        row(
            &mut text,
            "CPU µs a request",
            nginx,
            pilotlight,
            |storm| storm.cpu_micros,
            1,
        )?;
        write!(
            text,
            "\n## Pilotlight alone, with {NODES} nodes\n\n\
             | | measured | target |\n| --- | ---: | ---: |\n\
             | start to `listening on`, ms | {:.0} | 100 |\n\
             | start to the first answer, ms | {:.0} | |\n\
             | resident at rest, MiB | {:.1} | 64 |\n\
             | resident at most, under these loads, MiB | {:.1} | 64 |\n\
             | recording fetches under load, % of one core | {:.0} | |\n",
            median(&self.starts, |start| milliseconds(start.listening)),
            median(&self.starts, |start| milliseconds(start.answered)),
            self.at_rest as f64 / 1024.0,
            self.peak as f64 / 1024.0,
            self.recorder * 100.0,
        )?;
        Ok(text)
    }
}

const HEADINGS: &str = "| | nginx | Pilotlight | ratio |\n| --- | ---: | ---: | ---: |\n";

fn row<T>(
    text: &mut String,
    name: &str,
    nginx: &[T],
    pilotlight: &[T],
    value: impl Fn(&T) -> f64 + Copy,
    decimals: usize,
) -> Result<()> {
    let (nginx, pilotlight) = (median(nginx, value), median(pilotlight, value));
    let ratio = pilotlight / nginx;
    writeln!(
        text,
        "| {name} | {nginx:.decimals$} | {pilotlight:.decimals$} | {ratio:.2} |"
    )?;
    Ok(())
}

fn median<T>(rounds: &[T], value: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A directory for everything that the servers write; gone afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Self> {
        let path = env::temp_dir().join(format!("pilotlight-bench-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0], |value| *value), 2.0);
    }
}
