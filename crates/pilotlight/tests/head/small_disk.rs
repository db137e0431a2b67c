//! A disk that is full soon.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use super::{run, skip};

/// A small file system in memory, mounted until this is dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, loudly, where nothing can be mounted.
    pub(crate) fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let options = format!("size={size},mode=755");
        let output = run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&at));
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            skip(&format!("a full disk: cannot mount one: {said}"));
            return None;
        }
        Some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

/// Writes to a new file until there is no room for one more byte.
pub(crate) fn fill(path: PathBuf) {
    let mut filler = File::create(path).unwrap();
    for size in [1 << 20, 1 << 12, 1] {
        while filler.write_all(&vec![0; size]).is_ok() {}
    }
}
