//! RPM packages, versions 3, 4 and 6 of the format.
//!
//! Nothing of an rpm is trusted: `header` proves that what an index promises lies in the file, `files` that all that is
//! said of files is said of each, `tree` that each has one place below the root, and `conversion` that the payload holds
//! these files and no others, with the content that the digests promise.

mod capabilities;
mod conversion;
mod cpio;
mod digest;
mod error;
mod files;
mod hard_links;
mod header;
mod limits;
mod metadata;
mod sections;
mod tag;
mod tree;

pub use conversion::to_tar;
pub use digest::Algorithm;
pub use error::{Excess, Refusal, RpmError};
pub use limits::Limits;
pub use metadata::{
    Change, Comparison, Dependency, Evr, Metadata, OwnedPath, PathKind, Requirement, metadata,
};

use std::io::{Read, Seek};

use self::files::Files;
use self::sections::Sections;
use crate::Identity;

/// What an rpm says of itself in its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rpm {
    /// Who it is.
    pub identity: Identity,
    /// The kinds of scriptlets it would run, as spec files name their sections (`post`, `preun`, …). A tar runs none.
    pub scriptlets: Vec<String>,
}

/// Reads and checks the headers, and that the file is as long as they promise. Does not unpack it.
///
/// # Errors
/// It is damaged, cut short, no rpm, or of more files than any package has.
pub fn read(package: impl Read + Seek) -> Result<Rpm, RpmError> {
    let sections = Sections::read(package)?;
    let rpm = sections.rpm()?;
    Files::of(&sections.header, &Limits::default())?;
    Ok(rpm)
}
