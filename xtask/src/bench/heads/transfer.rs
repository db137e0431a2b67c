//! Packages that a new head copies, beside two curls.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};

use super::{
    boots::Boots,
    cluster::{Heads, Join, wait_until},
};
use crate::bench::{
    api::Api,
    packages::{client_tar::ClientTar, indexing},
};

/// How long nodes are served by a head that does nothing else.
const IDLE: Duration = Duration::from_secs(5);

/// What was copied.
pub(crate) struct Copying {
    pub(crate) rounds: Vec<Round>,
}

/// What one round found.
pub(crate) struct Round {
    pub(crate) curls: Duration,
    /// The same, until what they got is on the disk.
    pub(crate) synced: Duration,
    pub(crate) join: Join,
    pub(crate) idle: Boots,
    /// While curls downloaded.
    pub(crate) curled: Boots,
    /// While a machine joined.
    pub(crate) joined: Boots,
    /// Of these, while it copied the packages.
    pub(crate) copied: Boots,
}

impl Round {
    /// How many times as fast as the curls the new head was.
    pub(crate) fn ratio(&self) -> f64 {
        self.curls.as_secs_f64() / self.join.copying().as_secs_f64()
    }

    /// The same, if the curls have to bring the files to the disk, too.
    pub(crate) fn synced_ratio(&self) -> f64 {
        self.synced.as_secs_f64() / self.join.copying().as_secs_f64()
    }

    /// How many times as long as otherwise nodes waited.
    pub(crate) fn slowdown(&self, meanwhile: &Boots) -> f64 {
        meanwhile.p99().as_secs_f64() / self.idle.p99().as_secs_f64()
    }
}

/// Gives the first head these packages and measures how new machines get them. They join, but are never started, so that
/// the cluster stays what it is.
pub(crate) fn measure(
    heads: &Heads<'_>,
    packages: &[ClientTar],
    rounds: usize,
    directory: &Path,
) -> Result<Copying> {
    let mut next = heads.count()..;
    let mut newcomer = || next.next().context("there is always a next number");
    give(heads, packages, directory)?;
    let round = |_| {
        let number = newcomer()?;
        let round = round(heads, packages, number)?;
        fs::remove_dir_all(heads.data(number))?;
        println!(
            "  curls {:.2?}, to the disk {:.2?}; join {:.2?}, copying {:.2?}; kickstarts p99 {:.2?} idle, {:.2?} while joining, {:.2?} while copying",
            round.curls,
            round.synced,
            round.join.whole,
            round.join.copying(),
            round.idle.p99(),
            round.joined.p99(),
            round.copied.p99()
        );
        Ok(round)
    };
    let rounds = (0..rounds).map(round).collect::<Result<_>>()?;
    Ok(Copying { rounds })
}

/// Puts the packages into the first head's directory; all heads have them then.
fn give(heads: &Heads<'_>, packages: &[ClientTar], directory: &Path) -> Result<()> {
    for package in packages {
        package.write(&heads.data(0).join("clientpkgs"), directory)?;
    }
    let mut api = Api::connect(heads.head(0)?.socket())?;
    for package in packages {
        let file = package.file_name();
        wait_until("the head knows the packages", || {
            matches!(indexing::id(&mut api, &file), Ok(Some(_)))
        })?;
        for head in 0..heads.count() {
            let copy = heads.data(head).join("clientpkgs/tar").join(&file);
            wait_until("all heads have the packages", || {
                fs::metadata(&copy).is_ok_and(|found| found.len() == package.size)
            })?;
        }
    }
    Ok(())
}

fn round(heads: &Heads<'_>, packages: &[ClientTar], number: usize) -> Result<Round> {
    let head = heads.head(0)?;
    head.process().settle()?;
    let ((), idle) = Boots::during(head, || {
        thread::sleep(IDLE);
        Ok(())
    })?;
    let target = heads.data(number).with_extension("curls");
    fs::create_dir_all(&target)?;
    let download = || curls(head.port(), packages, &target);
    let ((curls, synced), curled) = Boots::during(head, download)?;
    fs::remove_dir_all(&target)?;
    head.process().settle()?;
    let (join, joined) = Boots::during(head, || heads.join(number))?;
    let copied = joined.within(&join.copied)?;
    for package in packages {
        let copies = heads.data(number).join("clientpkgs/tar");
        let copy = copies.join(package.file_name());
        let length = fs::metadata(&copy)
            .with_context(|| format!("the new head has no {}", copy.display()))?
            .len();
        ensure!(
            length == package.size,
            "{} has {length} bytes",
            copy.display()
        );
    }
    Ok(Round {
        curls,
        synced,
        join,
        idle,
        curled,
        joined,
        copied,
    })
}

/// Two curls download all packages, half of them each, to the disk that the new head writes to: how long that takes, and
/// how long until all is on the disk.
fn curls(port: u16, packages: &[ClientTar], target: &Path) -> Result<(Duration, Duration)> {
    let began = Instant::now();
    let download = |half: &[ClientTar]| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail"]);
        for package in half {
            curl.arg("--output").arg(target.join(package.file_name()));
            curl.arg(format!("http://127.0.0.1:{port}{}", package.path()));
        }
        let output = curl.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "curl failed: {said}");
        Ok(())
    };
    thread::scope(|scope| {
        let halves = packages.chunks(packages.len().div_ceil(2));
        let curls: Vec<_> = halves
            .map(|half| scope.spawn(move || download(half)))
            .collect();
        curls
            .into_iter()
            .try_for_each(|curl| curl.join().map_err(|_| anyhow!("a client panicked"))?)
    })?;
    let downloaded = began.elapsed();
    for package in packages {
        File::open(target.join(package.file_name()))?.sync_all()?;
    }
    Ok((downloaded, began.elapsed()))
}
