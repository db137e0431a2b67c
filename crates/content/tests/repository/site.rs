//! A directory of packages, its repositories, and what a head would serve of both.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use content::packages::{Entry, Package, PackageFile, Repository, SigningKey};
use content::{FileName, FileRoot, Sha256Digest};
use package::{Identity, Kind};

pub(crate) struct Site {
    home: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self {
            home: tempfile::tempdir().unwrap(),
        };
        for kind in ["rpm", "deb"] {
            fs::create_dir_all(site.packages(kind)).unwrap();
        }
        site
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    pub(crate) fn packages(&self, kind: &str) -> PathBuf {
        self.path("packages").join(kind)
    }

    pub(crate) fn repository(&self, signing: Option<SigningKey>) -> Repository {
        Repository::new(self.path("repo"), self.path("packages"), signing)
    }

    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        let kinds = [Kind::Rpm, Kind::Deb];
        kinds.map(|kind| self.entries_of(kind)).concat()
    }

    fn entries_of(&self, kind: Kind) -> Vec<Arc<Entry>> {
        let directory = self.packages(&kind.to_string());
        let root = FileRoot::open(&directory).unwrap();
        files(&directory)
            .iter()
            .map(|path| {
                let name = path.strip_prefix(&directory).unwrap().to_str().unwrap();
                let name: FileName = name.parse().unwrap();
                let content = fs::read(path).unwrap();
                Arc::new(Entry {
                    file_id: root.stat(&name).unwrap(),
                    file: PackageFile::new(kind, name).unwrap(),
                    content: Ok(Package {
                        identity: identity(kind, &content),
                        sha256: Sha256Digest::of(&content),
                        scriptlets: Vec::new(),
                        made_of: None,
                    }),
                })
            })
            .collect()
    }

    /// The directory that a client takes packages and index from.
    pub(crate) fn served(&self, kind: &str) -> PathBuf {
        let served = self.path("served").join(kind);
        let _ = fs::remove_dir_all(&served);
        fs::create_dir_all(&served).unwrap();
        for directory in [self.packages(kind), self.path("repo").join(kind)] {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                symlink(&path, served.join(path.file_name().unwrap())).unwrap();
            }
        }
        served
    }

    /// Builds `NAME-VERSION-1.noarch.rpm`; `spec` may add to its preamble, and then sections.
    pub(crate) fn add_rpm(&self, name: &str, version: &str, spec: &str) {
        let spec = format!(
            "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: {name}\nLicense: MIT\nBuildArch: noarch\n{spec}"
        );
        let file = self.path("spec");
        fs::write(&file, spec).unwrap();
        let directory = self.packages("rpm").display().to_string();
        run("rpmbuild", |rpmbuild| {
            rpmbuild.args([
                "-bb",
                "--quiet",
                "--define",
                "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
            ]);
            rpmbuild.args(["--define", &format!("_rpmdir {directory}")]);
            rpmbuild.args([
                "--define",
                &format!("_topdir {}", self.path("build").display()),
            ]);
            rpmbuild.arg(&file)
        });
    }

    /// Builds `NAME_VERSION.deb` in the directory.
    pub(crate) fn add_deb(&self, name: &str, version: &str, fields: &str) {
        let tree = self.path("tree");
        let _ = fs::remove_dir_all(&tree);
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.com>\n{fields}Description: {name}\n long\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let file = self.packages("deb").join(format!("{name}_{version}.deb"));
        run("dpkg-deb", |dpkg_deb| {
            dpkg_deb.args(["--root-owner-group", "--build"]);
            dpkg_deb.arg(&tree).arg(&file)
        });
    }
}

/// All files below the directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn identity(kind: Kind, package: &[u8]) -> Identity {
    if kind == Kind::Deb {
        return package::deb::read(package).unwrap().identity;
    }
    let package = std::io::Cursor::new(package);
    package::rpm::read(package).unwrap().identity
}

/// A web server of a directory, on loopback.
pub(crate) struct WebServer {
    server: Child,
    pub(crate) url: String,
}

impl WebServer {
    pub(crate) fn start(directory: &Path) -> Self {
        let mut command = Command::new("python3");
        command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]);
        command.arg("--directory").arg(directory);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().unwrap();
        // "Serving HTTP on 127.0.0.1 port 1234 (http://127.0.0.1:1234/) ..."
        let mut told = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut told)
            .unwrap();
        let url = told.split(['(', ')']).nth(1).unwrap().to_owned();
        Self { server, url }
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A key of its own for the test, and the agent that gpg starts for it.
pub(crate) struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    pub(crate) fn with_key(user: &str) -> Self {
        // Short: the agent's socket is in it.
        let gpg = Self {
            home: tempfile::Builder::new()
                .prefix("gpg")
                .tempdir_in("/tmp")
                .unwrap(),
        };
        run("gpg", |command| {
            command.env("GNUPGHOME", gpg.home.path());
            command.args([
                "--batch",
                "--passphrase",
                "",
                "--quick-gen-key",
                user,
                "rsa2048",
            ])
        });
        gpg
    }

    pub(crate) fn key(&self, key: &str) -> SigningKey {
        SigningKey {
            key: key.to_owned(),
            gnupg_home: self.home.path().to_owned(),
        }
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let mut kill = Command::new("gpgconf");
        kill.env("GNUPGHOME", self.home.path());
        let _ = kill.args(["--kill", "all"]).status();
    }
}

/// Whether all of them are installed. Says so loudly if not.
pub(crate) fn are_installed(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = programs.iter().find(|program| {
        let mut directories = std::env::split_paths(&path);
        !directories.any(|directory| directory.join(program).is_file())
    });
    if let Some(missing) = missing {
        eprintln!("SKIPPED: {missing} is not installed");
    }
    missing.is_none()
}

/// Runs the program, which must succeed, and gives what it prints.
pub(crate) fn run(program: &str, with: impl FnOnce(&mut Command) -> &mut Command) -> String {
    let mut command = Command::new(program);
    let output = with(command.env("LC_ALL", "C")).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {printed}{complaint}");
    printed
}
