//! The programs of this repository, built as they are shipped.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};

use crate::repository;

/// Builds one of them.
pub(crate) fn build(package: &str) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", package])
        .current_dir(repository::root())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "{package} does not build");
    Ok(())
}

/// Where it is then.
pub(crate) fn program(package: &str) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository::root().join("target"), PathBuf::from);
    target.join("release").join(package)
}
