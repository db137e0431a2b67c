//! Packages larger than memory: they pass through, whichever way they go.

use std::fs::{self, File};
use std::process::Command;

use crate::built::{have, noise, package, succeed};
use crate::head::{Head, until};

const MIB: u64 = 1 << 20;

/// The most that a head may take beside what it takes when it has nothing to do.
const MOST: u64 = 32 * MIB;

impl Head {
    /// The most memory that it has taken while this was done, beside what it took before.
    fn memory_of(&self, work: impl FnOnce()) -> u64 {
        let process = format!("/proc/{}", self.pid().as_raw_nonzero());
        // The peak from now on (proc(5)).
        fs::write(format!("{process}/clear_refs"), "5").unwrap();
        let status = |field: &str| {
            let status = fs::read_to_string(format!("{process}/status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
            kib.parse::<u64>().unwrap() * 1024
        };
        let idle = status("VmRSS:");
        work();
        status("VmHWM:").saturating_sub(idle)
    }
}

/// Writes the tar of a file full of zeros, which takes hardly any room on the disk.
fn sparse_tar(head: &Head, name: &str, size: u64) -> std::path::PathBuf {
    let zeros = head.path("zeros");
    File::create(&zeros).unwrap().set_len(size).unwrap();
    let file = head.path(name);
    // The header of its only member, to which zeros are added: those of the file, and those that end a tar.
    let mut header = Command::new("sh");
    header.args(["-c", "tar -cf - -C \"$0\" zeros | head -c 512 >\"$1\""]);
    succeed(header.arg(head.path("")).arg(&file));
    let tar = File::options().write(true).open(&file).unwrap();
    tar.set_len(size + 3 * 512).unwrap();
    file
}

#[test]
fn a_download_takes_no_memory() {
    if !have(&["tar"]) {
        return;
    }
    let size = 1024 * MIB;
    let mut head = Head::stopped("");
    fs::create_dir_all(head.packages("tar")).unwrap();
    let tar = sparse_tar(&head, "huge-1.tar", size);
    fs::rename(tar, head.packages("tar/huge-1.tar")).unwrap();
    head.start_again();
    head.wait_for_packages(&["tar/huge-1.tar"]);
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "--noproxy", "*", "-o", "/dev/null"]);
    curl.args(["--write-out", "%{size_download}"]);
    curl.arg(head.url("/download/tar/huge-1.tar"));
    let memory = head.memory_of(|| {
        assert_eq!(succeed(&mut curl), (size + 3 * 512).to_string());
    });
    assert!(memory < MOST, "{} KiB", memory >> 10);
}

#[test]
fn an_upload_takes_no_memory() {
    if !have(&["tar"]) {
        return;
    }
    let head = Head::start();
    let tar = sparse_tar(&head, "huge-1.tar", 256 * MIB);
    let memory = head.memory_of(|| {
        head.cli(["package", "add", tar.to_str().unwrap()]);
    });
    assert!(memory < MOST, "{} KiB", memory >> 10);
    assert!(head.package("tar/huge-1.tar").is_some());
}

#[test]
fn a_conversion_takes_little_memory() {
    if !have(&["rpmbuild"]) {
        return;
    }
    let head = Head::start();
    let content = noise(8 << 20);
    package("large", "1-1", "noarch")
        .with_content(&content)
        .rpm(&head.packages("rpm"));
    until("it is listed", || head.package("rpm/large-1-1.noarch.rpm"));
    let memory = head.memory_of(|| {
        assert_eq!(head.get("/download/tar/large").status, 200);
    });
    assert!(memory < 16 * MIB, "{} KiB", memory >> 10);
}
