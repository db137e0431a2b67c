//! Rpms made compressed tars by Pilotlight, and by the programs that do it elsewhere.

use std::{
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::{indexing, rpm::MadeRpm};
use crate::bench::{
    api::Api,
    pilotlight::Head,
    process::Process,
    report::{Row, mebibytes},
};

/// How often a program is asked for its memory, and whether it has ended.
const LOOK: Duration = Duration::from_millis(2);

/// What is measured of whom.
pub(crate) const METHOD: &str = "\
    `rpm2archive A.rpm`, `bsdtar -czf OUT @A.rpm`, and a head that is asked for it by `POST /packages/ID/convert`, on \
    the same file. The content is the same each time: texts of made-up words, some of them frequent, and binary files, \
    of which half comes from a table and half is random, in turn; no file has more than 60,000 bytes, and most are \
    short. Only the head checks digests, and only it waits until the tar is on the disk. The memory of a program is \
    the most that was resident, looked at every 2 ms; that of a head, which was just started, is what was more than \
    before.";

/// Who converts.
#[derive(Clone, Copy)]
pub(crate) enum Converter {
    Rpm2archive,
    Bsdtar,
    Pilotlight,
}

impl Converter {
    pub(crate) const ALL: [Self; 3] = [Self::Rpm2archive, Self::Bsdtar, Self::Pilotlight];
}

impl fmt::Display for Converter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rpm2archive => "rpm2archive",
            Self::Bsdtar => "bsdtar",
            Self::Pilotlight => "Pilotlight",
        })
    }
}

/// What a conversion cost.
pub(crate) struct Cost {
    wall: Duration,
    cpu: Duration,
    /// The most memory that was resident, in KiB: of a head, what was more than before.
    peak: u64,
    /// Bytes of the tar.
    tar: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wall, cpu, peak) = (self.wall(), self.cpu.as_secs_f64(), self.peak());
        write!(f, "{wall:>6.2} s, CPU {cpu:>6.2} s, {peak:>5.1} MiB")
    }
}

impl Cost {
    pub(crate) const ROWS: &[Row<Self>] = &[
        ("seconds", 2, Self::wall),
        ("CPU seconds", 2, |cost| cost.cpu.as_secs_f64()),
        ("resident at most, MiB", 1, Self::peak),
        ("tar.gz, MB", 1, |cost| cost.tar as f64 / 1e6),
    ];

    pub(crate) fn wall(&self) -> f64 {
        self.wall.as_secs_f64()
    }

    pub(crate) fn peak(&self) -> f64 {
        mebibytes(self.peak)
    }
}

/// One conversion by each, in the order of [`Converter::ALL`].
pub(crate) struct Round([Cost; Converter::ALL.len()]);

impl Round {
    pub(crate) fn of(&self, converter: Converter) -> &Cost {
        &self.0[converter as usize]
    }
}

/// Where conversions are measured.
pub(crate) struct Workshop<'a> {
    /// The program of the head, and the directory of its state.
    pub head: &'a Path,
    pub directory: &'a Path,
}

impl Workshop<'_> {
    /// Has each convert an rpm.
    pub(crate) fn round(&self, rpm: &MadeRpm, round: usize) -> Result<Round> {
        let mut costs = [const { None }; Converter::ALL.len()];
        for turn in 0..costs.len() {
            // None is always the first.
            let turn = (turn + round) % costs.len();
            let converter = Converter::ALL[turn];
            let cost = self.convert(rpm, converter)?;
            println!("  {converter:<11} {cost}");
            costs[turn] = Some(cost);
        }
        let [Some(rpm2archive), Some(bsdtar), Some(pilotlight)] = costs else {
            bail!("not everybody had a turn");
        };
        Ok(Round([rpm2archive, bsdtar, pilotlight]))
    }

    /// Measures one conversion, which leaves nothing behind.
    fn convert(&self, rpm: &MadeRpm, converter: Converter) -> Result<Cost> {
        // What others wrote is not written to the disk meanwhile.
        rustix::fs::sync();
        let with_end = |end: &str| {
            let mut path = rpm.path.clone().into_os_string();
            path.push(end);
            PathBuf::from(path)
        };
        match converter {
            Converter::Rpm2archive => {
                let mut command = Command::new("rpm2archive");
                command.arg(&rpm.path);
                run(&mut command, &with_end(".tgz"))
            }
            Converter::Bsdtar => {
                let tar = with_end(".tar.gz");
                let mut command = Command::new("bsdtar");
                let mut input = OsString::from("@");
                input.push(&rpm.path);
                command.arg("-czf").arg(&tar).arg(input);
                run(&mut command, &tar)
            }
            Converter::Pilotlight => self.ask_head(rpm),
        }
    }

    /// Asks a head that was just started, since one that has converted before keeps memory for the next time.
    fn ask_head(&self, rpm: &MadeRpm) -> Result<Cost> {
        let head = Head::start(self.head, self.directory)?;
        let mut api = Api::connect(head.socket())?;
        let id = indexing::id(&mut api, &rpm.file_name)?;
        let id = id.with_context(|| format!("the head does not know {}", rpm.file_name))?;

        let process = head.process();
        process.settle()?;
        process.forget_peak()?;
        let (idle, cpu) = (process.resident()?, process.cpu()?);
        let began = Instant::now();
        let tar = api.data("POST", &format!("/packages/{id}/convert"))?;
        let cost = Cost {
            wall: began.elapsed(),
            cpu: process.cpu()?.saturating_sub(cpu),
            peak: process.peak()?.saturating_sub(idle),
            tar: tar["size"].as_u64().context("the tar has no size")?,
        };
        let tar = tar["file"].as_str().context("the tar has no name")?;
        api.send("DELETE", &format!("/packages/tar/{tar}"), b"")?;
        head.stop()?;
        Ok(cost)
    }
}

/// Runs a program that makes this tar.
fn run(command: &mut Command, tar: &Path) -> Result<Cost> {
    let program = command.get_program().to_owned();
    let began = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let pid = Pid::from_child(&child);
    let mut process = Process::new(child);
    // Not what the kernel sums up of a child that ended, which would count the memory of this program before `exec`.
    let mut peak = 0;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(pid), options)?.is_none() {
        peak = process.peak().unwrap_or(peak);
        thread::sleep(LOOK);
    }
    let wall = began.elapsed();
    let cpu = process.cpu()?;
    let status = process.stop()?;
    ensure!(status.success(), "{} failed: {status}", program.display());
    let length = fs::metadata(tar)
        .with_context(|| format!("{} made no {}", program.display(), tar.display()))?
        .len();
    fs::remove_file(tar)?;
    Ok(Cost {
        wall,
        cpu,
        peak,
        tar: length,
    })
}
