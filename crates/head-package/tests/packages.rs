//! The packages of the head, in the hands of rpm, dpkg, tar and systemd.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use head_package::{Documents, HeadPackages, Page, write};
use package::{Architecture, Kind};
use tempfile::TempDir;

const EXECUTABLE: &[u8] = b"\x7fELF, or so it begins\n";
const KINDS: [Kind; 3] = [Kind::Rpm, Kind::Deb, Kind::Tar];

/// What every package brings: its mode, its path, and whether it is configuration.
const FILES: [(&str, &str, bool); 12] = [
    ("0644", "/etc/pilotlight/pilotlight.toml", true),
    ("0755", "/usr/bin/pilotlight", false),
    ("0644", "/usr/lib/systemd/system/pilotlight.service", false),
    ("0644", "/usr/lib/sysusers.d/pilotlight.conf", false),
    ("0644", "/usr/lib/tmpfiles.d/pilotlight.conf", false),
    (
        "0644",
        "/usr/share/bash-completion/completions/pilotlight",
        false,
    ),
    ("0644", "/usr/share/doc/pilotlight/CHANGELOG.md", false),
    ("0644", "/usr/share/doc/pilotlight/LICENCE", false),
    ("0644", "/usr/share/doc/pilotlight/README.md", false),
    (
        "0644",
        "/usr/share/fish/vendor_completions.d/pilotlight.fish",
        false,
    ),
    ("0644", "/usr/share/man/man1/pilotlight.1", false),
    ("0644", "/usr/share/zsh/_pilotlight", false),
];

/// Packages that were made of a small executable.
struct Made {
    home: TempDir,
    packages: HeadPackages,
}

impl Made {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let executable = home.path().join("executable");
        fs::write(&executable, EXECUTABLE).unwrap();
        let packages = write(&executable, &documents(), &home.path().join("made")).unwrap();
        Self { home, packages }
    }

    fn directory(&self) -> PathBuf {
        self.home.path().join("made")
    }

    fn path(&self, kind: Kind) -> PathBuf {
        self.packages.path(&self.directory(), kind)
    }

    /// A root with the files of the tar.
    fn root(&self) -> PathBuf {
        let root = self.home.path().join("root");
        fs::create_dir(&root).unwrap();
        let mut tar = Command::new("tar");
        done(
            tar.arg("-C")
                .arg(&root)
                .arg("-xpzf")
                .arg(self.path(Kind::Tar)),
        );
        root
    }
}

fn documents() -> Documents {
    Documents {
        manual: vec![Page {
            file: "pilotlight.1".to_owned(),
            text: b".TH pilotlight 1\n".to_vec(),
        }],
        bash: b"complete -c pilotlight\n".to_vec(),
        zsh: b"#compdef pilotlight\n".to_vec(),
        fish: b"complete pilotlight\n".to_vec(),
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Runs a program, which is expected to succeed: its standard output.
fn done(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", said(&output));
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

fn architecture() -> Architecture {
    std::env::consts::ARCH.parse().unwrap()
}

/// What differs between the kinds of packages, written as in [`FILES`].
fn without_custom(path: &str) -> String {
    path.replace("/zsh/site-functions/", "/zsh/")
        .replace("/zsh/vendor-completions/", "/zsh/")
        .replace("/pilotlight/copyright", "/pilotlight/LICENCE")
        .replace("/pilotlight/LICENSE", "/pilotlight/LICENCE")
}

fn expected() -> Vec<String> {
    let mut lines: Vec<_> = FILES
        .iter()
        .map(|(mode, path, _)| format!("{mode} root root {path}"))
        .collect();
    lines.sort();
    lines
}

#[test]
fn an_rpm_has_everything_as_it_should_be() {
    if !have("rpm") {
        return;
    }
    let made = Made::new();
    let query = |format: &str| {
        let mut rpm = Command::new("rpm");
        done(
            rpm.args(["-qp", "--queryformat", format])
                .arg(made.path(Kind::Rpm)),
        )
    };
    let version = env!("CARGO_PKG_VERSION").replace('-', "~");
    assert_eq!(
        query("%{NAME} %{VERSION}-%{RELEASE} %{ARCH} [%{RECOMMENDNAME}]"),
        format!("pilotlight {version}-1 {} etcd", architecture())
    );
    let files = query(
        "[%{FILEMODES:perms} %{FILEMODES:octal} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\n]",
    );
    let mut files: Vec<_> = files
        .lines()
        .filter_map(|line| line.strip_prefix('-')?.split_once(" 10"))
        .map(|(_, file)| without_custom(file))
        .collect();
    files.sort();
    assert_eq!(files, expected());
    let mut rpm = Command::new("rpm");
    let config = done(rpm.args(["-qpc"]).arg(made.path(Kind::Rpm)));
    let configs = FILES.iter().filter(|(_, _, config)| *config);
    assert!(
        configs
            .map(|(_, path, _)| path)
            .eq(config.lines().collect::<Vec<_>>().iter())
    );
    let mut rpm = Command::new("rpm");
    done(rpm.arg("--checksig").arg(made.path(Kind::Rpm)));
}

#[test]
fn a_deb_has_everything_as_it_should_be() {
    if !have("dpkg-deb") {
        return;
    }
    let made = Made::new();
    let deb = |action: &[&str]| {
        let (first, rest) = action.split_first().unwrap();
        let mut deb = Command::new("dpkg-deb");
        done(deb.arg(first).arg(made.path(Kind::Deb)).args(rest))
    };
    assert_eq!(deb(&["--field", "Package"]), "pilotlight\n");
    let name = format!("{}\n", architecture().debian_name());
    assert_eq!(deb(&["--field", "Architecture"]), name);
    assert_eq!(deb(&["--field", "Recommends"]), "etcd-server\n");
    assert_eq!(
        deb(&["--info", "conffiles"]),
        "/etc/pilotlight/pilotlight.toml\n"
    );
    assert_eq!(listed(&deb(&["--contents"])), expected());
}

#[test]
fn a_tar_has_everything_as_it_should_be() {
    let made = Made::new();
    let mut tar = Command::new("tar");
    assert_eq!(
        listed(&done(tar.arg("-tvzf").arg(made.path(Kind::Tar)))),
        expected()
    );
    let root = made.root();
    assert_eq!(
        fs::read(root.join("usr/bin/pilotlight")).unwrap(),
        EXECUTABLE
    );
}

/// The files of a verbose listing of a tar.
fn listed(listing: &str) -> Vec<String> {
    let mut lines: Vec<_> = listing
        .lines()
        .filter(|line| line.starts_with('-'))
        .map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let mode = match fields[0] {
                "-rwxr-xr-x" => "0755",
                "-rw-r--r--" => "0644",
                other => other,
            };
            let path = fields[5].trim_start_matches('.').trim_start_matches('/');
            let owner = fields[1].replace('/', " ");
            format!("{mode} {owner} {}", without_custom(&format!("/{path}")))
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn systemd_understands_the_unit() {
    if !have("systemd-analyze") {
        return;
    }
    let made = Made::new();
    let root = made.root();
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/pilotlight.service")).unwrap();
    // The package is not installed here.
    let unit = unit.replace("/usr/bin/pilotlight ", "/bin/true ");
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("pilotlight.service");
    fs::write(&file, unit).unwrap();
    let mut verify = Command::new("systemd-analyze");
    let output = verify
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
        .unwrap();
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    // What it does not know it only mentions. Older ones do not know everything.
    let about_it = said
        .lines()
        .filter(|line| line.contains("pilotlight.service"));
    assert_eq!(about_it.count(), 0, "{said}");
}

#[test]
fn systemd_makes_the_user_and_the_directory() {
    if !(have("systemd-sysusers") && have("systemd-tmpfiles")) {
        return;
    }
    if done(Command::new("id").arg("-u")) != "0\n" {
        let _ = writeln!(io::stderr(), "SKIPPED: only root can make users");
        return;
    }
    let made = Made::new();
    let root = made.root();
    for program in [&["systemd-sysusers"][..], &["systemd-tmpfiles", "--create"]] {
        let mut command = Command::new(program[0]);
        command.arg(format!("--root={}", root.display()));
        done(command.args(&program[1..]).arg("pilotlight.conf"));
    }
    let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
    assert!(users.starts_with("pilotlight:x:"), "{users}");
    let id = users.split(':').nth(2).unwrap();
    let mut stat = Command::new("stat");
    let directory = root.join("var/lib/pilotlight");
    let owner = done(stat.args(["-c", "%u %g %a"]).arg(directory));
    assert_eq!(owner, format!("{id} {id} 755\n"));
}

#[test]
fn the_scriptlets_are_posix_shell() {
    if !have("shellcheck") {
        return;
    }
    let scriptlets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/scriptlets");
    for script in fs::read_dir(scriptlets).unwrap() {
        done(Command::new("shellcheck").arg(script.unwrap().path()));
    }
}

#[test]
fn the_same_executable_makes_the_same_packages() {
    assert_eq!(Made::new().packages, Made::new().packages);
}

#[test]
fn packages_are_there_when_all_of_them_are_whole() {
    let made = Made::new();
    let directory = made.directory();
    let read = |directory: &Path| HeadPackages::read(directory).unwrap();
    assert_eq!(read(&directory).as_ref(), Some(&made.packages));
    assert_eq!(read(made.home.path()), None);

    for kind in KINDS {
        let path = made.path(kind);
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[20] ^= 1;
        for other in [&damaged[..], &whole[1..]] {
            fs::write(&path, other).unwrap();
            assert_eq!(read(&directory), None, "{kind}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(read(&directory), None, "{kind}");
        fs::write(&path, whole).unwrap();
    }
    assert!(read(&directory).is_some());
    fs::write(directory.join("packages.json"), "{}").unwrap();
    assert_eq!(read(&directory), None);
}

#[test]
fn a_directory_that_is_there_is_left_alone_and_a_failure_leaves_nothing() {
    let made = Made::new();
    let before = fs::read(made.path(Kind::Tar)).unwrap();
    let again = |executable: &str| {
        let executable = made.home.path().join(executable);
        write(&executable, &documents(), &made.directory()).unwrap_err()
    };
    let error = again("executable").to_string();
    assert!(error.contains("made"), "{error}");
    let error = again("gone").to_string();
    assert!(error.starts_with("cannot read"), "{error}");
    assert_eq!(fs::read(made.path(Kind::Tar)).unwrap(), before);
    let mut names: Vec<_> = fs::read_dir(made.home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["executable", "made"]);
    // Others may read it, unless this user's umask says otherwise.
    let other = made.home.path().join("other");
    fs::create_dir(&other).unwrap();
    let mode = |directory: &Path| directory.metadata().unwrap().permissions().mode();
    assert_eq!(mode(&made.directory()), mode(&other));
}
