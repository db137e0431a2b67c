//! Client packages, from the directories they are put into to the clients that download them.
#![allow(clippy::unwrap_used)]

mod built;
mod conversions;
mod downloads;
#[path = "../../../package/tests/forge/mod.rs"]
mod forge;
#[path = "../head/mod.rs"]
mod head;
mod management;
mod memory;

use std::fs;
use std::path::{Path, PathBuf};

use head::{Head, until};
// For what `forge` makes.
use serde_json::Value;
use {md5 as _, sha1 as _, sha3 as _};

impl Head {
    /// The directory of the packages of a kind.
    fn packages(&self, kind: &str) -> PathBuf {
        self.data().join("clientpkgs").join(kind)
    }

    /// Waits until these files (`rpm/NAME.rpm`) are listed as they are now.
    fn wait_for_packages(&self, files: &[&str]) {
        for file in files {
            let on_disk = fs::metadata(self.packages(file)).unwrap().len();
            until(&format!("{file} is listed"), || {
                let listed = self.package(file)?;
                (listed["size"] == on_disk).then_some(())
            });
        }
    }

    /// What is listed of a file.
    fn package(&self, file: &str) -> Option<Value> {
        let reply = self.api("GET", &format!("/packages/{file}"), None);
        (reply.status == 200).then(|| reply.data())
    }
}

/// All files below a directory, hidden ones as well, by their paths below it.
fn files_below(directory: &Path) -> Vec<String> {
    let (mut waiting, mut found) = (vec![directory.to_owned()], Vec::new());
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else {
                let path = entry.path();
                let below = path.strip_prefix(directory).unwrap();
                found.push(below.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
