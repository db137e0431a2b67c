//! A machine on which anything may be installed.

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{repository, run, skipped};

/// What every bash on such a machine knows.
///
/// `state` tells what has changed since the machine is there, but for what rpm does when it is asked.
const COMMANDS: &str = r#"
state() {
    /usr/bin/find /run/changed ! -path '*/root*' ! -path '*/tmp' -type d -printf '%p %m\n' \
        -o ! -path '*/.rpmdb/*' ! -type d -printf '%p %y %s %T@ %m %l\n' | sort
}
without() { for name; do rm -f /bin/$name /usr/bin/$name; done; }
shell() { ln -sf "$(command -v $1)" /bin/sh; }
system() { rm -f /etc/os-release /usr/lib/os-release; cat >/etc/os-release; }
"#;

/// A throw-away view of this machine, and what it shares with the test.
pub(crate) struct ThrowAway {
    kept: TempDir,
}

impl ThrowAway {
    /// `None`, said loudly, where it cannot be had.
    pub(crate) fn new() -> Option<Self> {
        let kept = tempfile::tempdir().unwrap();
        let machine = Self { kept };
        (!skipped(&machine.run("true"))).then_some(machine)
    }

    /// A file that the machine shares with the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.kept.path().join(name)
    }

    /// Runs bash commands as root on a machine that is as new, in the directory that it shares with the test.
    pub(crate) fn run(&self, commands: &str) -> Output {
        let mut machine = Command::new("sh");
        machine
            .arg(repository().join("tests/clients/throwaway.sh"))
            .arg(self.kept.path())
            .args(["bash", "-euc"])
            .arg(format!(
                "cd {}\n{COMMANDS}{commands}",
                self.kept.path().display()
            ));
        run(&mut machine)
    }

    /// The same, of commands that are expected to succeed: what they write to standard output.
    pub(crate) fn succeed(&self, commands: &str) -> String {
        let output = self.run(commands);
        assert!(output.status.success(), "{commands}\n{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether all these programs are there.
    pub(crate) fn has(&self, programs: &str) -> bool {
        let found = self.run(&format!(
            "for name in {programs}; do command -v $name; done"
        ));
        found.status.success()
    }
}

/// All that a program said, the bad last.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// That a script failed as it should: it says in its last line why.
pub(crate) fn assert_refused(output: &Output, reason: &str) {
    assert!(!output.status.success(), "{}", said(output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("pilotlight: ") && last.contains(reason),
        "{}",
        said(output)
    );
}
