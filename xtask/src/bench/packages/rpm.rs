//! Rpms with many files, made by rpmbuild.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::content::Content;

const MEGABYTE: usize = 1_000_000;
/// No file is longer; the average is a quarter of it.
const LONGEST: usize = 60_000;
/// How many files lie in one directory.
const FILES: usize = 100;

/// An rpm to make.
#[derive(Clone, Copy)]
pub(crate) struct Rpm {
    /// Bytes of its files together.
    pub size: usize,
    pub payload: Payload,
}

/// How an rpm's payload is compressed.
#[derive(Clone, Copy)]
pub(crate) struct Payload {
    name: &'static str,
    /// As rpmbuild is told.
    macro_value: &'static str,
}

pub(crate) const GZIP: Payload = Payload {
    name: "gzip",
    macro_value: "w9.gzdio",
};
pub(crate) const ZSTD: Payload = Payload {
    name: "zstd",
    macro_value: "w3.zstdio",
};

impl fmt::Display for Rpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (megabytes, payload) = (self.size / MEGABYTE, self.payload.name);
        write!(f, "an rpm of {megabytes} MB in {payload}")
    }
}

/// One that is made.
pub(crate) struct MadeRpm {
    pub rpm: Rpm,
    pub file_name: String,
    pub path: PathBuf,
    pub files: usize,
    /// Bytes.
    pub length: u64,
}

impl Rpm {
    /// Makes it in this directory.
    pub(crate) fn make(self, directory: &Path) -> Result<MadeRpm> {
        let name = format!("bench-{}-{}", self.size / MEGABYTE, self.payload.name);
        let work = directory.join(&name);
        let files = write_files(&work.join("content"), self.size)?;
        let spec = work.join("bench.spec");
        fs::write(&spec, spec_of(&name, &work, self.payload))?;
        let output = Command::new("rpmbuild")
            .args(["-bb", "--quiet"])
            .arg(&spec)
            // Whoever measures may have macros of his own there.
            .env("HOME", &work)
            .output()
            .context("cannot run rpmbuild")?;
        ensure!(
            output.status.success(),
            "rpmbuild failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let file_name = format!("{name}-1.0-1.noarch.rpm");
        let path = directory.join(&file_name);
        fs::rename(work.join(&file_name), &path)?;
        fs::remove_dir_all(work)?;
        let length = fs::metadata(&path)?.len();
        Ok(MadeRpm {
            rpm: self,
            file_name,
            path,
            files,
            length,
        })
    }
}

/// Writes texts and binary files in turn, with `size` bytes altogether; returns how many.
fn write_files(directory: &Path, size: usize) -> Result<usize> {
    let mut content = Content::new();
    let (mut files, mut left) = (0, size);
    while left > 0 {
        let length = content.length(LONGEST).min(left);
        let bytes = match files % 2 {
            0 => content.text(length),
            _ => content.binary(length),
        };
        let directory = directory.join(format!("d{}", files / FILES));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("file-{files}")), bytes)?;
        files += 1;
        left -= length;
    }
    Ok(files)
}

fn spec_of(name: &str, work: &Path, payload: Payload) -> String {
    let work = work.display();
    let payload = payload.macro_value;
    format!(
        "%global _topdir {work}
%global _rpmdir {work}
%global _rpmfilename %{{name}}-%{{version}}-%{{release}}.%{{arch}}.rpm
%global _binary_payload {payload}
%global __os_install_post %{{nil}}
Name: {name}
Version: 1.0
Release: 1
Summary: Many files
License: Apache-2.0
BuildArch: noarch
AutoReqProv: no

%description
Many files.

%install
mkdir -p %{{buildroot}}/opt
cp -a {work}/content %{{buildroot}}/opt/bench

%files
/opt/bench
"
    )
}
