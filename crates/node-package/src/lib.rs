//! The package that nodes install, `pilotlight-node`: an agent that reports to its head.
//!
//! The head makes it itself, of files that are part of the program. So every head has the one of its own version, and
//! needs neither tools nor downloads for that.

mod contents;
mod fill;

use package::Kind;
use package::build::BuildError;
use sha2::{Digest, Sha256};

pub use fill::{FillError, fill};

/// The node package in one form.
#[derive(Clone, Debug)]
pub struct Made {
    /// Which form.
    pub kind: Kind,
    /// What its file is called.
    pub file_name: String,
    /// The whole file.
    pub bytes: Vec<u8>,
}

impl Made {
    /// The SHA-256 of the file, in hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256(&self.bytes)
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The node package of this version, in all its forms. The bytes are the same on every machine whose clock is not years
/// slow.
///
/// # Errors
/// None that the tests of this crate would not have met: what is in it is constant.
pub fn packages() -> Result<[Made; 3], BuildError> {
    let version = contents::version();
    let agent = contents::agent(&version);
    let contents = contents::contents(&version, &agent);
    let made = |kind| {
        contents.build(kind).map(|bytes| Made {
            kind,
            file_name: contents.file_name(kind),
            bytes,
        })
    };
    Ok([made(Kind::Rpm)?, made(Kind::Deb)?, made(Kind::Tar)?])
}
