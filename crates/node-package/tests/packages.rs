//! The node package, as machines see it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;

use node_package::{Made, fill, packages};
use package::Kind;
use tempfile::TempDir;

/// Runs a program, which is expected to succeed: its standard output.
fn done(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether this program is there; it says so loudly if not.
fn have(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\"", program])
        .output()
        .unwrap();
    if !found.status.success() {
        // Where even this cannot be said, nobody listens.
        let _ = writeln!(io::stderr(), "SKIPPED: there is no {program} here");
    }
    found.status.success()
}

/// The package in this form, in a file.
fn file(kind: Kind) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let made = packages()
        .unwrap()
        .into_iter()
        .find(|made| made.kind == kind)
        .unwrap();
    let file = directory.path().join(&made.file_name);
    fs::write(&file, &made.bytes).unwrap();
    (directory, file)
}

/// A root with the files of the package.
fn unpacked() -> TempDir {
    let (_directory, file) = file(Kind::Tar);
    let root = tempfile::tempdir().unwrap();
    done(
        Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .arg("-xzf")
            .arg(file),
    );
    root
}

const FILES: [&str; 3] = [
    "/etc/pilotlight/node.conf",
    "/usr/lib/pilotlight-node/agent",
    "/usr/lib/systemd/system/pilotlight-node.service",
];

#[test]
fn all_forms_hold_the_same_files() {
    let files = |listed: String| -> Vec<String> {
        let mut files: Vec<_> = listed
            .lines()
            .filter(|line| !line.ends_with('/') && !line.ends_with("lib/pilotlight-node"))
            .filter(|line| *line != "/etc/pilotlight")
            .map(|line| format!("/{}", line.trim_start_matches(['.', '/'])))
            .collect();
        files.sort();
        files
    };
    let (_directory, tar) = file(Kind::Tar);
    assert_eq!(files(done(Command::new("tar").arg("-tzf").arg(tar))), FILES);
    if have("rpm") {
        let (_directory, rpm) = file(Kind::Rpm);
        assert_eq!(
            files(done(Command::new("rpm").args(["-qpl"]).arg(&rpm))),
            FILES
        );
        let config = done(Command::new("rpm").args(["-qpc"]).arg(&rpm));
        assert_eq!(config.trim(), FILES[0]);
    }
    if have("dpkg-deb") {
        let (_directory, deb) = file(Kind::Deb);
        let listed = Command::new("sh")
            .args(["-c", "dpkg-deb --fsys-tarfile \"$0\" | tar -t"])
            .arg(&deb)
            .output();
        assert_eq!(
            files(String::from_utf8(listed.unwrap().stdout).unwrap()),
            FILES
        );
        let config = done(
            Command::new("dpkg-deb")
                .arg("--info")
                .arg(&deb)
                .arg("conffiles"),
        );
        assert_eq!(config.trim(), FILES[0]);
    }
}

#[test]
fn the_agent_says_its_version() {
    let root = unpacked();
    let agent = root.path().join("usr/lib/pilotlight-node/agent");
    let expected = format!("pilotlight-node {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(done(Command::new(agent).arg("--version")), expected);
}

#[test]
fn systemd_understands_the_service() {
    let root = unpacked();
    if have("systemctl") {
        let mut enable = Command::new("systemctl");
        enable
            .arg("--root")
            .arg(root.path())
            .args(["enable", "pilotlight-node.service"]);
        done(&mut enable);
        let link = root
            .path()
            .join("etc/systemd/system/multi-user.target.wants/pilotlight-node.service");
        assert!(fs::symlink_metadata(link).unwrap().is_symlink());
    }
    if have("systemd-analyze") {
        // Where it looks for the program, there is none.
        let unit = root
            .path()
            .join("usr/lib/systemd/system/pilotlight-node.service");
        let text = fs::read_to_string(&unit).unwrap();
        let agent = format!("ExecStart={}/usr/", root.path().display());
        fs::write(&unit, text.replace("ExecStart=/usr/", &agent)).unwrap();
        let verified = Command::new("systemd-analyze")
            .arg("verify")
            .arg(&unit)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(!said.contains("pilotlight-node.service:"), "{said}");
    }
}

#[test]
fn every_shell_can_read_the_scripts_of_the_deb() {
    if !have("dpkg-deb") {
        return;
    }
    let (directory, deb) = file(Kind::Deb);
    done(
        Command::new("dpkg-deb")
            .arg("--control")
            .arg(deb)
            .arg(directory.path().join("control")),
    );
    for shell in [&["dash"][..], &["bash"], &["busybox", "sh"]] {
        for script in ["postinst", "prerm", "postrm"] {
            if have(shell[0]) {
                let script = directory.path().join("control").join(script);
                done(
                    Command::new(shell[0])
                        .args(&shell[1..])
                        .arg("-n")
                        .arg(script),
                );
            }
        }
    }
}

#[test]
fn packages_are_the_same_each_time_and_fill_an_empty_directory() {
    let digests = |made: [Made; 3]| made.map(|made| (made.file_name.clone(), made.sha256()));
    assert_eq!(digests(packages().unwrap()), digests(packages().unwrap()));
    let directory = tempfile::tempdir().unwrap();
    let written = fill(directory.path()).unwrap();
    assert_eq!(written.len(), 3);
    for (file, made) in written.iter().zip(packages().unwrap()) {
        assert_eq!(fs::read(file).unwrap(), made.bytes, "{}", file.display());
    }
    let mut check = Command::new("sha256sum");
    check
        .args(["--check", ".pilotlight-node.sha256"])
        .current_dir(directory.path());
    assert_eq!(done(&mut check).matches(": OK").count(), 3);
    assert_eq!(fill(directory.path()).unwrap().len(), 0);
}
