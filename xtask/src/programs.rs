//! The programs that the tests run, and the Debian packages they come from.

use std::{
    env, fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use clap::Args;

/// What `cargo xtask packages` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// Only say what is missing
    #[arg(long)]
    no_install: bool,
}

/// A program that the tests run.
pub(crate) struct Program {
    name: &'static str,
    package: &'static str,
    /// What is not tested, or not possible, without it.
    needed_for: &'static str,
}

const fn program(name: &'static str, package: &'static str, needed_for: &'static str) -> Program {
    Program {
        name,
        package,
        needed_for,
    }
}

/// Those that a minimal Debian lacks, or that a small container may.
const PROGRAMS: &[Program] = &[
    program("bash", "bash", "fetching as dracut does, and ZTP scripts"),
    program(
        "bsdtar",
        "libarchive-tools",
        "unpacking tars made of rpms as BSD does",
    ),
    program(
        "busybox",
        "busybox-static",
        "busybox wget as a client, and nodes that have little else",
    ),
    program("cc", "gcc", "building: SQLite and ring are written in C"),
    program(
        "createrepo_c",
        "createrepo-c",
        "repositories of rpms beside those that others make",
    ),
    program("curl", "curl", "curl as a client"),
    program(
        "dash",
        "dash",
        "ZTP scripts under the shell of small systems",
    ),
    program("dnf", "dnf", "nodes that install rpms, and dnf as a client"),
    program(
        "etcd",
        "etcd-server",
        "several heads that serve one cluster",
    ),
    program("fcgiwrap", "fcgiwrap", "git repositories on a web server"),
    program("fish", "fish", "parsing the completions for fish"),
    program(
        "flock",
        "util-linux",
        "pykickstart and dracut, which several tests share",
    ),
    program("getcap", "libcap2-bin", "capabilities of files in packages"),
    program("git", "git", "Ignition configs from git repositories"),
    program("gpg", "gnupg", "signed package repositories"),
    program("groff", "groff-base", "setting the manual pages"),
    program(
        "ignition-validate",
        "ignition",
        "machines provisioned by the real Ignition, and its opinion of configs",
    ),
    program("ip", "iproute2", "heads that cannot reach each other"),
    program(
        "nginx",
        "nginx",
        "Ignition configs from web servers, and answers beside those of nginx",
    ),
    program(
        "openssl",
        "openssl",
        "certificates as an administrator makes them",
    ),
    program(
        "python3",
        "python3",
        "pykickstart, and databases that others made",
    ),
    program("rpm", "rpm", "nodes that install rpms, and rpm's opinions"),
    program(
        "rpm2archive",
        "rpm2cpio",
        "tars made of rpms beside those that rpm makes",
    ),
    program(
        "rpmbuild",
        "rpm",
        "rpms to be served, converted and installed",
    ),
    program(
        "setpriv",
        "util-linux",
        "asking the local socket as somebody else",
    ),
    program("shellcheck", "shellcheck", "checking the shell scripts"),
    program("sshd", "openssh-server", "git repositories reached by ssh"),
    program(
        "unshare",
        "util-linux",
        "full disks, and networks for virtual machines and heads",
    ),
    program("wget", "wget", "wget as a client"),
    program("zsh", "zsh", "parsing the completions for zsh"),
];

/// Debian's python3 lacks what its own venv module needs; that is in this package.
const PYTHON_ENVIRONMENTS: &str = "python3-venv";

/// The `cargo xtask packages` command.
pub(crate) fn run(options: &Options) -> Result<()> {
    let missing = provide(!options.no_install)?;
    for lack in &missing {
        println!("{lack}");
    }
    if missing.is_empty() {
        println!("all programs that the tests need are here");
    }
    Ok(())
}

/// Installs what is missing where it may. Gives what is still missing, as lines for people.
pub(crate) fn provide(install: bool) -> Result<Vec<String>> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let why = if !install {
        "not installed, as asked"
    } else if let Some(obstacle) = obstacle() {
        obstacle
    } else {
        install_all(&missing)?;
        "apt-get could not install it, and says why above"
    };
    let still_missing = missing_packages();
    let mut lacks: Vec<_> = PROGRAMS
        .iter()
        .filter(|program| find(program.name).is_none())
        .map(
            |Program {
                 name,
                 package,
                 needed_for,
             }| {
                format!("{needed_for}: there is no {name} (Debian package {package}; {why})")
            },
        )
        .collect();
    if still_missing.contains(&PYTHON_ENVIRONMENTS) {
        lacks.push(format!("pykickstart: python3 cannot make environments (Debian package {PYTHON_ENVIRONMENTS}; {why})"));
    }
    Ok(lacks)
}

/// The program's file, on PATH or where Debian keeps those for root.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| {
            fs::metadata(file)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}

fn missing_packages() -> Vec<&'static str> {
    let mut packages: Vec<_> = PROGRAMS
        .iter()
        .filter(|program| find(program.name).is_none())
        .map(|program| program.package)
        .collect();
    let makes_environments = Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !makes_environments {
        packages.push(PYTHON_ENVIRONMENTS);
    }
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Why nothing can be installed here.
fn obstacle() -> Option<&'static str> {
    if find("apt-get").is_none() {
        return Some("no apt-get here to install it with");
    }
    let id = Command::new("id").arg("-u").output();
    let is_root = id.is_ok_and(|id| id.stdout == b"0\n");
    (!is_root).then_some("only root can install it")
}

fn install_all(packages: &[&str]) -> Result<()> {
    let _no_service = NoService::begin(Path::new("/usr/sbin/policy-rc.d"))?;
    println!("installing {}", packages.join(" "));
    if apt_get(&install_arguments(packages))? {
        return Ok(());
    }
    // Package lists that are missing, or older than the archive.
    apt_get(&["update"])?;
    if apt_get(&install_arguments(packages))? {
        return Ok(());
    }
    // One that cannot be had keeps apt-get from installing the others.
    for package in packages {
        apt_get(&install_arguments(&[package]))?;
    }
    Ok(())
}

fn install_arguments<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    [&["install", "-y", "--no-install-recommends"], packages].concat()
}

fn apt_get(arguments: &[&str]) -> Result<bool> {
    let status = Command::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status()
        .context("cannot run apt-get")?;
    Ok(status.success())
}

/// While it lives, no package starts a service: the tests want nginx, not a web server on port 80.
struct NoService {
    policy: PathBuf,
    before: Option<PathBuf>,
}

impl NoService {
    /// Debian's maintainer scripts ask the program `policy` before they start anything; 101 means no.
    fn begin(policy: &Path) -> Result<Self> {
        let before = policy.with_extension("d.before-pilotlight-tests");
        let before = match fs::rename(policy, &before) {
            Ok(()) => Some(before),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot put {} aside", policy.display()));
            }
        };
        let this = Self {
            policy: policy.to_owned(),
            before,
        };
        fs::write(policy, "#!/bin/sh\nexit 101\n")
            .and_then(|()| fs::set_permissions(policy, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot write {}", policy.display()))?;
        Ok(this)
    }
}

impl Drop for NoService {
    fn drop(&mut self) {
        let restored = match &self.before {
            Some(before) => fs::rename(before, &self.policy),
            None => fs::remove_file(&self.policy),
        };
        if let Err(error) = restored {
            eprintln!("cannot restore {}: {error}", self.policy.display());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_where_they_are() {
        assert!(find("sh").unwrap().is_absolute());
        assert_eq!(find("there-is-no-such-program"), None);
    }

    #[test]
    fn the_policy_is_as_it_was_afterwards() {
        let directory = env::temp_dir().join(format!("pilotlight-policy-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let policy = directory.join("policy-rc.d");
        for before in [None, Some("the administrator's")] {
            if let Some(text) = before {
                fs::write(&policy, text).unwrap();
            }
            let no_service = NoService::begin(&policy).unwrap();
            assert_eq!(
                fs::metadata(&policy).unwrap().permissions().mode() & 0o777,
                0o755
            );
            let status = Command::new("sh").arg(&policy).status().unwrap();
            assert_eq!(status.code(), Some(101));
            drop(no_service);
            assert_eq!(fs::read_to_string(&policy).ok().as_deref(), before);
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
