//! A head as the package repository of real package managers: dnf and apt, which install into roots of their own.
#![allow(clippy::unwrap_used)]

#[path = "packages/built.rs"]
mod built;
mod head;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use built::{Package, have, noise, package, succeed};
use head::{Head, Relay, apt_get, make_apt_machine, run, said, skip, until};
use tempfile::TempDir;

/// How a package manager trusts a repository.
#[derive(Clone, Copy, PartialEq)]
enum Trust {
    /// Whatever it says.
    Blind,
    /// If what lists the packages is signed with the head's key.
    Signed,
}

/// A machine whose packages come from a head: what is installed, fetched and configured there is in a directory of its
/// own.
trait Machine: Sized {
    /// The directory of its packages on the head.
    const KIND: &'static str;
    const PROGRAMS: &'static [&'static str];

    fn new(head: SocketAddr, trust: Trust) -> Self;

    fn directory(&self) -> &Path;

    /// Installs this package, or brings it up to date.
    fn install(&self, package: &str) -> Output;

    /// Builds a package of this kind.
    fn build(package: &Package, directory: &Path) -> PathBuf;

    /// What the installed package holds.
    fn installed(&self, package: &str) -> Option<Vec<u8>> {
        let file = format!("root/usr/share/{package}/content");
        fs::read(self.directory().join(file)).ok()
    }

    /// Asks until the package is installed as it is to be: a head takes a moment to list what was just put there.
    fn install_until(&self, package: &str, content: &[u8]) {
        until(&format!("{package} is installed"), || {
            let output = self.install(package);
            // Told if it never is.
            eprintln!("{}", said(&output));
            let installed = self.installed(package);
            let is_there = installed.is_some_and(|there| there == content);
            assert!(!is_there || output.status.success());
            is_there.then_some(())
        });
    }
}

struct Dnf(TempDir);

impl Machine for Dnf {
    const KIND: &'static str = "rpm";
    const PROGRAMS: &'static [&'static str] = &["rpmbuild", "rpm", "dnf"];

    fn new(head: SocketAddr, trust: Trust) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = format!("http://{head}/api/v1/repo");
        let check = i32::from(trust == Trust::Signed);
        let repository = format!(
            "[head]\nname=head\nbaseurl={base}/rpm/\nrepo_gpgcheck={check}\ngpgkey={base}/key.asc\ngpgcheck=0\n\
             metadata_expire=0\n"
        );
        for name in ["repos", "log"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("repos/head.repo"), repository).unwrap();
        fs::write(directory.path().join("dnf.conf"), "[main]\nplugins=0\n").unwrap();
        Self(directory)
    }

    fn directory(&self) -> &Path {
        self.0.path()
    }

    fn install(&self, package: &str) -> Output {
        // Updates what is there, and installs what is not.
        run(&mut self.dnf(&["install", "--best", package]))
    }

    fn build(package: &Package, directory: &Path) -> PathBuf {
        package.rpm(directory)
    }
}

impl Dnf {
    fn dnf(&self, arguments: &[&str]) -> Command {
        let directory = self.directory().display();
        let mut dnf = Command::new("dnf");
        dnf.args(["-y", "-q", "--releasever=9"]);
        for option in [
            format!("--config={directory}/dnf.conf"),
            format!("--installroot={directory}/root"),
            format!("--setopt=reposdir={directory}/repos"),
            format!("--setopt=cachedir={directory}/cache"),
            format!("--setopt=persistdir={directory}/persist"),
            format!("--setopt=logdir={directory}/log"),
        ] {
            dnf.arg(option);
        }
        dnf.args(arguments).env_remove("http_proxy");
        dnf
    }

    /// How much of a package it has fetched, and not installed yet.
    fn fetched(&self) -> u64 {
        let mut find = Command::new("find");
        find.arg(self.directory().join("cache"));
        let sizes = succeed(find.args(["-name", "*.rpm", "-printf", "%s\n"]));
        sizes.lines().map(|size| size.parse::<u64>().unwrap()).sum()
    }
}

struct Apt(TempDir);

impl Machine for Apt {
    const KIND: &'static str = "deb";
    const PROGRAMS: &'static [&'static str] = &["dpkg-deb", "dpkg", "apt-get", "gpg"];

    fn new(head: SocketAddr, trust: Trust) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let base = format!("http://{head}/api/v1/repo");
        let option = match trust {
            Trust::Blind => "trusted=yes".to_owned(),
            Trust::Signed => {
                let key = at("key.asc");
                let mut curl = Command::new("curl");
                curl.args(["-sSf", "--noproxy", "*", "-o"]).arg(&key);
                succeed(curl.arg(format!("{base}/key.asc")));
                format!("signed-by={}", key.display())
            }
        };
        let source = format!("deb [{option}] {base}/deb/ ./\n");
        make_apt_machine(directory.path(), &source);
        Self(directory)
    }

    fn directory(&self) -> &Path {
        self.0.path()
    }

    fn install(&self, package: &str) -> Output {
        let apt = |arguments: &[&str]| run(&mut apt_get(self.directory(), arguments));
        let updated = apt(&["update", "--error-on=any"]);
        if !updated.status.success() {
            return updated;
        }
        apt(&["install", "-y", "--no-install-recommends", package])
    }

    fn build(package: &Package, directory: &Path) -> PathBuf {
        package.deb(directory)
    }
}

/// Whether such a machine can be had here; it says so loudly if not.
fn can_have<M: Machine>() -> bool {
    let is_root = run(Command::new("id").arg("-u")).stdout == b"0\n";
    if !is_root {
        skip("package managers install for root alone");
    }
    is_root && have(M::PROGRAMS)
}

fn all<M: Machine>() -> &'static str {
    match M::KIND {
        "deb" => "all",
        _ => "noarch",
    }
}

/// Puts a package among those of the head.
fn put<M: Machine>(head: &Head, name: &str, version: &str, content: &[u8]) {
    let package = package(name, version, all::<M>()).with_content(content);
    M::build(&package, &head.data().join("clientpkgs").join(M::KIND));
}

fn installs_and_updates<M: Machine>(head: &Head, trust: Trust) {
    put::<M>(head, "tool", "1.0~rc1-1", b"a candidate");
    let machine = M::new(head.address(), trust);
    machine.install_until("tool", b"a candidate");
    put::<M>(head, "tool", "1.0-1", b"the first");
    put::<M>(head, "other", "1-1", b"another");
    machine.install_until("tool", b"the first");
    machine.install_until("other", b"another");
    // An epoch counts more than a version.
    put::<M>(head, "tool", "1:0.9-1", b"the second");
    machine.install_until("tool", b"the second");
    // The log of the repositories has nothing to complain about.
    let log = head.log();
    assert!(!log.contains("repositories stay as they are"), "{log}");
    assert!(!log.contains("is not in the repository"), "{log}");
}

#[test]
fn dnf_installs_and_updates() {
    if can_have::<Dnf>() {
        installs_and_updates::<Dnf>(&Head::start(), Trust::Blind);
    }
}

#[test]
fn apt_installs_and_updates() {
    if can_have::<Apt>() {
        installs_and_updates::<Apt>(&Head::start(), Trust::Blind);
    }
}

/// A key of gpg, which its agent holds until this is dropped.
struct Key(TempDir);

impl Key {
    fn new() -> Self {
        let key = Self(tempfile::tempdir().unwrap());
        let mut gpg = key.run("gpg");
        gpg.args([
            "--batch",
            "--quiet",
            "--passphrase",
            "",
            "--quick-generate-key",
        ]);
        succeed(gpg.args(["Packages <packages@example.org>", "rsa2048", "sign"]));
        key
    }

    fn run(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("GNUPGHOME", self.0.path());
        command
    }

    fn settings(&self) -> String {
        format!(
            "[packages]\nsigning_key = \"packages@example.org\"\ngnupg_home = \"{}\"\n",
            self.0.path().display()
        )
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let _ = self.run("gpgconf").args(["--kill", "all"]).output();
    }
}

/// A head that signs, and has done so.
fn signing_head(key: &Key) -> Head {
    let head = Head::with_config(&key.settings());
    until("the repositories are signed", || {
        let parts = ["key.asc", "rpm/repodata/repomd.xml.asc", "deb/InRelease"];
        let mut parts = parts.iter().map(|part| head.get(&format!("/repo/{part}")));
        parts.all(|part| part.status == 200).then_some(())
    });
    head
}

#[test]
fn dnf_installs_and_updates_what_is_signed() {
    if can_have::<Dnf>() && have(&["gpg"]) {
        let key = Key::new();
        installs_and_updates::<Dnf>(&signing_head(&key), Trust::Signed);
    }
}

#[test]
fn apt_installs_and_updates_what_is_signed() {
    if can_have::<Apt>() {
        let key = Key::new();
        installs_and_updates::<Apt>(&signing_head(&key), Trust::Signed);
    }
}

fn refuses_another_signature<M: Machine>() {
    let (key, other) = (Key::new(), Key::new());
    let head = signing_head(&key);
    put::<M>(&head, "tool", "1-1", b"signed");
    let machine = M::new(head.address(), Trust::Signed);
    machine.install_until("tool", b"signed");
    // A head that is not the one whose key this machine has.
    let imposter = signing_head(&other);
    put::<M>(&imposter, "tool", "2-1", b"of somebody else");
    until("it is listed there", || {
        let listed = imposter.api("GET", "/packages?name=tool", None).data();
        (listed.as_object()?.len() == 1).then_some(())
    });
    let path = match M::KIND {
        "deb" => "etc/sources.list",
        _ => "repos/head.repo",
    };
    let path = machine.directory().join(path);
    let source = fs::read_to_string(&path).unwrap();
    let [head, imposter] = [&head, &imposter].map(|head| head.address().to_string());
    let source = source.replace(&head, &imposter);
    // The key stays that of the head.
    let own_key = source.replace(
        &format!("http://{imposter}/api/v1/repo/key.asc"),
        &format!("http://{head}/api/v1/repo/key.asc"),
    );
    fs::write(path, own_key).unwrap();
    let output = machine.install("tool");
    let said = said(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("GPG"), "{said}");
    assert_eq!(machine.installed("tool").as_deref(), Some(&b"signed"[..]));
}

#[test]
fn dnf_refuses_another_signature() {
    if can_have::<Dnf>() && have(&["gpg"]) {
        refuses_another_signature::<Dnf>();
    }
}

#[test]
fn apt_refuses_another_signature() {
    if can_have::<Apt>() {
        refuses_another_signature::<Apt>();
    }
}

/// Installs a package though the connection is lost half-way. How often a part of a file was asked for.
fn install_despite_a_cut<M: Machine>() -> usize {
    let head = Head::start();
    let content = noise(3_000_000);
    put::<M>(&head, "large", "1-1", &content);
    let relay = Relay::to(head.address());
    let machine = M::new(relay.address(), Trust::Blind);
    // What lists the packages is smaller by far.
    relay.cut_after(1_500_000);
    machine.install_until("large", &content);
    assert!(relay.has_cut());
    let parts = relay.count("Range: bytes=");
    assert_eq!(head.ledger("status=206").len(), parts);
    parts
}

#[test]
fn dnf_tries_again_after_a_cut() {
    if can_have::<Dnf>() {
        // It begins anew, whatever the server.
        install_despite_a_cut::<Dnf>();
    }
}

#[test]
fn apt_goes_on_after_a_cut() {
    if can_have::<Apt>() {
        assert_eq!(install_despite_a_cut::<Apt>(), 1);
    }
}

#[test]
fn dnf_goes_on_where_one_that_was_killed_left_off() {
    if !can_have::<Dnf>() {
        return;
    }
    let head = Head::start();
    let content = noise(3_000_000);
    put::<Dnf>(&head, "large", "1-1", &content);
    let machine = Dnf::new(head.address(), Trust::Blind);
    until("the package is listed", || {
        let listed = run(&mut machine.dnf(&["list", "large"]));
        listed.status.success().then_some(())
    });
    // Slow enough to be met half-way.
    let mut slow = machine.dnf(&["install", "large", "--setopt=throttle=300k"]);
    let mut slow = slow.stdout(Stdio::null()).spawn().unwrap();
    until("a part is there", || {
        let ended = slow.try_wait().unwrap();
        assert_eq!(ended, None, "it was to take seconds");
        (machine.fetched() > 0).then_some(())
    });
    slow.kill().unwrap();
    slow.wait().unwrap();
    assert!(machine.fetched() < content.len() as u64);
    machine.install_until("large", &content);
    assert_eq!(head.ledger("status=206").len(), 1, "it began anew");
}
