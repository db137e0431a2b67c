//! The scripts as they are served: the parts in `assets/install`, and before them what they work on.

use std::fmt;

use content::Sha256Digest;
use package::{Architecture, Kind, PackageName};

use super::OperatingSystem;
use crate::install::shell::{
    DEB, DOWNLOAD, OneLine, PROGRAMS, Parts, Quoted, RPM, SERVICE, TAR, WANTED,
};

const ARGUMENTS: &str = include_str!("../../../../../assets/install/arguments.sh");
const PRE_INSTALLER: &str = include_str!("../../../../../assets/install/pre-installer.sh");
const INSTALLER: &str = include_str!("../../../../../assets/install/installer.sh");

/// The script that finds out what its machine is.
pub(super) fn pre_installer(base_url: &str) -> String {
    let base_url = Quoted(base_url);
    let parts = [ARGUMENTS, PROGRAMS, DOWNLOAD, PRE_INSTALLER];
    format!("#!/bin/sh\nBASE={base_url}\n{}", Parts(&parts))
}

/// A package that this head has.
#[derive(Debug)]
pub(super) struct Offer {
    pub name: PackageName,
    /// `[epoch:]version[-release]`, as the package's own header says it.
    pub version: String,
    pub sha256: Sha256Digest,
    /// Where it is, under the URL that the client used.
    pub url: String,
}

/// The script that installs packages.
#[derive(Debug)]
pub(super) struct Installer<'a> {
    pub base_url: &'a str,
    pub kind: Kind,
    pub architecture: Architecture,
    pub system: Option<OperatingSystem>,
    pub offers: Vec<Offer>,
    /// Why other packages, or the same of another kind, are not among them.
    pub lacking: Vec<String>,
}

impl fmt::Display for Installer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            base_url,
            kind,
            architecture,
            ..
        } = self;
        f.write_str("#!/bin/sh\n# shellcheck disable=SC2317  # much is called by its name\n#\n")?;
        write!(f, "# Installs {kind} packages, for {architecture}")?;
        if let Some(system) = self.system {
            write!(f, " and {system}")?;
        }
        f.write_str(".\n")?;
        for reason in &self.lacking {
            writeln!(f, "# Without: {}", OneLine(reason))?;
        }
        writeln!(f, "BASE={}", Quoted(base_url))?;
        writeln!(f, "KIND={kind}\nARCHITECTURE={architecture}")?;
        writeln!(f, "each_package() {{")?;
        for offer in &self.offers {
            let sha256 = offer.sha256;
            let [name, version, url] =
                [offer.name.as_str(), &offer.version, &offer.url].map(Quoted);
            writeln!(f, "    \"$1\" {name} {version} {sha256} {url}")?;
        }
        let packages = match kind {
            Kind::Rpm => RPM,
            Kind::Deb => DEB,
            Kind::Tar => TAR,
        };
        let parts = [
            ARGUMENTS, PROGRAMS, DOWNLOAD, WANTED, SERVICE, packages, INSTALLER,
        ];
        write!(f, "}}\n{}", Parts(&parts))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    const LAST_LINE: &str = "\n{ main \"$@\"; exit; }\n";

    fn installer(kind: Kind, version: &str) -> String {
        let offer = Offer {
            name: "pilotlight-node".parse().unwrap(),
            version: version.to_owned(),
            sha256: Sha256Digest::of(b""),
            url: "http://head/api/v1/install/client/download/rpm/x86_64/a.rpm".to_owned(),
        };
        let installer = Installer {
            base_url: "http://head/api/v1",
            kind,
            architecture: Architecture::X86_64,
            system: Some(OperatingSystem::Rhel),
            offers: vec![offer],
            lacking: vec!["no rpm package \"telegraf\";\nthere is none".to_owned()],
        };
        installer.to_string()
    }

    fn scripts() -> Vec<String> {
        let installers = [Kind::Rpm, Kind::Deb, Kind::Tar].map(|kind| installer(kind, "1-1"));
        let pre_installer = pre_installer("http://head/api/v1");
        installers.into_iter().chain([pre_installer]).collect()
    }

    /// What a shell writes when it reads `script`.
    fn run(script: &[u8], arguments: &[&str]) -> (bool, Vec<u8>, String) {
        let mut child = Command::new("sh")
            .args(["-s", "--"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(script);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), output.stdout, said)
    }

    #[test]
    fn scripts_name_the_shell_first_and_run_on_their_last_line() {
        for script in scripts() {
            assert!(script.starts_with("#!/bin/sh\n"), "{script}");
            assert_eq!(script.matches("#!").count(), 1, "{script}");
            assert!(script.ends_with(LAST_LINE), "{script}");
            assert!(script.contains("\nBASE='http://head/api/v1'\n"), "{script}");
            let (success, stdout, said) = run(script.as_bytes(), &["--help"]);
            assert!(success, "{said}");
            let stdout = String::from_utf8(stdout).unwrap();
            assert!(
                stdout.contains("the head at http://head/api/v1"),
                "{stdout}"
            );
        }
    }

    #[test]
    fn a_script_that_was_cut_runs_nothing() {
        for script in scripts() {
            let in_last_line = script.len() - LAST_LINE.len();
            let ends = script.match_indices('\n').map(|(at, _)| at);
            let ends = ends.take_while(|at| *at <= in_last_line);
            for end in ends.chain(in_last_line..script.len() - 2) {
                let (_, stdout, _) = run(&script.as_bytes()[..end], &["--help"]);
                assert_eq!(String::from_utf8_lossy(&stdout), "", "{}", &script[..end]);
            }
        }
    }

    #[test]
    fn what_is_lacking_stays_in_the_comment() {
        let script = installer(Kind::Rpm, "1-1");
        let comment = "# Installs rpm packages, for x86_64 and rhel.\n\
                       # Without: no rpm package \"telegraf\"; there is none\n";
        assert!(script.contains(comment), "{script}");
    }

    #[test]
    fn no_version_gets_out_of_its_quotes() {
        let version = "1'; echo out; '\n$(echo out) `echo out` \\";
        let script = installer(Kind::Deb, version);
        let (definition, _) = script.split_once("\n}\n").unwrap();
        let call = format!("{definition}\n}}\nshow() {{ printf %s \"$2\"; }}\neach_package show\n");
        let (_, stdout, said) = run(call.as_bytes(), &[]);
        assert_eq!((stdout, said.as_str()), (version.into(), ""));
    }
}
