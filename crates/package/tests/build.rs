//! Packages that were made here, in the hands of the real rpm, dpkg and tar.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use package::build::{BuildError, Contents, Member, Scriptlets};
use package::{Architecture, Kind};
use tempfile::TempDir;

const MODIFIED: u32 = 1_767_225_600;

fn contents<'a>(version: &'a str, config: &'a [u8]) -> Contents<'a> {
    let file = |path, mode, bytes, config| Member::File {
        path,
        mode,
        bytes,
        config,
    };
    Contents {
        name: "probe",
        version,
        release: "1",
        architecture: None,
        summary: "A package to probe with",
        description: "It holds one of each kind.\n\nAnd nothing else.",
        license: "Apache-2.0",
        maintainer: "Probe <probe@example.org>",
        modified: MODIFIED,
        recommends: &[],
        members: vec![
            file("/etc/probe/probe.conf", 0o640, config, true),
            Member::Directory {
                path: "/usr/lib/probe",
                mode: 0o750,
            },
            file("/usr/lib/probe/empty", 0o600, b"", false),
            file(
                "/usr/lib/probe/run",
                0o755,
                b"#!/bin/sh\necho probe\n",
                false,
            ),
            Member::Symlink {
                path: "/usr/lib/probe/latest",
                target: "run",
            },
        ],
        scriptlets: Scriptlets {
            after_install: "#!/bin/sh\necho installed >>/log\n",
            after_upgrade: "echo upgraded >>/log",
            before_removal: "test -e /usr/lib/probe/run && echo removing >>/log",
            after_purge: "test -e /usr/lib/probe/run || echo purged >>/log",
        },
    }
}

/// What is to be found of it: type, mode, owner, group, time, path, target. The time of a directory is that of the last
/// change in it, and not everybody can set the time of a link.
const TREE: &str = "\
f 640 root root 1767225600 etc/probe/probe.conf
d 750 root root - usr/lib/probe
f 600 root root 1767225600 usr/lib/probe/empty
l 777 root root - usr/lib/probe/latest run
f 755 root root 1767225600 usr/lib/probe/run
";

/// A root to install into, with a shell for scriptlets.
struct Root {
    directory: TempDir,
}

impl Root {
    /// `None`, said loudly, where one cannot be made, or these programs are not there.
    fn new(programs: &[&str]) -> Option<Self> {
        for program in ["busybox", "id"].iter().chain(programs) {
            let found = Command::new("sh")
                .args(["-c", "command -v \"$0\"", program])
                .output();
            if !found.unwrap().status.success() {
                return skip(&format!("there is no {program} here"));
            }
        }
        if done(Command::new("id").arg("-u")).trim() != "0" {
            return skip("only root can install packages");
        }
        let directory = tempfile::tempdir().unwrap();
        let root = Self { directory };
        fs::set_permissions(root.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        for path in [
            "bin",
            "tmp",
            "etc",
            "usr/lib",
            "var/lib/dpkg/info",
            "var/lib/dpkg/updates",
        ] {
            fs::create_dir_all(root.path(path)).unwrap();
        }
        fs::write(root.path("var/lib/dpkg/status"), "").unwrap();
        let busybox = done(Command::new("sh").args(["-c", "command -v busybox"]));
        fs::copy(busybox.trim(), root.path("bin/sh")).unwrap();
        let shell = Command::new("chroot")
            .arg(root.path(""))
            .args(["/bin/sh", "-c", ":"])
            .output();
        if !shell.is_ok_and(|output| output.status.success()) {
            return skip("busybox is not static, or chroot is not allowed");
        }
        Some(root)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn make(&self, kind: Kind, version: &str, config: &[u8]) -> PathBuf {
        let contents = contents(version, config);
        let file = self.path(&contents.file_name(kind));
        fs::write(&file, contents.build(kind).unwrap()).unwrap();
        file
    }

    fn rpm(&self, arguments: &[&str]) -> Command {
        let mut rpm = Command::new("rpm");
        // Nobody provides /bin/sh here.
        rpm.arg("--root")
            .arg(self.path(""))
            .arg("--nodeps")
            .args(arguments);
        rpm
    }

    fn dpkg(&self, arguments: &[&str]) -> Command {
        let mut dpkg = Command::new("dpkg");
        let root = format!("--root={}", self.path("").display());
        dpkg.args([&root, "--force-confold"]).args(arguments);
        dpkg
    }

    /// What is there of the package's files.
    fn tree(&self) -> String {
        let mut find = Command::new("find");
        find.args(["etc/probe", "usr/lib/probe", "-path", "etc/probe", "-o"]);
        find.args(["-type", "f", "-printf", "%y %m %u %g %T@ %p %l\n", "-o"]);
        find.args(["-printf", "%y %m %u %g - %p %l\n"])
            .current_dir(self.path(""));
        let mut lines: Vec<_> = done(&mut find)
            .lines()
            .map(|line| line.replace(".0000000000", "").trim_end().to_owned() + "\n")
            .collect();
        lines.sort_by_key(|line| line.split(' ').nth(5).map(str::to_owned));
        lines.concat()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

fn skip<T>(why: &str) -> Option<T> {
    // Where even this cannot be said, nobody listens.
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
    None
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

#[test]
fn an_rpm_is_installed_upgraded_and_erased() {
    let Some(root) = Root::new(&["rpm"]) else {
        return;
    };
    let first = root.make(Kind::Rpm, "1.0", b"first\n");
    let second = root.make(Kind::Rpm, "2.0~rc1", b"second\n");

    let checked = done(
        Command::new("rpm")
            .arg("--checksig")
            .arg("--verbose")
            .arg(&first),
    );
    for digest in ["Header SHA256", "Payload SHA256"] {
        assert!(
            checked.contains(&format!("{digest} digest: OK")),
            "{checked}"
        );
    }
    let header =
        "%{NAME} %{EPOCH} %{VERSION} %{RELEASE} %{ARCH} %{LICENSE} %{SUMMARY} %{BUILDTIME}";
    let mut query = Command::new("rpm");
    query.args(["-qp", "--queryformat", header]).arg(&first);
    assert_eq!(
        done(&mut query),
        format!("probe (none) 1.0 1 noarch Apache-2.0 A package to probe with {MODIFIED}")
    );
    let required = done(Command::new("rpm").args(["-qp", "--requires"]).arg(&first));
    assert!(required.lines().any(|line| line == "/bin/sh"), "{required}");

    done(root.rpm(&["--install"]).arg(&first));
    assert_eq!(root.tree(), TREE);
    assert_eq!(done(&mut root.rpm(&["--verify", "probe"])), "");

    let config = root.path("etc/probe/probe.conf");
    fs::write(&config, "edited\n").unwrap();
    done(root.rpm(&["--upgrade"]).arg(&second));
    assert_eq!(fs::read_to_string(&config).unwrap(), "edited\n");
    let new = fs::read_to_string(root.path("etc/probe/probe.conf.rpmnew"));
    assert_eq!(new.unwrap(), "second\n");

    done(&mut root.rpm(&["--erase", "probe"]));
    assert!(!root.path("usr/lib/probe").exists());
    assert_eq!(root.log(), "installed\nupgraded\nremoving\npurged\n");
}

#[test]
fn a_deb_is_installed_upgraded_removed_and_purged() {
    let Some(root) = Root::new(&["dpkg", "dpkg-deb"]) else {
        return;
    };
    let first = root.make(Kind::Deb, "1.0", b"first\n");
    let second = root.make(Kind::Deb, "2.0~rc1", b"second\n");

    let fields = done(Command::new("dpkg-deb").arg("--field").arg(&first));
    assert_eq!(
        fields,
        "Package: probe\nVersion: 1.0-1\nArchitecture: all\nMaintainer: Probe <probe@example.org>\n\
         Installed-Size: 5\nSection: admin\nPriority: optional\n\
         Description: A package to probe with\n It holds one of each kind.\n .\n And nothing else.\n"
    );

    done(root.dpkg(&["--install"]).arg(&first));
    assert_eq!(root.tree(), TREE);
    assert_eq!(done(&mut root.dpkg(&["--verify", "probe"])), "");
    fs::write(root.path("usr/lib/probe/empty"), "no more").unwrap();
    let verified = done(&mut root.dpkg(&["--verify", "probe"]));
    assert!(verified.contains("/usr/lib/probe/empty"), "{verified}");

    let config = root.path("etc/probe/probe.conf");
    fs::write(&config, "edited\n").unwrap();
    done(root.dpkg(&["--install"]).arg(&second));
    assert_eq!(fs::read_to_string(&config).unwrap(), "edited\n");
    let new = fs::read_to_string(root.path("etc/probe/probe.conf.dpkg-dist"));
    assert_eq!(new.unwrap(), "second\n");

    done(&mut root.dpkg(&["--remove", "probe"]));
    assert!(!root.path("usr/lib/probe").exists());
    assert_eq!(
        fs::read_to_string(&config).unwrap(),
        "edited\n",
        "until it is purged"
    );
    assert_eq!(root.log(), "installed\nupgraded\nremoving\n");
    done(&mut root.dpkg(&["--purge", "probe"]));
    assert!(!config.exists());
    assert_eq!(root.log(), "installed\nupgraded\nremoving\npurged\n");
}

#[test]
fn a_tar_is_extracted_by_gnu_tar_and_busybox_and_touches_nothing_else() {
    for tar in ["tar", "busybox tar"] {
        let Some(root) = Root::new(&["tar"]) else {
            return;
        };
        let archive = root.make(Kind::Tar, "1.0", b"first\n");
        fs::set_permissions(root.path("etc"), fs::Permissions::from_mode(0o711)).unwrap();
        let mut extract = Command::new("sh");
        extract.args(["-c", &format!("{tar} -C \"$0\" -xpzf \"$1\"")]);
        done(extract.arg(root.path("")).arg(&archive));
        assert_eq!(root.tree(), TREE, "{tar}");
        let etc = fs::metadata(root.path("etc")).unwrap();
        assert_eq!(etc.permissions().mode() & 0o777, 0o711, "{tar}");
        assert_eq!(root.log(), "");
    }
}

#[test]
fn the_same_contents_make_the_same_bytes() {
    for kind in [Kind::Rpm, Kind::Deb, Kind::Tar] {
        let made = || contents("1.0", b"first\n").build(kind).unwrap();
        assert!(made() == made(), "{kind}");
        assert!(
            made() != contents("1.0", b"other\n").build(kind).unwrap(),
            "{kind}"
        );
    }
}

#[test]
fn files_are_called_as_is_the_custom() {
    let contents = contents("1.0", b"");
    let names = [Kind::Rpm, Kind::Deb, Kind::Tar].map(|kind| contents.file_name(kind));
    let expected = [
        "probe-1.0-1.noarch.rpm",
        "probe_1.0-1_all.deb",
        "probe-1.0-1.noarch.tar.gz",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_package_for_one_architecture_says_so_and_what_it_recommends() {
    let Some(root) = Root::new(&["rpm", "dpkg-deb"]) else {
        return;
    };
    let mut contents = contents("1.0", b"");
    contents.architecture = Some(Architecture::X86_64);
    contents.recommends = &["curl", "etcd"];
    let [rpm, deb, tar] = [Kind::Rpm, Kind::Deb, Kind::Tar].map(|kind| {
        let file = root.path(&contents.file_name(kind));
        fs::write(&file, contents.build(kind).unwrap()).unwrap();
        file
    });
    let mut query = Command::new("rpm");
    query.args(["-qp", "--queryformat", "%{ARCH} [%{RECOMMENDNAME} ]"]);
    assert_eq!(done(query.arg(&rpm)), "x86_64 curl etcd ");
    let field = |name| {
        let mut query = Command::new("dpkg-deb");
        done(query.arg("--field").arg(&deb).arg(name))
    };
    assert_eq!(field("Architecture"), "amd64\n");
    assert_eq!(field("Recommends"), "curl, etcd\n");
    for (file, end) in [
        (rpm, "1.0-1.x86_64.rpm"),
        (deb, "1.0-1_amd64.deb"),
        (tar, "1.0-1.x86_64.tar.gz"),
    ] {
        assert!(file.to_str().unwrap().ends_with(end), "{file:?}");
    }
}

#[test]
fn a_file_is_at_an_absolute_path_and_a_package_has_a_name() {
    for path in [
        "",
        "/",
        "usr/lib",
        "/usr//lib",
        "/usr/../etc",
        "/./usr",
        "/usr/",
        "/a\0b",
    ] {
        let mut contents = contents("1.0", b"");
        contents.members = vec![Member::Directory { path, mode: 0o755 }];
        for kind in [Kind::Rpm, Kind::Deb, Kind::Tar] {
            let made = contents.build(kind);
            assert!(matches!(made, Err(BuildError::Path(_))), "{path:?} {kind}");
        }
    }
    let mut contents = contents("1.0", b"");
    contents.name = "../probe";
    assert!(matches!(
        contents.build(Kind::Deb),
        Err(BuildError::Name(_))
    ));
}
