//! A network namespace of the measurement's own, with nothing but a loopback in it.

use std::{env, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::programs;

/// Set for the measurement inside.
const INSIDE: &str = "XTASK_BENCH_NETWORK";

/// Linux gives connections to 127.x.y.z the source address 127.0.0.1, because the route says so. One that says nothing
/// of it gives them the address they go to.
const SET_UP: &str = "set -e
ip link set lo up
ip route replace local 127.0.0.0/8 dev lo table local
exec \"$@\"";

/// Whether this process is inside.
pub(crate) fn is_own() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Runs this command again, inside, as `program`.
pub(crate) fn run_in_own(program: &Path) -> Result<()> {
    ensure!(
        programs::find("ip").is_some(),
        "ip is not installed (Debian package iproute2)"
    );
    let is_root = rustix::process::geteuid().is_root();
    let status = Command::new("unshare")
        // Whoever is not root is it inside, which is enough to set up the network there.
        .args(if is_root {
            &["--net"][..]
        } else {
            &["--net", "--user", "--map-root-user"]
        })
        .args(["sh", "-c", SET_UP, "sh"])
        .arg(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()
        .context("cannot run unshare (Debian package util-linux)")?;
    ensure!(status.success(), "the measurement failed ({status})");
    Ok(())
}
