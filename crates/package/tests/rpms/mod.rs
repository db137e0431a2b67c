//! Rpms that the real rpmbuild builds.
#![allow(dead_code, clippy::unwrap_used)]

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// All ways in which rpm compresses payloads, as rpmbuild is told.
pub(crate) const PAYLOADS: [&str; 6] = [
    "w9.gzdio",
    "w9.bzdio",
    "w6.xzdio",
    "w6.lzdio",
    "w3.zstdio",
    "w.ufdio",
];

/// Whether a test can run, which needs root and these programs; if not it says so.
pub(crate) fn can_run(what: &str, programs: &[&str]) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = || env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let is_there =
        |program: &&str| directories().any(|directory| directory.join(program).is_file());
    let missing = programs.iter().copied().find(|program| !is_there(program));
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|id| id.stdout == b"0\n");
    let obstacle = match missing {
        Some(program) => format!("there is no {program}"),
        None if !is_root => "only root can give files to others".to_owned(),
        None => return true,
    };
    // Past the capture of standard error, which would hide it.
    let _ = writeln!(io::stderr(), "SKIPPED: {what}: {obstacle}");
    false
}

/// Builds a package of `rpms/NAME.spec` in a directory, with such a payload.
pub(crate) fn build(name: &str, payload: &str, directory: &Path) -> PathBuf {
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/rpms/{name}.spec"));
    let top = directory.join(payload);
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.args(["-bb", "--quiet", "--target", "x86_64", "--define"]);
    rpmbuild.arg(format!("_topdir {}", top.display()));
    rpmbuild.args(["--define", &format!("_binary_payload {payload}")]);
    // Neither depend on when a test runs.
    rpmbuild.args(["--define", "use_source_date_epoch_as_buildtime 1"]);
    rpmbuild.env("SOURCE_DATE_EPOCH", "1700000000");
    run(rpmbuild.arg(spec));
    let packages = top.join("RPMS/x86_64").read_dir().unwrap();
    let [package] = &packages
        .map(|entry| entry.unwrap().path())
        .collect::<Vec<_>>()[..]
    else {
        panic!("rpmbuild made no package, or several");
    };
    package.clone()
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}",
        output.status
    );
    output
}
