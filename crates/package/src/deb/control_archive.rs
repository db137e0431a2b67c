//! The control archive: a small tar with the control file among scripts and lists.

use std::io::{self, BufReader, Read};

use tar::Archive;

use super::{Control, DebError, unexpected};
use crate::compression::Compression;

/// How large the control file may be.
const MAX_CONTROL: u64 = 1 << 20;
/// How large the archive may be: it holds a checksum of each file of the package.
const MAX_ARCHIVE: u64 = 64 << 20;

/// As the name of the member says.
pub(super) fn compression(name: &str) -> Result<Compression, DebError> {
    match name {
        "control.tar" => Ok(Compression::None),
        "control.tar.gz" => Ok(Compression::Gzip),
        "control.tar.xz" => Ok(Compression::Xz),
        "control.tar.zst" => Ok(Compression::Zstd),
        _ => Err(unexpected(
            name,
            "control.tar, or this with .gz, .xz or .zst,",
        )),
    }
}

/// Reads all of the archive, so that a damaged one is found to be, and gives the control file.
pub(super) fn read(compression: Compression, archive: impl Read) -> Result<Control, DebError> {
    let unpacked = compression.decoder(BufReader::new(archive));
    read_tar(unpacked.map_err(DebError::ControlArchive)?)
}

fn read_tar(archive: impl Read) -> Result<Control, DebError> {
    let mut archive = archive.take(MAX_ARCHIVE);
    let control = find_control(&mut archive);
    if archive.limit() == 0 {
        return Err(DebError::TooLarge {
            what: "control archive",
            limit: MAX_ARCHIVE,
        });
    }
    let control = control?;
    // The checksum of what was compressed is at the end.
    io::copy(&mut archive, &mut io::sink()).map_err(DebError::ControlArchive)?;
    control.parse().map_err(DebError::Damaged)
}

fn find_control(archive: impl Read) -> Result<String, DebError> {
    let mut found = None;
    for entry in Archive::new(archive)
        .entries()
        .map_err(DebError::ControlArchive)?
    {
        let mut entry = entry.map_err(DebError::ControlArchive)?;
        let path = entry.path_bytes();
        if path.strip_prefix(b"./").unwrap_or(&path) != b"control" {
            continue;
        }
        if entry.size() > MAX_CONTROL {
            return Err(DebError::TooLarge {
                what: "control file",
                limit: MAX_CONTROL,
            });
        }
        let mut control = Vec::new();
        entry
            .read_to_end(&mut control)
            .map_err(DebError::ControlArchive)?;
        // Unpacked over each other, the last would win, but some read the first.
        if found.replace(control).is_some() {
            return Err(DebError::Damaged("it has two control files".to_owned()));
        }
    }
    let control = found.ok_or_else(|| DebError::Damaged("it has no control file".to_owned()))?;
    // An old package may have the name of its maintainer in another encoding: no reason not to install it.
    Ok(String::from_utf8_lossy(&control).into_owned())
}
