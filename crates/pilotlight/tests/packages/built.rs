//! Packages as the real rpmbuild and dpkg-deb build them.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use crate::head::have;
use crate::head::run;

/// What a package is to be. It holds the one file `/usr/share/NAME/content`.
#[derive(Clone, Copy)]
pub(crate) struct Package<'a> {
    name: &'a str,
    /// `[EPOCH:]VERSION-RELEASE`
    version: &'a str,
    architecture: &'a str,
    content: &'a [u8],
    /// For an rpm, as its spec file has them.
    scriptlets: &'a str,
}

/// A small package.
pub(crate) fn package<'a>(name: &'a str, version: &'a str, architecture: &'a str) -> Package<'a> {
    Package {
        name,
        version,
        architecture,
        content: version.as_bytes(),
        scriptlets: "",
    }
}

impl<'a> Package<'a> {
    pub(crate) fn with_content(self, content: &'a [u8]) -> Self {
        Self { content, ..self }
    }

    pub(crate) fn with_scriptlets(self, scriptlets: &'a str) -> Self {
        Self { scriptlets, ..self }
    }

    /// Builds an rpm and puts it into this directory, as `NAME-VERSION-RELEASE.ARCHITECTURE.rpm`.
    pub(crate) fn rpm(&self, directory: &Path) -> PathBuf {
        let Self {
            name,
            version,
            architecture,
            scriptlets,
            ..
        } = self;
        let (epoch, version) = version.split_once(':').unwrap_or(("0", version));
        let (version, release) = version.rsplit_once('-').unwrap();
        let top = tempfile::tempdir().unwrap();
        let tree = top.path().join("tree");
        self.write_content(&tree);
        let spec = format!(
            "Name: {name}\nEpoch: {epoch}\nVersion: {version}\nRelease: {release}\n\
             Summary: {name}\nLicense: MIT\nAutoReqProv: no\n\
             %global __os_install_post %{{nil}}\n\
             %description\n{name}\n\
             %install\ncp -r {tree}/. %{{buildroot}}\n\
             %files\n/usr/share/{name}\n{scriptlets}\n",
            tree = tree.display()
        );
        let spec_file = top.path().join("package.spec");
        fs::write(&spec_file, spec).unwrap();
        let mut rpmbuild = Command::new("rpmbuild");
        rpmbuild.args(["-bb", "--quiet", "--target", architecture]);
        for macros in [
            format!("_topdir {}", top.path().display()),
            "_binary_payload w.ufdio".to_owned(),
        ] {
            rpmbuild.args(["--define", &macros]);
        }
        succeed(rpmbuild.arg(spec_file));
        let file = format!("{name}-{version}-{release}.{architecture}.rpm");
        let built = top.path().join("RPMS").join(architecture).join(&file);
        put(&built, directory, &file)
    }

    /// Builds a Debian package and puts it into this directory, as `NAME_VERSION_ARCHITECTURE.deb`.
    pub(crate) fn deb(&self, directory: &Path) -> PathBuf {
        let Self {
            name,
            version,
            architecture,
            ..
        } = self;
        let top = tempfile::tempdir().unwrap();
        let tree = top.path().join("tree");
        self.write_content(&tree);
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n\
             Maintainer: Nobody <nobody@example.org>\nDescription: {name}\n"
        );
        fs::create_dir(tree.join("DEBIAN")).unwrap();
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let version = version.split_once(':').map_or(*version, |(_, rest)| rest);
        let file = format!("{name}_{version}_{architecture}.deb");
        let built = top.path().join(&file);
        let mut dpkg_deb = Command::new("dpkg-deb");
        dpkg_deb.args(["--build", "--root-owner-group", "-Znone"]);
        succeed(dpkg_deb.args([&tree, &built]));
        put(&built, directory, &file)
    }

    fn write_content(&self, tree: &Path) {
        let directory = tree.join("usr/share").join(self.name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("content"), self.content).unwrap();
    }
}

fn put(built: &Path, directory: &Path, file: &str) -> PathBuf {
    fs::create_dir_all(directory).unwrap();
    let placed = directory.join(file);
    fs::copy(built, &placed).unwrap();
    placed
}

/// Bytes that no program compresses, the same each time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let eights = std::iter::repeat_with(&mut next).take(length.div_ceil(8));
    let mut bytes: Vec<u8> = eights.flatten().collect();
    bytes.truncate(length);
    bytes
}

/// The SHA-256 of a file in hex, as coreutils sees it.
pub(crate) fn sha256sum(file: &Path) -> String {
    let output = succeed(Command::new("sha256sum").arg(file));
    output[..64].to_owned()
}

/// Runs a program that is expected to succeed: its standard output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
