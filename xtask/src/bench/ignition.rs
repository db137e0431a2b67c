//! Ignition configs made from one Butane document, beside nginx serving the same bytes as a static file for each node;
//! and how long the translation takes.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use anyhow::Result;

use super::{
    cluster::{self, BUTANE, NODES, NodeFile},
    directory::Directory,
    machine, network,
    pilotlight::Head,
    release,
    report::{self, mebibytes, median},
    side_by_side::{self, CONNECTIONS, Round, SideBySide},
    storm,
    translation::{self, TIMES, Translation},
};

/// How the names of documents begin that are whole nodes, or large.
const SINGLED_OUT: [&str; 2] = ["hpc-", "large-"];

/// Runs the measurement.
pub(crate) fn run() -> Result<()> {
    side_by_side::require()?;
    if !network::is_own() {
        release::build("pilotlight")?;
        // Translations are measured within this program.
        release::build("xtask")?;
        return network::run_in_own(&release::program("xtask"));
    }
    println!("translating the corpus {TIMES} times");
    let translations = translation::corpus()?;

    let binary = release::program("pilotlight");
    let directory = Directory::new()?;
    println!("creating {NODES} nodes through the API");
    let head = Head::start(&binary, directory.path())?;
    cluster::create(head.socket())?;
    cluster::configure(head.socket())?;
    head.stop()?;

    let head = Head::start(&binary, directory.path())?;
    let at_rest = head.process().resident()?;
    let config = storm::fetch(head.port(), 0, NodeFile::Ignition)?;
    println!("asking for the config of each node, for nginx");
    let servers = SideBySide::start(&head, NodeFile::Ignition, 0..NODES, directory.path())?;
    let load = servers.load(CONNECTIONS)?;
    let storms = servers.storm()?;
    drop(servers);
    let peak = head.process().peak()?;
    head.stop()?;

    let report = Report {
        config: config.len(),
        at_rest,
        peak,
        load,
        storms,
        translations,
    };
    report::keep("ignition", &report.text()?)
}

struct Report {
    /// Bytes of a config.
    config: usize,
    /// Resident memory in KiB.
    at_rest: u64,
    peak: u64,
    load: Vec<Round>,
    storms: Vec<Round>,
    /// By name.
    translations: BTreeMap<String, Translation>,
}

impl Report {
    fn text(&self) -> Result<String> {
        let mut text = format!(
            "# `cargo xtask bench ignition`\n\n{}\n\
             An Ignition config of {} bytes, translated from one Butane document of {} bytes that a group of {NODES} \
             nodes shares, with 12 substitutions in the contents of files and in a unit for the node that is asked \
             for; {}",
            machine::describe()?,
            self.config,
            BUTANE.len(),
            report::method("a static file of the same bytes for each node"),
        );
        report::load(&mut text, CONNECTIONS, &self.load)?;
        report::storm(&mut text, NodeFile::Ignition, &self.storms)?;
        self.memory(&mut text)?;
        self.translation(&mut text)?;
        Ok(text)
    }

    fn memory(&self, text: &mut String) -> Result<()> {
        write!(
            text,
            "\n## Pilotlight alone, with {NODES} nodes\n\n\
             | | measured | target |\n| --- | ---: | ---: |\n\
             | resident at rest, MiB | {:.1} | 64 |\n\
             | resident at most, under these loads, MiB | {:.1} | 64 |\n",
            mebibytes(self.at_rest),
            mebibytes(self.peak),
        )?;
        Ok(())
    }

    fn translation(&self, text: &mut String) -> Result<()> {
        let documents = self.translations.len();
        write!(
            text,
            "\n## Translation from Butane\n\n\
             The {documents} documents of `crates/ignition/tests/butane` of which the reference makes a config, each \
             parsed, checked, translated, checked again as Ignition and written, in one thread of this program; the \
             local files are read each time. Each time is the median of {TIMES}. Nothing is measured beside it, since \
             the reference, coreos/butane, is not run here.\n\n\
             | | Butane, bytes | Ignition, bytes | µs |\n| --- | ---: | ---: | ---: |\n",
        )?;
        let is_singled_out = |name: &str| SINGLED_OUT.iter().any(|start| name.starts_with(start));
        for (name, it) in &self.translations {
            if is_singled_out(name) {
                let (butane, ignition, time) = (it.butane, it.ignition, micros(it.time));
                writeln!(text, "| `{name}` | {butane} | {ignition} | {time:.0} |")?;
            }
        }
        let middle = |value: fn(&Translation) -> f64| median(self.translations.values().map(value));
        writeln!(
            text,
            "| the middle of all documents | {:.0} | {:.0} | {:.0} |",
            middle(|it| it.butane as f64),
            middle(|it| it.ignition as f64),
            middle(|it| micros(it.time)),
        )?;
        Ok(())
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
