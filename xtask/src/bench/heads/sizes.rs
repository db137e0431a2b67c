//! What a cluster takes on the heads' disks and in their memory.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::cluster::Heads;
use crate::bench::process;

/// What one head takes.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Bytes of etcd's database.
    pub(crate) etcd: u64,
    /// Bytes of etcd's log of changes and of its snapshots.
    pub(crate) etcd_log: u64,
    /// Bytes of the head's own copy.
    pub(crate) replica: u64,
    /// Resident memory of the head, in KiB.
    pub(crate) head_memory: u64,
    /// Resident memory of its etcd, in KiB.
    pub(crate) etcd_memory: u64,
}

impl Sizes {
    /// Of the head with this number, when it has nothing to do.
    pub(crate) fn of(heads: &Heads<'_>, number: usize) -> Result<Self> {
        let process = heads.head(number)?.process();
        process.settle()?;
        let (mut etcd, mut etcd_log) = (0, 0);
        each_file(&heads.data(number).join("etcd"), &mut |file, length| {
            if file.ends_with("snap/db") {
                etcd += length;
            } else {
                etcd_log += length;
            }
        })?;
        let mut replica = 0;
        each_file(&heads.data(number), &mut |file, length| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("pilotlight.db") {
                replica += length;
            }
        })?;
        let of_etcd = process.children("etcd")?;
        Ok(Self {
            etcd,
            etcd_log,
            replica,
            head_memory: process.resident()?,
            etcd_memory: of_etcd
                .into_iter()
                .map(process::resident)
                .sum::<Result<_>>()?,
        })
    }
}

/// Calls `see` with each file below a directory, and its length.
fn each_file(directory: &Path, see: &mut impl FnMut(&Path, u64)) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        // A file may go while others are looked at.
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        if found.is_dir() {
            each_file(&path, see)?;
        } else {
            see(&path, found.len());
        }
    }
    Ok(())
}
