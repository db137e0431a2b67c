//! What is handed to others, as files.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use head_package::HeadPackages;
use package::Kind;

use crate::repository;

/// What `cargo xtask dist` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// The directory to write to [default: target/dist]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave out those of the head, which take a release build
    #[arg(long)]
    nodes_only: bool,
}

/// Writes the packages of nodes and of heads as rpm, deb and tar, and prints them as sha256sum would.
pub(crate) fn run(options: &Options) -> Result<()> {
    let directory = options
        .out
        .clone()
        .unwrap_or_else(|| repository::root().join("target/dist"));
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    write_node_packages(&directory)?;
    if options.nodes_only {
        return Ok(());
    }
    write_head_packages(&directory)
}

fn write_node_packages(directory: &Path) -> Result<()> {
    for package in node_package::packages()? {
        let file = directory.join(&package.file_name);
        fs::write(&file, &package.bytes)
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("{}  {}", package.sha256(), file.display());
    }
    Ok(())
}

/// The program makes its own packages, as a running head does.
fn write_head_packages(directory: &Path) -> Result<()> {
    let made = directory.join(".head-packages");
    if made.exists() {
        // Of a run that broke off.
        fs::remove_dir_all(&made).with_context(|| format!("cannot remove {}", made.display()))?;
    }
    let mut make = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    make.current_dir(repository::root())
        .args(["run", "--release", "--package", "pilotlight", "--quiet"])
        .args(["--", "--quiet", "head-package", "--out"])
        .arg(std::path::absolute(&made)?);
    if !make.status().context("cannot run cargo")?.success() {
        bail!("the packages of the head were not made");
    }
    let packages = HeadPackages::read(&made)
        .with_context(|| format!("cannot read {}", made.display()))?
        .with_context(|| format!("{} lacks a package", made.display()))?;
    for kind in [Kind::Rpm, Kind::Deb, Kind::Tar] {
        let package = packages.of(kind);
        let file = directory.join(&package.file);
        fs::rename(packages.path(&made, kind), &file)
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("{}  {}", package.sha256, file.display());
    }
    fs::remove_dir_all(&made).with_context(|| format!("cannot remove {}", made.display()))
}
