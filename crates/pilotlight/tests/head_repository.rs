//! A head that offers packages of itself: to dnf, apt and tar, which install into roots of their own.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use head::{Head, apt_get, get_request, have, make_apt_machine, run, said, skip, until, within};
use package::Kind;
use package::build::{Contents, Member, Scriptlets};
use tempfile::TempDir;

/// An unoptimised build makes packages of itself that long, and longer while others build.
const MAKING: Duration = Duration::from_secs(180);

/// The answer of `/install/repo`, once it is there.
fn source(head: &Head, query: &str) -> String {
    within(MAKING, "the packages are made", || {
        let path = format!("/install/repo{query}");
        let reply = head.ask_from("127.0.0.1", &path, &["--max-time", "120"]);
        match reply.status {
            200 => Some(reply.data().as_str().unwrap().to_owned()),
            // A busy machine may need more than its patience.
            503 => {
                let reason = reply.text();
                assert!(reason.contains("still being made"), "{reason}");
                assert!(reply.header("Retry-After").is_some());
                None
            }
            _ => panic!("{reply:?}"),
        }
    })
}

/// An empty machine with a shell, for scriptlets. `None`, said loudly, where there can be none.
fn machine(programs: &[&str]) -> Option<TempDir> {
    if run(Command::new("id").arg("-u")).stdout != b"0\n" {
        skip("package managers install for root alone");
        return None;
    }
    if !have(programs) || !have(&["busybox"]) {
        return None;
    }
    let machine = tempfile::tempdir().unwrap();
    fs::set_permissions(machine.path(), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(machine.path().join("root/bin")).unwrap();
    fs::write(machine.path().join("root/bin/sh"), busybox()).unwrap();
    fs::set_permissions(
        machine.path().join("root/bin/sh"),
        Permissions::from_mode(0o755),
    )
    .unwrap();
    let mut shell = Command::new("chroot");
    shell
        .arg(machine.path().join("root"))
        .args(["/bin/sh", "-c", ":"]);
    if !run(&mut shell).status.success() {
        skip("busybox is not static, or chroot is not allowed");
        return None;
    }
    Some(machine)
}

fn busybox() -> Vec<u8> {
    let found = run(Command::new("sh").args(["-c", "command -v busybox"]));
    fs::read(String::from_utf8(found.stdout).unwrap().trim_end()).unwrap()
}

/// The package that gives a machine its shell, as an rpm knows it.
fn shell_rpm(machine: &Path) -> PathBuf {
    let busybox = busybox();
    let contents = Contents {
        name: "shell",
        version: "1",
        release: "1",
        architecture: None,
        summary: "A shell",
        description: "A shell.",
        license: "GPL-2.0-only",
        maintainer: "Nobody <nobody@example.org>",
        modified: 1_767_225_600,
        recommends: &[],
        members: vec![Member::File {
            path: "/bin/sh",
            mode: 0o755,
            bytes: &busybox,
            config: false,
        }],
        scriptlets: Scriptlets::default(),
    };
    let file = machine.join("shell.rpm");
    fs::write(&file, contents.build(Kind::Rpm).unwrap()).unwrap();
    file
}

fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What a head needs is there, and the program is that of the head that offered it.
fn assert_installed(root: &Path) {
    let program = root.join("usr/bin/pilotlight");
    let version = succeed(Command::new(&program).arg("--version"));
    let expected = format!("pilotlight {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(version, expected);
    let running = env!("CARGO_BIN_EXE_pilotlight");
    succeed(Command::new("cmp").arg(&program).arg(running));
    for file in [
        "etc/pilotlight/pilotlight.toml",
        "usr/lib/systemd/system/pilotlight.service",
        "usr/share/man/man1/pilotlight-node-create.1",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
    let completions = root.join("usr/share/bash-completion/completions/pilotlight");
    let completions = fs::read_to_string(completions).unwrap();
    assert!(completions.contains("bootconfig"));
    let mut check = Command::new(program);
    check.args(["config", "check", "--config"]);
    succeed(check.arg(root.join("etc/pilotlight/pilotlight.toml")));
}

fn dnf_installs(head: &Head) {
    let Some(machine) = machine(&["rpm", "dnf"]) else {
        return;
    };
    let at = |name: &str| machine.path().join(name);
    let shell = shell_rpm(machine.path());
    // The rpm brings it.
    fs::remove_file(at("root/bin/sh")).unwrap();
    succeed(
        Command::new("rpm")
            .arg("--root")
            .arg(at("root"))
            .arg("--install")
            .arg(shell),
    );
    for name in ["repos", "log"] {
        fs::create_dir(at(name)).unwrap();
    }
    fs::write(at("repos/pilotlight.repo"), source(head, "")).unwrap();
    fs::write(at("dnf.conf"), "[main]\nplugins=0\n").unwrap();
    let home = machine.path().display();
    let mut dnf = Command::new("dnf");
    dnf.args(["-y", "-q", "--releasever=9"])
        .env_remove("http_proxy");
    for option in [
        format!("--config={home}/dnf.conf"),
        format!("--installroot={home}/root"),
        format!("--setopt=reposdir={home}/repos"),
        format!("--setopt=cachedir={home}/cache"),
        format!("--setopt=persistdir={home}/persist"),
        format!("--setopt=logdir={home}/log"),
    ] {
        dnf.arg(option);
    }
    succeed(dnf.args(["install", "pilotlight"]));
    assert_installed(&at("root"));
    let mut verify = Command::new("rpm");
    verify.arg("--root").arg(at("root"));
    assert_eq!(succeed(verify.args(["--verify", "pilotlight"])), "");
    fs::create_dir_all(at("root/var/lib/pilotlight/kickstarts")).unwrap();
    let mut erase = Command::new("rpm");
    succeed(
        erase
            .arg("--root")
            .arg(at("root"))
            .args(["--erase", "pilotlight"]),
    );
    assert!(!at("root/usr/bin/pilotlight").exists());
    assert!(
        at("root/var/lib/pilotlight/kickstarts").exists(),
        "the data stays"
    );
}

fn apt_installs(head: &Head) {
    let Some(machine) = machine(&["dpkg", "apt-get"]) else {
        return;
    };
    let at = |name: &str| machine.path().join(name);
    make_apt_machine(machine.path(), &source(head, "?pkg=deb"));
    let apt = |arguments: &[&str]| succeed(&mut apt_get(machine.path(), arguments));
    apt(&["update", "--error-on=any"]);
    apt(&["install", "-y", "pilotlight"]);
    assert_installed(&at("root"));
    fs::create_dir_all(at("root/var/lib/pilotlight/kickstarts")).unwrap();
    apt(&["purge", "-y", "pilotlight"]);
    assert!(!at("root/etc/pilotlight").exists());
    assert!(
        at("root/var/lib/pilotlight/kickstarts").exists(),
        "the data stays"
    );
}

fn tar_extracts(head: &Head) {
    let url = source(head, "?pkg=tar");
    let end = format!(
        "/api/v1/repo/head/tar/pilotlight-{}-1.{}.tar.gz\n",
        env!("CARGO_PKG_VERSION").replace('-', "~"),
        std::env::consts::ARCH
    );
    assert!(url.ends_with(&end), "{url}");
    let machine = tempfile::tempdir().unwrap();
    let tar = machine.path().join("head.tar.gz");
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "--noproxy", "*", "-o"]).arg(&tar);
    succeed(curl.arg(url.trim_end()));
    let root = machine.path().join("root");
    fs::create_dir(&root).unwrap();
    succeed(
        Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-xpzf")
            .arg(&tar),
    );
    assert_installed(&root);
}

#[test]
fn others_install_the_program_of_this_head() {
    let head = Head::start();
    tar_extracts(&head);
    dnf_installs(&head);
    apt_installs(&head);
    let reply = head.get("/repo/head/key.asc");
    assert_eq!(reply.status, 404);
    assert_eq!(head.get("/repo/head/tar/other.tar.gz").status, 404);
    assert_eq!(head.get("/repo/head/rpm/").status, 404);
}

/// Where the packages of this head are.
fn made(head: &Head) -> PathBuf {
    let mut there = fs::read_dir(head.data().join("headpkgs")).unwrap();
    let directory = there.next().unwrap().unwrap().path();
    assert!(there.next().is_none(), "those of one program");
    directory
}

fn times_made(head: &Head) -> usize {
    head.log().matches("made the packages of this head").count()
}

#[test]
fn packages_are_made_once_however_many_ask_and_kept() {
    let mut head = Head::start();
    let texts: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = (0..20).map(|_| scope.spawn(|| source(&head, ""))).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(texts.iter().all(|text| *text == texts[0]));
    assert_eq!(times_made(&head), 1, "{}", head.log());
    let first = fs::metadata(made(&head)).unwrap().ino();

    head.stop();
    head.start_again();
    source(&head, "");
    assert_eq!(times_made(&head), 0);
    assert_eq!(fs::metadata(made(&head)).unwrap().ino(), first);

    // Those of another program.
    head.stop();
    let others = head.data().join("headpkgs/0123456789abcdef");
    fs::rename(made(&head), &others).unwrap();
    head.start_again();
    source(&head, "");
    assert_eq!(times_made(&head), 1);
    assert!(!others.exists());

    // Somebody removed one, and the head is told to end while it makes them again.
    let rpms = made(&head).join("rpm");
    fs::remove_dir_all(rpms).unwrap();
    let mut asking = head.connect();
    let request = get_request("/api/v1/install/repo", "");
    asking.write_all(request.as_bytes()).unwrap();
    until("they are being made", || {
        let mut there = fs::read_dir(head.data().join("headpkgs")).ok()?;
        let begun = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
        there.any(|entry| entry.is_ok_and(begun)).then_some(())
    });
    drop(asking);
    assert!(head.stop().success());
    head.start_again();
    source(&head, "?pkg=tar");
    assert!(made(&head).join("packages.json").exists());
}

#[test]
fn what_is_no_kind_of_package_is_refused_with_those_that_are() {
    let head = Head::start();
    for query in ["?pkg=zip", "?pkg=", "?pkg=rpm&pkg=x"] {
        let reply = head.get(&format!("/install/repo{query}"));
        assert_eq!(reply.status, 400, "{query}");
        let reason = reply.json()["reason"].to_string();
        assert!(reason.contains("rpm, deb, tar"), "{reason}");
    }
    assert!(
        !head.data().join("headpkgs").exists(),
        "nothing was asked for"
    );
}

/// Every setting that the configuration file mentions is one, and what stands there is its default, or an example.
#[test]
fn the_configuration_file_holds_when_its_settings_are_no_comments() {
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/pilotlight.toml");
    let packaged = fs::read_to_string(packaged).unwrap();
    let uncommented: String = packaged
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_ne!(packaged, uncommented);
    let directory = tempfile::tempdir().unwrap();
    for text in [packaged, uncommented] {
        let file = directory.path().join("pilotlight.toml");
        fs::write(&file, text).unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_pilotlight"));
        succeed(check.args(["config", "check", "--config"]).arg(file));
    }
}
