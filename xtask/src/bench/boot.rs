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
    outcome::Outcome,
    pilotlight::{Head, Start},
    process::Process,
    storm, wrk,
};
use crate::repository;

/// How often each server is measured under each load: many short rounds, so that the two of one round see the same
/// machine.
const ROUNDS: usize = 11;
/// How long one measurement takes.
const ROUND: Duration = Duration::from_secs(2);
/// How many connections ask at once.
const CONNECTIONS: usize = 64;
/// How often the head is started.
const STARTS: usize = 7;

/// Runs the measurement.
pub(crate) fn run() -> Result<()> {
    wrk::require()?;
    Nginx::require()?;
    let root = repository::root();
    if !network::is_own() {
        build(&root)?;
        return network::run_in_own();
    }
    let binary = binary(&root);
    let directory = Directory::new()?;
    println!("creating {NODES} nodes through the API");
    let head = Head::start(&binary, &directory.0)?;
    cluster::create(head.socket())?;
    head.stop()?;

    println!("starting the head {STARTS} times");
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let head = Head::start(&binary, &directory.0)?;
        starts.push(head.start);
        head.stop()?;
    }

    let head = Head::start(&binary, &directory.0)?;
    let at_rest = head.process().resident()?;
    let rendered = storm::fetch(head.port(), 0)?;
    let nginx = Nginx::start(&directory.0, cluster::PATH, &rendered)?;
    ensure!(
        storm::fetch(nginx.port(), 0)? == rendered,
        "nginx does not serve the rendered bytes"
    );

    let recorder = head.recorder()?;
    let mut loads = Vec::new();
    // Few threads cost least, so that the servers get most; many show what many addresses cost.
    for addresses in [2, CONNECTIONS] {
        println!("{CONNECTIONS} connections from {addresses} addresses");
        let outcomes = rounds(&head, &nginx, |round, port, server| {
            let load = wrk::Load {
                port,
                path: cluster::PATH,
                connections: CONNECTIONS,
                addresses: cluster::addresses(round * addresses, addresses),
                time: ROUND,
            };
            load.run(&directory.0, server)
        })?;
        loads.push((addresses, outcomes));
    }
    let recorder = head.recorder()?.saturating_sub(recorder);
    println!("each of {NODES} nodes once");
    let storms = rounds(&head, &nginx, |round, port, server| {
        cluster::touch(head.socket(), round)?;
        storm::run(port, server)
    })?;
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
    let results = root.join("bench/results");
    fs::create_dir_all(&results)?;
    let path = results.join(format!("boot-{}.md", machine::slug()));
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

fn build(root: &Path) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "pilotlight"])
        .current_dir(root)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "pilotlight does not build");
    Ok(())
}

fn binary(root: &Path) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("release/pilotlight")
}

/// What one round found.
struct Round {
    nginx: Outcome,
    pilotlight: Outcome,
}

/// Measures both servers again and again: `measure` is told the round, the port and the process.
fn rounds(
    head: &Head,
    nginx: &Nginx,
    measure: impl Fn(usize, u16, &Process) -> Result<Outcome>,
) -> Result<Vec<Round>> {
    let round = |round| {
        let ask_head = || measure(round, head.port(), head.process());
        let ask_nginx = || {
            // The head goes on recording for some seconds what it has answered, which is no fault of nginx.
            head.process().settle()?;
            measure(round, nginx.port(), nginx.process())
        };
        // Neither is always the first.
        let round = if round % 2 == 0 {
            let pilotlight = ask_head()?;
            let nginx = ask_nginx()?;
            Round { nginx, pilotlight }
        } else {
            let nginx = ask_nginx()?;
            let pilotlight = ask_head()?;
            Round { nginx, pilotlight }
        };
        println!(
            "  nginx       {}\n  Pilotlight  {}",
            round.nginx, round.pilotlight
        );
        Ok(round)
    };
    (0..ROUNDS).map(round).collect()
}

struct Report {
    /// Bytes of the kickstart.
    rendered: usize,
    /// Resident memory in KiB.
    at_rest: u64,
    peak: u64,
    starts: Vec<Start>,
    /// By number of source addresses.
    loads: Vec<(usize, Vec<Round>)>,
    /// CPU time that recording the fetches of these loads took.
    recorder: Duration,
    storms: Vec<Round>,
}

impl Report {
    fn text(&self) -> Result<String> {
        let mut text = format!(
            "# `cargo xtask bench boot`\n\n{}\n\
             A kickstart of {} bytes with 20 substitutions, rendered for the node that asks, from a head with {NODES} \
             nodes; beside it nginx (2 workers, `sendfile`, `tcp_nopush`, no access log) with one static file of the \
             same bytes. Clients and servers share the cores. Each number is the median of {ROUNDS} rounds, and each \
             ratio the median of the rounds' own ratios: a round asks both servers, one right after the other.\n",
            machine::describe()?,
            self.rendered,
        );
        for (addresses, rounds) in &self.loads {
            write!(
                text,
                "\n## {CONNECTIONS} connections kept alive, from {addresses} source addresses\n\n\
                 `wrk -t{addresses} -c{CONNECTIONS} -d{}s --latency`, each round as other nodes\n\n",
                ROUND.as_secs(),
            )?;
            table(&mut text, rounds)?;
        }
        write!(
            text,
            "\n## A cluster powers on: each of the {NODES} nodes once, on a connection of its own, {} at a time\n\n\
             The cluster changes before each round, so that every kickstart is rendered afresh.\n\n",
            storm::AT_ONCE,
        )?;
        table(&mut text, &self.storms)?;
        let loaded = ROUND.as_secs_f64() * (self.loads.len() * ROUNDS) as f64;
        write!(
            text,
            "\n## Pilotlight alone, with {NODES} nodes\n\n\
             | | measured | target |\n| --- | ---: | ---: |\n\
             | start to `listening on`, ms | {:.0} | 100 |\n\
             | start to the first answer, ms | {:.0} | |\n\
             | resident at rest, MiB | {:.1} | 64 |\n\
             | resident at most, under these loads, MiB | {:.1} | 64 |\n\
             | recording fetches, seconds of CPU for each second of wrk's load | {:.2} | |\n",
            median(
                self.starts
                    .iter()
                    .map(|start| milliseconds(start.listening))
            ),
            median(self.starts.iter().map(|start| milliseconds(start.answered))),
            self.at_rest as f64 / 1024.0,
            self.peak as f64 / 1024.0,
            self.recorder.as_secs_f64() / loaded,
        )?;
        Ok(text)
    }
}

fn table(text: &mut String, rounds: &[Round]) -> Result<()> {
    text.push_str("| | nginx | Pilotlight | ratio |\n| --- | ---: | ---: | ---: |\n");
    let mut row = |name, decimals, value: fn(&Outcome) -> f64| {
        let nginx = median(rounds.iter().map(|round| value(&round.nginx)));
        let pilotlight = median(rounds.iter().map(|round| value(&round.pilotlight)));
        let ratio = median(
            rounds
                .iter()
                .map(|round| value(&round.pilotlight) / value(&round.nginx)),
        );
        writeln!(
            text,
            "| {name} | {nginx:.decimals$} | {pilotlight:.decimals$} | {ratio:.2} |"
        )
    };
    row("requests/s", 0, |outcome| outcome.rate)?;
    row("p50, ms", 2, |outcome| milliseconds(outcome.p50))?;
    row("p99, ms", 2, |outcome| milliseconds(outcome.p99))?;
    row("CPU µs a request", 1, |outcome| outcome.cpu_micros)?;
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
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
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    }
}
