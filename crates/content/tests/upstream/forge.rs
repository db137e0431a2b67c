//! Repositories to fetch from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A bare repository, written to through a working copy.
pub(crate) struct Forge {
    work: tempfile::TempDir,
    bare: PathBuf,
}

impl Forge {
    /// Makes the repository `bare`, with the file `site.ign` on the branch `main`.
    pub(crate) fn new(bare: &Path) -> Self {
        let forge = Self {
            work: tempfile::tempdir().unwrap(),
            bare: bare.to_owned(),
        };
        git(
            Path::new("/"),
            &[
                "init",
                "--quiet",
                "--bare",
                "-b",
                "main",
                bare.to_str().unwrap(),
            ],
        );
        git(forge.work.path(), &["init", "--quiet", "-b", "main"]);
        forge.commit("site.ign", "{\"on\": \"main\"}");
        forge
    }

    /// Commits the file on the present branch, and gives the commit.
    pub(crate) fn commit(&self, name: &str, content: &str) -> String {
        let path = self.work.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self.commit_all()
    }

    pub(crate) fn commit_all(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", "change"]);
        self.push();
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the working copy.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(self.work.path(), arguments)
    }

    pub(crate) fn push(&self) {
        self.git(&[
            "push",
            "--quiet",
            "--force",
            "--all",
            self.bare.to_str().unwrap(),
        ]);
        self.git(&[
            "push",
            "--quiet",
            "--force",
            "--tags",
            self.bare.to_str().unwrap(),
        ]);
    }

    pub(crate) fn configure(&self, key: &str, value: &str) {
        git(&self.bare, &["config", key, value]);
    }

    pub(crate) fn work(&self) -> &Path {
        self.work.path()
    }

    pub(crate) fn bare(&self) -> &Path {
        &self.bare
    }
}

/// Where git's own programs are.
pub(crate) fn exec_path() -> PathBuf {
    git(Path::new("/"), &["--exec-path"]).into()
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args([
            "-c",
            "user.name=Forge",
            "-c",
            "user.email=forge@example.org",
        ])
        .args(arguments)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
