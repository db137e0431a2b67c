//! Client packages: downloads beside nginx serving the same files, and rpms made tars beside rpm2archive and bsdtar.

pub(crate) mod client_tar;
mod content;
mod conversion;
mod download;
pub(crate) mod indexing;
mod rpm;
mod sink;

use std::{fmt::Write as _, fs, iter, path::Path};

use anyhow::{Result, ensure};

use self::{
    client_tar::ClientTar,
    conversion::{Converter, Cost, Workshop},
    download::{Client, Transfer},
    rpm::{GZIP, MadeRpm, Rpm, ZSTD},
};
use super::{
    cluster::NodeFile,
    directory::Directory,
    machine, network,
    nginx::Nginx,
    pilotlight::Head,
    release,
    report::{self, mebibytes, median, ratio},
    side_by_side::{self, Round, SideBySide},
};
use crate::programs;

/// The package of which servers answer as many requests as they can.
pub(crate) const SMALL: ClientTar = ClientTar {
    name: "small",
    size: 4 << 10,
};
/// The package that is downloaded by few at a time.
const LARGE: ClientTar = ClientTar {
    name: "large",
    size: 1 << 30,
};

const RPMS: [Rpm; 4] = [
    rpm(300_000_000, GZIP),
    rpm(300_000_000, ZSTD),
    rpm(30_000_000, GZIP),
    rpm(30_000_000, ZSTD),
];

const fn rpm(size: usize, payload: rpm::Payload) -> Rpm {
    Rpm { size, payload }
}

/// How often each rpm is converted by each.
const CONVERSIONS: usize = 5;

/// From how many addresses the small package is asked for.
const ADDRESSES: usize = 2;

/// Runs the measurement.
pub(crate) fn run() -> Result<()> {
    side_by_side::require()?;
    for (program, package) in [
        ("bsdtar", "libarchive-tools"),
        ("curl", "curl"),
        ("rpm2archive", "rpm2cpio"),
        ("rpmbuild", "rpm"),
    ] {
        ensure!(
            programs::find(program).is_some(),
            "{program} is not installed (Debian package {package})"
        );
    }
    if !network::is_own() {
        release::build("pilotlight")?;
        // It makes what is measured with.
        release::build("xtask")?;
        return network::run_in_own(&release::program("xtask"));
    }
    let binary = release::program("pilotlight");
    let directory = Directory::new()?;
    let directory = directory.path();
    // So that there is a place for client packages.
    Head::start(&binary, directory)?.stop()?;
    let clientpkgs = directory.join("data/clientpkgs");

    let downloads = downloads(&binary, directory, &clientpkgs)?;
    let conversions = conversions(&binary, directory, &clientpkgs)?;
    let report = Report {
        downloads,
        conversions,
    };
    report::keep("packages", &report.text()?)
}

struct Downloads {
    /// Resident memory in KiB, before anybody asked.
    at_rest: u64,
    large: Vec<LargeDownloads>,
    small: Vec<Round>,
}

struct LargeDownloads {
    client: Client,
    rounds: Vec<Round<Transfer>>,
    /// The head's resident memory in KiB.
    peak: u64,
}

fn downloads(binary: &Path, directory: &Path, clientpkgs: &Path) -> Result<Downloads> {
    println!("making client packages");
    for tar in [SMALL, LARGE] {
        tar.write(clientpkgs, directory)?;
    }
    indexing::index(binary, directory, &LARGE.file_name())?;

    let head = Head::start(binary, directory)?;
    let process = head.process();
    process.settle()?;
    let at_rest = process.resident()?;
    let nginx = Nginx::start(directory, iter::empty())?;
    let mut large = Vec::new();
    for client in [Client::Sink, Client::Curl] {
        println!("{} downloads at once: {client}", client.count());
        process.forget_peak()?;
        let rounds = side_by_side::rounds(&head, &nginx, |_, port, server| {
            client.run(port, server, LARGE)
        })?;
        large.push(LargeDownloads {
            client,
            rounds,
            peak: process.peak()?,
        });
    }
    drop(nginx);
    let servers = SideBySide::start(&head, NodeFile::Package, 0..1, directory)?;
    let small = servers.load(ADDRESSES)?;
    drop(servers);
    head.stop()?;
    Ok(Downloads {
        at_rest,
        large,
        small,
    })
}

struct Conversions {
    rpm: MadeRpm,
    rounds: Vec<conversion::Round>,
}

fn conversions(binary: &Path, directory: &Path, clientpkgs: &Path) -> Result<Vec<Conversions>> {
    let workshop = Workshop {
        head: binary,
        directory,
    };
    let conversions_of = |rpm: Rpm| {
        println!("{rpm}");
        let rpm = rpm.make(directory)?;
        // Under another directory, so that what the other programs write beside it is no client package.
        fs::hard_link(&rpm.path, clientpkgs.join("rpm").join(&rpm.file_name))?;
        indexing::index(binary, directory, &rpm.file_name)?;
        let rounds = (0..CONVERSIONS).map(|round| workshop.round(&rpm, round));
        let rounds = rounds.collect::<Result<_>>()?;
        Ok(Conversions { rpm, rounds })
    };
    RPMS.into_iter().map(conversions_of).collect()
}

impl Conversions {
    fn median(&self, converter: Converter, value: fn(&Cost) -> f64) -> f64 {
        median(self.rounds.iter().map(|round| value(round.of(converter))))
    }

    /// The middle of how many times as much this takes as Pilotlight.
    fn ratio(&self, converter: Converter, value: fn(&Cost) -> f64) -> f64 {
        let ratio = |round: &conversion::Round| {
            value(round.of(converter)) / value(round.of(Converter::Pilotlight))
        };
        median(self.rounds.iter().map(ratio))
    }
}

struct Report {
    downloads: Downloads,
    conversions: Vec<Conversions>,
}

impl Report {
    fn text(&self) -> Result<String> {
        let mut text = format!(
            "# `cargo xtask bench packages`\n\n{}- {}, {}, {}\n\n\
             Client packages, downloaded from a head without nodes; {}",
            machine::describe()?,
            version("curl"),
            version("rpm"),
            version("bsdtar"),
            report::method("the same files"),
        );
        self.targets(&mut text)?;
        for large in &self.downloads.large {
            let client = large.client;
            write!(
                text,
                "\n## A package of 1 GiB, {} times at once: {client}\n\n{}\n\n",
                client.count(),
                client.method(),
            )?;
            report::table(&mut text, &large.rounds, Transfer::ROWS)?;
        }
        text.push_str("\n# A package of 4 KiB\n");
        report::load(&mut text, ADDRESSES, &self.downloads.small)?;
        self.conversions(&mut text)?;
        Ok(text)
    }

    fn targets(&self, text: &mut String) -> Result<()> {
        text.push_str("\n## What is aimed at\n\n| | measured | target |\n| --- | ---: | ---: |\n");
        let at_rest = mebibytes(self.downloads.at_rest);
        writeln!(text, "| resident at rest, MiB | {at_rest:.1} | |")?;
        for LargeDownloads {
            client,
            rounds,
            peak,
        } in &self.downloads.large
        {
            let (rate, peak) = (ratio(rounds, Transfer::rate), mebibytes(*peak));
            let target = client.target().unwrap_or_default();
            writeln!(
                text,
                "| 1 GiB, {client}: times as fast as nginx | {rate:.2} | {target} |\n\
                 | 1 GiB, {client}: resident at most, MiB | {peak:.1} | 32 |"
            )?;
        }
        for conversions in &self.conversions {
            let rpm = conversions.rpm.rpm;
            let speed = conversions.ratio(Converter::Rpm2archive, Cost::wall);
            let peak = conversions.median(Converter::Pilotlight, Cost::peak);
            writeln!(
                text,
                "| {rpm}: times as fast as rpm2archive | {speed:.2} | 3 |\n\
                 | {rpm}: resident beyond idle at most, MiB | {peak:.1} | 16 |"
            )?;
        }
        Ok(())
    }

    fn conversions(&self, text: &mut String) -> Result<()> {
        write!(
            text,
            "\n# From rpm to tar.gz\n\n{} Each number is the median of {CONVERSIONS} rounds, and each ratio the median \
             of the rounds' own ratios: in a round each converts once, one right after the other.\n",
            conversion::METHOD,
        )?;
        for conversions in &self.conversions {
            let MadeRpm {
                rpm, files, length, ..
            } = conversions.rpm;
            write!(
                text,
                "\n## {rpm}\n\n{files} files, {} bytes of rpm\n\n\
                 | | rpm2archive | bsdtar | Pilotlight | rpm2archive / Pilotlight | bsdtar / Pilotlight |\n\
                 | --- | ---: | ---: | ---: | ---: | ---: |\n",
                length,
            )?;
            for (name, decimals, value) in Cost::ROWS {
                write!(text, "| {name} |")?;
                for converter in Converter::ALL {
                    let median = conversions.median(converter, *value);
                    write!(text, " {median:.decimals$} |")?;
                }
                for other in [Converter::Rpm2archive, Converter::Bsdtar] {
                    write!(text, " {:.2} |", conversions.ratio(other, *value))?;
                }
                text.push('\n');
            }
        }
        Ok(())
    }
}

/// The version without those of all libraries.
fn version(program: &str) -> String {
    let said = machine::version(program, "--version");
    let end = said.find(['(', '-']).unwrap_or(said.len());
    said[..end].trim().to_owned()
}
