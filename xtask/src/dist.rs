//! What is handed to others, as files.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::repository;

/// What `cargo xtask dist` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// The directory to write to [default: target/dist]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Writes the node package as rpm, deb and tar, and prints them as sha256sum would.
pub(crate) fn run(options: &Options) -> Result<()> {
    let directory = options
        .out
        .clone()
        .unwrap_or_else(|| repository::root().join("target/dist"));
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for package in node_package::packages()? {
        let file = directory.join(&package.file_name);
        fs::write(&file, &package.bytes)
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("{}  {}", package.sha256(), file.display());
    }
    Ok(())
}
