//! Tar archives as packages: unlike the others they have no header of their own.

mod blocks;
mod expansion;
mod file_name;
pub(crate) mod member;
pub(crate) mod note;

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use self::expansion::{Packed, Unpacked};
use self::note::Note;
use crate::Identity;
use crate::compression::Compression;
use crate::rpm::Excess;

/// What is known of a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tar {
    /// Who it is: by the note that [`rpm::to_tar`](crate::rpm::to_tar) leaves in it, else by its file name.
    pub identity: Identity,
    /// The SHA-256 of the rpm it was made of, by the same note.
    pub made_of: Option<[u8; 32]>,
    /// The scriptlets of that rpm.
    pub scriptlets: Vec<String>,
}

/// Why this is no tar that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// It ends before its end, as one that is still being copied.
    #[error("cut short, or still being written")]
    Truncated,
    /// It is neither a tar nor one that gzip, xz, zstd or bzip2 compressed.
    #[error("not a tar")]
    NotTar,
    /// It was a tar once.
    #[error("damaged: {0}")]
    Damaged(String),
    /// It unpacks to more than is allowed.
    #[error("{0}")]
    TooLarge(Excess),
    /// Its file name does not say what it is.
    #[error(
        "{0:?} does not say what package it is: name it NAME-VERSION-RELEASE.ARCHITECTURE.tar.gz"
    )]
    Nameless(String),
    /// It cannot be read.
    #[error("cannot read the tar: {0}")]
    Read(#[source] io::Error),
}

/// Reads a whole archive, a little at a time, and checks that it is whole. `file_name` says who it is where the archive
/// cannot.
///
/// # Errors
/// It is damaged, cut short, too large, no tar, or its name says nothing.
pub fn read(archive: impl Read, file_name: &str) -> Result<Tar, TarError> {
    let packed = Cell::new(0);
    let mut archive = BufReader::with_capacity(64 << 10, Packed::new(archive, &packed));
    let beginning = archive.fill_buf().map_err(TarError::Read)?;
    let note = note_in(beginning);
    let tar = match note {
        Some(note) => Tar {
            identity: note.rpm.identity,
            made_of: Some(note.made_of),
            scriptlets: note.rpm.scriptlets,
        },
        None => Tar {
            identity: file_name::identity(file_name)?,
            made_of: None,
            scriptlets: Vec::new(),
        },
    };
    let decoder = Compression::of(beginning).decoder(&mut archive);
    let unpacked = Unpacked::new(decoder.map_err(TarError::Read)?, &packed);
    blocks::check(unpacked)?;
    Ok(tar)
}

/// The note in the header of a gzip member.
fn note_in(beginning: &[u8]) -> Option<Note> {
    let gzip = GzDecoder::new(beginning);
    str::from_utf8(gzip.header()?.comment()?).ok()?.parse().ok()
}
