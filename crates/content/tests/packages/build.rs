//! Packages made by the programs that others make theirs with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether they are installed. Says so loudly if they are not.
pub(crate) fn can_build() -> bool {
    ["rpmbuild", "dpkg-deb", "tar"].iter().all(|program| {
        let found = Command::new(program).arg("--version").output().is_ok();
        if !found {
            eprintln!("SKIPPED: {program} is not installed");
        }
        found
    })
}

/// An rpm to be built.
pub(crate) struct Rpm<'a> {
    pub(crate) name: &'a str,
    /// `VERSION-RELEASE`
    pub(crate) version: &'a str,
    pub(crate) architecture: &'a str,
    /// How many bytes of its file cannot be compressed.
    pub(crate) noise: usize,
    /// Sections of the spec file.
    pub(crate) scriptlets: &'a str,
}

impl<'a> Rpm<'a> {
    pub(crate) fn new(name: &'a str, version: &'a str) -> Self {
        Self {
            name,
            version,
            architecture: "x86_64",
            noise: 100,
            scriptlets: "",
        }
    }

    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}.{}.rpm", self.name, self.version, self.architecture)
    }

    /// Builds it in a directory of its own, which goes with the file.
    pub(crate) fn build(&self) -> Built {
        let home = tempfile::tempdir().unwrap();
        let Self {
            name,
            architecture,
            noise,
            scriptlets,
            ..
        } = self;
        let (version, release) = self.version.split_once('-').unwrap();
        let spec = format!(
            "Name: {name}\nVersion: {version}\nRelease: {release}\nSummary: a test\nLicense: none\n\
             %description\nA test.\n\
             %install\nmkdir -p %{{buildroot}}/opt/{name}\n\
             echo {name} {version} > %{{buildroot}}/opt/{name}/version\n\
             head -c {noise} /dev/urandom > %{{buildroot}}/opt/{name}/noise\n\
             {scriptlets}\n%files\n/opt/{name}\n"
        );
        fs::write(home.path().join("spec"), spec).unwrap();
        let top = home.path().display();
        run(Command::new("rpmbuild")
            .args(["-bb", "--quiet", "--target", architecture])
            .args(["--define", &format!("_topdir {top}")])
            .args(["--define", &format!("_rpmdir {top}")])
            .args([
                "--define",
                "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
            ])
            .args(["--define", "_binary_payload w1.gzdio"])
            .args(["--define", "__os_install_post %{nil}"])
            .args(["--define", "debug_package %{nil}"])
            .arg(home.path().join("spec")));
        let file = home.path().join(self.file_name());
        Built { _home: home, file }
    }
}

/// A package in a directory of its own.
pub(crate) struct Built {
    _home: tempfile::TempDir,
    pub(crate) file: PathBuf,
}

impl Built {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(&self.file).unwrap()
    }

    /// Copies it into `directory`, as administrators do.
    pub(crate) fn copy_to(&self, directory: &Path) -> PathBuf {
        let file = directory.join(self.file.file_name().unwrap());
        run(Command::new("cp").arg(&self.file).arg(&file));
        file
    }
}

pub(crate) fn deb(name: &str, version: &str) -> Built {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    fs::write(root.join("file"), name).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Test <t@example.org>\nDescription: a test\n"
    );
    fs::write(root.join("DEBIAN/control"), control).unwrap();
    let file = home.path().join(format!("{name}_{version}_all.deb"));
    run(Command::new("dpkg-deb")
        .args(["--build", "--root-owner-group"])
        .arg(&root)
        .arg(&file));
    Built { _home: home, file }
}

/// A tar as an administrator makes it.
pub(crate) fn tar(file_name: &str) -> Built {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("opt")).unwrap();
    fs::write(home.path().join("opt/file"), file_name).unwrap();
    let file = home.path().join(file_name);
    run(Command::new("tar")
        .arg("-C")
        .arg(home.path())
        .arg("-caf")
        .arg(&file)
        .arg("opt"));
    Built { _home: home, file }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
