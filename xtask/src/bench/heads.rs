//! Several heads: copying packages beside curl, how soon the others serve what one has written, how soon writes go on
//! when a head dies, and what all of it takes.

mod boots;
mod cluster;
mod failover;
mod memory;
mod news;
mod sizes;
mod traffic;
mod transfer;

use std::{env, fmt::Write as _, path::Path, time::Duration};

use anyhow::{Result, ensure};

use self::{
    boots::Boots,
    cluster::Heads,
    memory::Large,
    news::Seen,
    sizes::Sizes,
    traffic::Traffic,
    transfer::{Copying, Round},
};
use super::{
    cluster::{self as nodes, NODES},
    directory::Directory,
    machine, network,
    packages::client_tar::ClientTar,
    release,
    report::{self, mebibytes, median, milliseconds},
};
use crate::programs;

/// How much is measured.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A hundredth of everything, to try the measurement; its report is not kept
    #[arg(long)]
    small: bool,
}

/// How many heads there are, but for new ones.
const HEADS: usize = 3;

/// The packages that are copied.
const PACKAGES: [&str; 4] = ["first", "second", "third", "fourth"];

/// How much of everything.
struct Plan {
    /// Bytes of each package.
    package: u64,
    rounds: usize,
    writes: usize,
    kills: usize,
    changes: usize,
    /// Nodes of the large cluster.
    nodes: usize,
}

impl Plan {
    const FULL: Self = Self {
        package: 256 << 20,
        rounds: 5,
        writes: 200,
        kills: 9,
        changes: 1000,
        nodes: 100_000,
    };
    const SMALL: Self = Self {
        package: 4 << 20,
        rounds: 1,
        writes: 9,
        kills: 2,
        changes: 30,
        nodes: 1000,
    };

    fn packages(&self) -> [ClientTar; 4] {
        PACKAGES.map(|name| ClientTar {
            name,
            size: self.package,
        })
    }
}

/// Runs the measurement.
pub(crate) fn run(options: &Options) -> Result<()> {
    for (program, package) in [
        ("curl", "curl"),
        ("etcd", "etcd-server"),
        ("ss", "iproute2"),
    ] {
        ensure!(
            programs::find(program).is_some(),
            "{program} is not installed (Debian package {package})"
        );
    }
    if !network::is_own() {
        release::build("pilotlight")?;
        return network::run_in_own(&env::current_exe()?);
    }
    let plan = if options.small {
        Plan::SMALL
    } else {
        Plan::FULL
    };
    let binary = release::program("pilotlight");
    let report = Report {
        small: Small::measure(&binary, &plan)?,
        large: memory::measure(&binary, plan.nodes)?,
        plan,
    };
    let text = report.text()?;
    if options.small {
        println!("\n{text}");
        return Ok(());
    }
    report::keep("heads", &text)
}

/// What three heads with 10,000 nodes do.
struct Small {
    /// How long the others took to join and be ready.
    joined: Vec<Duration>,
    /// Of a head, before there were nodes and with them.
    empty: Sizes,
    full: Sizes,
    traffic: Traffic,
    seen: Seen,
    failovers: Vec<Duration>,
    copying: Copying,
}

impl Small {
    fn measure(binary: &Path, plan: &Plan) -> Result<Self> {
        let directory = Directory::new()?;
        let mut heads = Heads::begin(binary, directory.path())?;
        println!("{HEADS} heads");
        let joined = (1..HEADS).map(|_| heads.grow()).collect::<Result<_>>()?;
        let empty = Sizes::of(&heads, 0)?;
        println!("creating {NODES} nodes through the API");
        nodes::create(heads.head(0)?.socket())?;
        let full = Sizes::of(&heads, 0)?;
        println!("{} changes", plan.changes);
        let traffic = traffic::measure(&heads, plan.changes)?;
        println!("{} writes, watched from the other heads", plan.writes);
        let seen = news::measure(&heads, plan.writes)?;
        println!("{} kills", plan.kills);
        let failovers = failover::measure(&mut heads, plan.kills)?;
        println!("copying packages");
        let copying = transfer::measure(&heads, &plan.packages(), plan.rounds, directory.path())?;
        heads.stop()?;
        Ok(Self {
            joined,
            empty,
            full,
            traffic,
            seen,
            failovers,
            copying,
        })
    }
}

struct Report {
    plan: Plan,
    small: Small,
    large: Large,
}

impl Report {
    fn text(&self) -> Result<String> {
        let mut text = format!(
            "# `cargo xtask bench heads`\n\n{}- {}, {}\n\n\
             {HEADS} heads on one machine, each with its own etcd, address and data directory on the same disk; {NODES} \
             nodes where nothing else is said. Heads, etcds and clients share the cores.\n",
            machine::describe()?,
            machine::version("etcd", "--version"),
            machine::version("curl", "--version"),
        );
        self.targets(&mut text)?;
        self.copying(&mut text)?;
        self.writes(&mut text)?;
        self.planning(&mut text)?;
        Ok(text)
    }

    fn targets(&self, text: &mut String) -> Result<()> {
        let copying = &self.small.copying;
        write!(
            text,
            "\n## What is aimed at\n\n| | measured | target |\n| --- | ---: | ---: |\n\
             | a new head copies packages: times as fast as two curls | {:.2} | 0.5 |\n\
             | kickstarts meanwhile, p99: times the idle one | {:.2} | 2 |\n\
             | the other heads serve what was written, p99, s | {:.3} | 2 |\n\
             | writes go on after `kill -9` of a head and its etcd, s at most | {:.2} | 5 |\n",
            median(copying.rounds.iter().map(Round::ratio)),
            median(
                copying
                    .rounds
                    .iter()
                    .map(|round| round.slowdown(&round.copied))
            ),
            at(&self.small.seen.everywhere, 0.99).as_secs_f64(),
            at(&self.small.failovers, 1.0).as_secs_f64(),
        )?;
        Ok(())
    }

    fn copying(&self, text: &mut String) -> Result<()> {
        let Copying { rounds } = &self.small.copying;
        let bytes = self.plan.package * PACKAGES.len() as u64;
        let rate = |time: fn(&Round) -> Duration| {
            let rate = |round| bytes as f64 / f64::from(1 << 20) / time(round).as_secs_f64();
            median(rounds.iter().map(rate))
        };
        write!(
            text,
            "\n## {} packages of {} MiB\n\n\
             Two curls, one after the other's file, download all from a head by HTTP; then a new machine joins through the \
             same head, and copies them by mutual TLS, compares digests and syncs them to the disk. Beside \
             the copying, `pilotlight join` takes {:.2} s. Meanwhile {} nodes ask \
             that head for kickstarts, each on a new connection and with a pause of {} ms. Each number is the median of \
             {} rounds.\n\n\
             | | two curls | two curls, and sync | a new head |\n| --- | ---: | ---: | ---: |\n\
             | MiB/s | {:.0} | {:.0} | {:.0} |\n\
             | the new head is so many times as fast | {:.2} | {:.2} | |\n\n\
             | kickstarts, while | p99, ms | times the idle one | served |\n| --- | ---: | ---: | ---: |\n",
            PACKAGES.len(),
            self.plan.package >> 20,
            median(
                rounds
                    .iter()
                    .map(|round| { (round.join.whole - round.join.copying()).as_secs_f64() })
            ),
            boots::AT_ONCE,
            boots::PAUSE.as_millis(),
            rounds.len(),
            rate(|round| round.curls),
            rate(|round| round.synced),
            rate(|round| round.join.copying()),
            median(rounds.iter().map(Round::ratio)),
            median(rounds.iter().map(Round::synced_ratio)),
        )?;
        let mut row = |occupation, boots: fn(&Round) -> &Boots| {
            writeln!(
                text,
                "| {occupation} | {:.2} | {:.2} | {:.0} |",
                median(rounds.iter().map(|round| milliseconds(boots(round).p99()))),
                median(rounds.iter().map(|round| round.slowdown(boots(round)))),
                median(rounds.iter().map(|round| boots(round).count() as f64)),
            )
        };
        row("the head does nothing else", |round| &round.idle)?;
        row("two curls download and sync", |round| &round.curled)?;
        row("a new head copies", |round| &round.copied)?;
        row("a machine joins, all of it", |round| &round.joined)?;
        Ok(())
    }

    fn writes(&self, text: &mut String) -> Result<()> {
        let Seen {
            acknowledged,
            everywhere,
        } = &self.small.seen;
        write!(
            text,
            "\n## Writes\n\n\
             {} times an attribute of a group is changed on one head, each time another, and the others are asked for a \
             kickstart with it in it until they serve it. {} times a head and its etcd are killed, one after the other, \
             and the others are asked to write until one does.\n\n\
             | ms | p50 | p99 |\n| --- | ---: | ---: |\n\
             | until a write is acknowledged | {:.1} | {:.1} |\n\
             | until the last head serves it | {:.1} | {:.1} |\n\n\
             | s | median | most |\n| --- | ---: | ---: |\n\
             | until writes go on after a kill | {:.2} | {:.2} |\n\
             | until a machine has joined and is ready | {:.2} | {:.2} |\n",
            everywhere.len(),
            self.small.failovers.len(),
            milliseconds(at(acknowledged, 0.5)),
            milliseconds(at(acknowledged, 0.99)),
            milliseconds(at(everywhere, 0.5)),
            milliseconds(at(everywhere, 0.99)),
            at(&self.small.failovers, 0.5).as_secs_f64(),
            at(&self.small.failovers, 1.0).as_secs_f64(),
            at(&self.small.joined, 0.5).as_secs_f64(),
            at(&self.small.joined, 1.0).as_secs_f64(),
        )?;
        Ok(())
    }

    fn planning(&self, text: &mut String) -> Result<()> {
        let Small {
            empty,
            full,
            traffic,
            ..
        } = &self.small;
        let large = &self.large;
        let by_node = |full: u64, empty: u64| full.saturating_sub(empty) as f64 / NODES as f64;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            text,
            "\n## For planning\n\n\
             A node has a name, a MAC, an address, two groups and an attribute. What etcd and the heads send for a change \
             (one attribute of one node) is counted by the kernel on their connections, without what they send when \
             nothing changes.\n\n\
             | | |\n| --- | ---: |\n\
             | bytes of etcd's database for a node, as created | {:.0} |\n\
             | bytes of a head's copy for a node | {:.0} |\n\
             | etcd's log and snapshots, MiB | {:.0} |\n\
             | bytes from etcd to heads for a change, {HEADS} heads together | {:.0} |\n\
             | bytes from heads to etcd for a change | {:.0} |\n\
             | bytes between etcds for a change | {:.0} |\n\
             | bytes a second between all when nothing changes | {:.0} |\n\n\
             | | {NODES} nodes | {} nodes |\n| --- | ---: | ---: |\n\
             | resident memory of a head, MiB | {:.0} | {:.0} |\n\
             | resident memory of its etcd, MiB | {:.0} | {:.0} |\n\
             | etcd's database, MiB | {:.1} | {:.1} |\n\
             | a head's copy, MiB | {:.1} | {:.1} |\n\n\
             With {} nodes, a second head has joined and is ready after {:.1} s, of which {:.1} s are `pilotlight join`; a \
             head starts again in {:.2} s.\n",
            by_node(full.etcd, empty.etcd),
            by_node(full.replica, empty.replica),
            mib(full.etcd_log),
            traffic.from_etcd,
            traffic.to_etcd,
            traffic.between_etcds,
            traffic.quiet,
            large.nodes,
            mebibytes(full.head_memory),
            mebibytes(large.sizes.head_memory),
            mebibytes(full.etcd_memory),
            mebibytes(large.sizes.etcd_memory),
            mib(full.etcd),
            mib(large.sizes.etcd),
            mib(full.replica),
            mib(large.sizes.replica),
            large.nodes,
            large.ready.as_secs_f64(),
            large.joined.as_secs_f64(),
            large.started.as_secs_f64(),
        )?;
        Ok(())
    }
}

/// The time that this share of sorted ones is at most.
fn at(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * share).round() as usize)
        .copied()
        .unwrap_or_default()
}
