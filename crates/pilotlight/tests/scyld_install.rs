//! The script that makes heads, run for real: on throw-away roots and views of this machine, under several shells.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use head::{Head, NO_HOSTS, ThrowAway, assert_refused, get_request, run, said, skip};

const SCRIPT: &str = "/install/head/scyld-install";
const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];
const PASSWORD: &str = "it's \"so\" \\easy\tto say ü";

/// A machine that the script is run on.
struct Machine {
    /// Holds the script, the root directory `root` and whatever the test puts there.
    directory: tempfile::TempDir,
}

impl Machine {
    /// One that has the script of this head.
    fn of(head: &Head) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let script = head.get(SCRIPT);
        assert_eq!(script.status, 200, "{script:?}");
        fs::write(directory.path().join("scyld-install"), script.text()).unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the file of a password.
    fn password(&self, password: &str) {
        fs::write(self.path("password"), format!("{password}\n")).unwrap();
    }

    /// Runs the script by this shell, where there is no terminal. Paths are from the machine's directory.
    fn script(&self, shell: &[&str], options: &[&str]) -> Output {
        let mut command = Command::new("setsid");
        command
            .arg("--wait")
            .args(shell)
            .arg("scyld-install")
            .args(options);
        run(command.current_dir(self.directory.path()))
    }

    /// The same, by `sh`, of options without blanks.
    fn install(&self, options: &str) -> Output {
        let options: Vec<&str> = options.split_whitespace().collect();
        self.script(&["sh"], &options)
    }

    /// What is there, with times.
    fn state(&self) -> String {
        let format = "%p %y %s %T@ %m\n";
        let found = run(Command::new("find")
            .arg(self.directory.path())
            .args(["-printf", format]));
        let found = String::from_utf8(found.stdout).unwrap();
        // Asking whether somebody holds it is no change.
        let mut lines: Vec<_> = found
            .lines()
            .filter(|line| !line.contains("/data/lock "))
            .collect();
        lines.sort_unstable();
        lines.join("\n")
    }
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_script_is_made_for_the_host_that_the_client_used() {
    let head = Head::start();
    let own = head.get(SCRIPT);
    assert!(
        own.text().contains(&format!("\nBASE='{}'\n", head.url(""))),
        "{own:?}"
    );
    assert_eq!(head.get("/install/head/cw-install").text(), own.text());
    for host in ["head", "head.example:8080", "[fd00::1]:81"] {
        let reply = head.ask_raw(format!(
            "GET /api/v1{SCRIPT} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ));
        let expected = own.text().replace(&head.address().to_string(), host);
        assert_eq!(reply.text(), expected);
    }
    let proxy = get_request(
        &format!("/api/v1{SCRIPT}"),
        "X-Forwarded-Host: a;reboot\r\n",
    );
    assert!(!head.ask_raw(proxy).text().contains("reboot"));
}

#[test]
fn a_host_that_is_none_gets_no_script() {
    let head = Head::start();
    for host in NO_HOSTS.into_iter().chain(["a\r\nHost: b"]) {
        let reply = head.ask_raw(format!(
            "GET /api/v1{SCRIPT} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ));
        assert_eq!(reply.status, 400, "{host:?}");
        assert!(!reply.text().contains("BASE="), "{host:?}: {reply:?}");
    }
}

#[test]
fn every_shell_reads_the_script_and_shellcheck_finds_nothing() {
    let head = Head::start();
    let machine = Machine::of(&head);
    for shell in SHELLS {
        let help = succeeded(&machine.script(shell, &["--help"]));
        for option in [
            "--join HEAD",
            "--database-passwd-file FILE",
            "--database-passwd PASSWORD",
            "--data DIR",
            "--listen HOST:PORT",
            "--root DIR",
            "--no-service",
            "--clear",
            "--yes",
            "--dry-run",
        ] {
            assert!(help.contains(option), "{option}: {help}");
        }
        assert!(help.contains(&head.url("")), "{help}");
    }
    match Command::new("shellcheck")
        .arg(machine.path("scyld-install"))
        .output()
    {
        Ok(output) => assert!(output.status.success(), "{}", said(&output)),
        Err(_) => skip("no shellcheck here"),
    }
}

#[test]
fn a_script_that_was_cut_does_nothing() {
    let head = Head::start();
    let machine = Machine::of(&head);
    let script = fs::read(machine.path("scyld-install")).unwrap();
    let whole = script.len();
    for length in (0..whole).step_by(whole / 60).chain([whole - 3, whole - 2]) {
        fs::write(machine.path("scyld-install"), &script[..length]).unwrap();
        let output = machine.install("--help");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "",
            "{length} bytes of {whole}"
        );
    }
}

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    let head = Head::start();
    let machine = Machine::of(&head);
    let before = machine.state();
    for (options, reason) in [
        ("--bogus", "unknown argument --bogus"),
        ("--join", "--join needs a value"),
        ("--join a;reboot", "--join a;reboot: not a head's address"),
        (
            "--join http://a/b",
            "--join http://a/b: not a head's address",
        ),
        ("--listen 80", "--listen 80: not HOST:PORT"),
        ("--listen 127.0.0.1:80\"", "not HOST:PORT"),
        ("--root nowhere", "there is no directory nowhere"),
        (
            "--join head",
            "no password: give --database-passwd-file FILE",
        ),
        (
            "--join head --database-passwd-file nowhere",
            "cannot read the password file nowhere",
        ),
        (
            "--root root --data data --clear=x",
            "unknown argument --clear=x",
        ),
    ] {
        let output = machine.install(options);
        assert_refused(&output, reason);
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    }
    assert_eq!(machine.state(), before);
}

#[test]
fn what_cannot_be_joined_is_told_in_one_line() {
    let head = Head::with_config("[auth]\ntries_per_minute = 2\n");
    let machine = Machine::of(&head);
    let address = head.address();
    machine.password("wrong");
    let before = machine.state();
    let options = "--database-passwd-file password --root root --data data --no-service --yes";
    for (other, reason) in [
        ("127.0.0.1:1", "cannot reach the head 127.0.0.1:1: "),
        (&*address.to_string(), "wrong password: "),
        (&*format!("http://{address}/api/v1/"), "wrong password: "),
        (
            &*address.to_string(),
            "was asked with too many passwords; wait a minute",
        ),
    ] {
        let output = machine.install(&format!("--join {other} {options}"));
        assert_refused(&output, reason);
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    }
    assert_eq!(machine.state(), before);
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let head = Head::start();
    let machine = Machine::of(&head);
    let before = machine.state();
    for shell in SHELLS {
        let options = [
            "--root",
            "root",
            "--data",
            "data",
            "--listen",
            "127.0.0.1:80",
            "--dry-run",
        ];
        let would = succeeded(&machine.script(shell, &options));
        for doing in [
            "would install pilotlight ",
            "would make a new cluster in ",
            "would write the data directory",
        ] {
            assert!(would.contains(doing), "{would}");
        }
    }
    assert_eq!(machine.state(), before);
}

/// Starts the head that the script made, which is to have this password.
fn assert_is_a_head(machine: &Machine, password: &str) {
    let config = fs::read_to_string(machine.path("root/etc/pilotlight/pilotlight.toml")).unwrap();
    let data = machine.path("data");
    assert!(
        config.starts_with(&format!(
            "data = \"{}\"\nlisten = [\"127.0.0.1:0\"]\n",
            data.display()
        )),
        "{config}"
    );
    let installed = machine.path("root/usr/bin/pilotlight");
    let checked = run(Command::new(&installed)
        .args(["config", "check", "--config"])
        .arg(machine.path("root/etc/pilotlight/pilotlight.toml")));
    assert!(checked.status.success(), "{}", said(&checked));

    let mut made = Head::stopped("");
    copy(&data, &made.data());
    made.start_again();
    let body = serde_json::json!({"admin_pass": password}).to_string();
    let reply = head::curl(["-d", &body, &made.url("/install/password")]);
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn copy(from: &Path, to: &Path) {
    let copied = run(Command::new("cp").arg("-a").args([from, to]));
    assert!(copied.status.success(), "{}", said(&copied));
}

#[test]
fn every_shell_makes_a_first_head_and_once() {
    let head = Head::start();
    for shell in SHELLS {
        let machine = Machine::of(&head);
        machine.password(PASSWORD);
        let options = [
            "--root",
            "root",
            "--data",
            "data",
            "--listen",
            "127.0.0.1:0",
            "--database-passwd-file",
            "password",
        ];
        succeeded(&machine.script(shell, &options));
        let unit =
            machine.path("root/etc/systemd/system/multi-user.target.wants/pilotlight.service");
        assert_eq!(
            fs::read_link(unit).unwrap(),
            Path::new("/usr/lib/systemd/system/pilotlight.service")
        );
        assert_eq!(
            machine
                .path("data")
                .metadata()
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o755
        );
        // The password is in the cluster, hashed, and in the file that it came from.
        let grep = run(Command::new("grep")
            .args(["-rlF", PASSWORD])
            .arg(machine.directory.path()));
        assert_eq!(
            String::from_utf8_lossy(&grep.stdout).lines().count(),
            1,
            "{}",
            said(&grep)
        );

        let before = machine.state();
        let again = succeeded(&machine.script(shell, &options));
        assert!(again.contains("is installed"), "{again}");
        assert_eq!(machine.state(), before);
        assert_is_a_head(&machine, PASSWORD);
    }
}

#[test]
fn an_installation_that_was_interrupted_is_completed() {
    let head = Head::start();
    let machine = Machine::of(&head);
    let options = "--root root --data data --listen 127.0.0.1:0";
    succeeded(&machine.install(options));
    for lost in ["root/usr/bin/pilotlight", "root/etc", "data"] {
        let lost = machine.path(lost);
        match lost.is_dir() {
            true => fs::remove_dir_all(&lost).unwrap(),
            false => fs::remove_file(&lost).unwrap(),
        }
        succeeded(&machine.install(options));
        assert!(lost.exists(), "{}", lost.display());
    }
    let password = fs::read_to_string(machine.path("data/admin_pass")).unwrap();
    assert_is_a_head(&machine, password.trim());
}

#[test]
fn what_the_configuration_says_holds() {
    let head = Head::start();
    let machine = Machine::of(&head);
    let config = machine.path("root/etc/pilotlight/pilotlight.toml");
    let data = machine.path("data").display().to_string();
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    // Of a table, it is another setting; and there is a line without an end.
    fs::write(&config, "[tls]\nlisten = []").unwrap();
    succeeded(&machine.install("--root root --data data --listen 127.0.0.1:0"));
    let written = format!("data = \"{data}\"\nlisten = [\"127.0.0.1:0\"]\n");
    let text = fs::read_to_string(&config).unwrap();
    assert_eq!(text, format!("{written}[tls]\nlisten = []"));

    let before = machine.state();
    for options in ["", "--data data/", "--listen 127.0.0.1:0"] {
        succeeded(&machine.install(&format!("--root root {options}")));
    }
    for (options, reason) in [
        ("--data other", "pilotlight.toml says "),
        ("--listen 127.0.0.1:1", "pilotlight.toml says 127.0.0.1:0"),
        ("--data da\\ta", "can hold no name with a quotation mark"),
    ] {
        let output = machine.install(&format!("--root root {options}"));
        assert_refused(&output, reason);
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    }
    assert_eq!(machine.state(), before);

    let others = format!("\t\"data\"='{data}' # ours\nlisten = [\n  \"127.0.0.1:7\",\n]\n");
    fs::write(&config, &others).unwrap();
    succeeded(&machine.install("--root root"));
    assert_eq!(fs::read_to_string(&config).unwrap(), others);
}

#[test]
fn only_what_a_head_left_is_cleared_and_only_if_nobody_uses_it() {
    let head = Head::start();
    let machine = Machine::of(&head);
    let options = "--root root --data data --listen 127.0.0.1:0 --clear";
    succeeded(&machine.install(options));
    let password = || fs::read_to_string(machine.path("data/admin_pass")).unwrap();
    let first = password();

    assert_refused(
        &machine.install(options),
        "no terminal to ask on: --yes agrees",
    );
    fs::write(machine.path("data/thesis.txt"), "irreplaceable").unwrap();
    assert_refused(
        &machine.install(&format!("{options} --yes")),
        "holds thesis.txt, which is nothing of pilotlight",
    );
    fs::remove_file(machine.path("data/thesis.txt")).unwrap();
    let lock = fs::File::open(machine.path("data/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_refused(
        &machine.install(&format!("{options} --yes")),
        "a head runs on ",
    );
    drop(lock);
    assert_eq!(password(), first);

    // The directory may be a file system of its own, and a restore may have broken off.
    fs::create_dir(machine.path("data/lost+found")).unwrap();
    fs::write(machine.path("data/restored.db"), "").unwrap();
    succeeded(&machine.install(&format!("{options} --yes")));
    assert_ne!(password(), first);
    assert!(machine.path("data/lost+found").exists());
    assert!(!machine.path("data/restored.db").exists());
    let etc = machine.path("elsewhere");
    fs::create_dir(&etc).unwrap();
    fs::write(etc.join("passwd"), "").unwrap();
    assert_refused(
        &machine.install("--root root --data elsewhere --no-service --clear --yes"),
        "holds passwd, which is nothing of",
    );
    assert!(etc.join("passwd").exists());
}

#[test]
fn a_machine_is_made_a_head_by_its_own_packages_with_every_downloader() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    let head = Head::start();
    fs::write(machine.path("scyld-install"), head.get(SCRIPT).text()).unwrap();
    for (shell, without) in [("dash", "wget"), ("bash", "curl"), ("busybox", "curl wget")] {
        let told = machine.succeed(&format!(
            "shell {shell}; without {without}
             sh scyld-install --data /srv/head --listen 127.0.0.1:0 >told
             start=$(sed -n 's/.*without systemd, start //p' told)
             $start >started &
             until grep '^listening on' started >&2 || ! kill -0 $!; do sleep 0.1; done
             kill $!
             dpkg-query -W -f '${{Status}}\\n' pilotlight
             stat -c %U /srv/head/pilotlight.db
             head -n 2 /etc/pilotlight/pilotlight.toml"
        ));
        assert_eq!(
            told,
            "install ok installed\npilotlight\ndata = \"/srv/head\"\nlisten = [\"127.0.0.1:0\"]\n",
            "{shell}, without {without}"
        );
    }
}

/// Whoever has no way out of the machine room can still install what needs nothing from there.
#[test]
fn a_machine_is_made_a_head_without_what_is_only_recommended() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    let head = Head::start();
    fs::write(machine.path("scyld-install"), head.get(SCRIPT).text()).unwrap();
    fs::create_dir(machine.path("repository")).unwrap();
    let packages = format!(
        "Package: etcd-server\nVersion: 99\nArchitecture: all\nMaintainer: Nobody\nFilename: ./gone.deb\nSize: 1\n\
         SHA256: {}\nDescription: gone\n",
        "0".repeat(64)
    );
    fs::write(machine.path("repository/Packages"), packages).unwrap();
    let told = machine.succeed(
        "dpkg --purge --force-depends etcd-server >&2 || true
         rm -rf /etc/apt/sources.list* /var/lib/apt/lists/*
         echo \"deb [trusted=yes] file:$PWD/repository ./\" >/etc/apt/sources.list
         apt-get update >&2
         sh scyld-install --data /srv/head --listen 127.0.0.1:0 >&2
         dpkg-query -W -f '${Status}\\n' pilotlight",
    );
    assert_eq!(told, "install ok installed\n");
}

#[test]
fn a_machine_of_rpms_is_made_a_head_by_its_own_packages() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    if !machine.has("rpmbuild rpm dnf") {
        return skip("there is no rpmbuild, rpm or dnf here");
    }
    let head = Head::start();
    fs::write(machine.path("scyld-install"), head.get(SCRIPT).text()).unwrap();
    let shell = "Name: shell\nVersion: 1\nRelease: 1\nSummary: a shell\nLicense: MIT\nBuildArch: noarch\n\
                 Provides: /bin/sh\n%description\na shell\n%files\n";
    fs::write(machine.path("shell.spec"), shell).unwrap();
    let told = machine.succeed(
        ": >/var/lib/dpkg/status
         rpmbuild -bb --quiet -D \"_topdir $PWD/rpm\" shell.spec >&2
         rpm --install rpm/RPMS/noarch/*.rpm >&2
         sh scyld-install --data /srv/head --listen 127.0.0.1:0 >&2
         rpm --query --queryformat '%{NAME}\\n' pilotlight
         stat -c %U /srv/head/pilotlight.db",
    );
    assert_eq!(told, "pilotlight\npilotlight\n");
}
