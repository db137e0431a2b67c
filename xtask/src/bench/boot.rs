//! Rendered kickstarts, beside nginx serving the same bytes as one static file.

use std::{env, fmt::Write as _, time::Duration};

use anyhow::Result;

use super::{
    cluster::{self, NODES, NodeFile},
    directory::Directory,
    machine, network,
    pilotlight::{Head, Start},
    release,
    report::{self, mebibytes, median, milliseconds},
    side_by_side::{self, CONNECTIONS, ROUND, ROUNDS, Round, SideBySide},
    storm,
};

/// How often the head is started.
const STARTS: usize = 7;

/// Runs the measurement.
pub(crate) fn run() -> Result<()> {
    side_by_side::require()?;
    if !network::is_own() {
        release::build("pilotlight")?;
        return network::run_in_own(&env::current_exe()?);
    }
    let binary = release::program("pilotlight");
    let directory = Directory::new()?;
    println!("creating {NODES} nodes through the API");
    let head = Head::start(&binary, directory.path())?;
    cluster::create(head.socket())?;
    head.stop()?;

    println!("starting the head {STARTS} times");
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let head = Head::start(&binary, directory.path())?;
        starts.push(head.start);
        head.stop()?;
    }

    let head = Head::start(&binary, directory.path())?;
    let at_rest = head.process().resident()?;
    let rendered = storm::fetch(head.port(), 0, NodeFile::Kickstart)?;
    let servers = SideBySide::start(&head, NodeFile::Kickstart, 0..1, directory.path())?;
    let recorder = head.recorder()?;
    let mut loads = Vec::new();
    // Few threads cost least, so that the servers get most; many show what many addresses cost.
    for addresses in [2, CONNECTIONS] {
        loads.push((addresses, servers.load(addresses)?));
    }
    let recorder = head.recorder()?.saturating_sub(recorder);
    let storms = servers.storm()?;
    drop(servers);
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
    report::keep("boot", &report.text()?)
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
             nodes; {}",
            machine::describe()?,
            self.rendered,
            report::method("one static file of the same bytes"),
        );
        for (addresses, rounds) in &self.loads {
            report::load(&mut text, *addresses, rounds)?;
        }
        report::storm(&mut text, NodeFile::Kickstart, &self.storms)?;
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
            mebibytes(self.at_rest),
            mebibytes(self.peak),
            self.recorder.as_secs_f64() / loaded,
        )?;
        Ok(text)
    }
}
