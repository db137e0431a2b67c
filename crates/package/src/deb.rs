//! Debian packages: an `ar` archive of a version, a control archive and the files (deb(5)).

mod ar;
mod control;
mod control_archive;

use std::io::{self, Read};

use crate::{Identity, PackageArchitectureError, PackageNameError, VersionError};

use ar::Ar;

pub use control::{Control, Field};

/// What the archive of files may be called: all that dpkg unpacks.
const DATA: [&str; 6] = [
    "data.tar",
    "data.tar.gz",
    "data.tar.xz",
    "data.tar.zst",
    "data.tar.bz2",
    "data.tar.lzma",
];

/// What a Debian package says of itself.
#[derive(Clone, Debug)]
pub struct Deb {
    /// Who it is.
    pub identity: Identity,
    /// All that its control file says.
    pub control: Control,
}

/// Why this is no Debian package that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebError {
    /// It begins like nothing that `dpkg-deb` writes.
    #[error(
        "it is no Debian package: it does not begin with \"!<arch>\" and a member debian-binary"
    )]
    NotDeb,
    /// It ends too early, as one does that is still being copied.
    #[error("it is cut short: it ends {0}")]
    Truncated(&'static str),
    /// dpkg of today would not read it either.
    #[error("it is in version {0:?} of the format: only 2 is known")]
    Format(String),
    /// It is not laid out as it should be.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Its control archive is no archive, or not compressed as its name says.
    #[error("it is damaged: its control archive cannot be unpacked: {0}")]
    ControlArchive(io::Error),
    /// More than any package needs.
    #[error("its {what} has more than {limit} bytes")]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// How much is read of it.
        limit: u64,
    },
    /// A field that every package has.
    #[error("its control file has no field {0}")]
    Missing(&'static str),
    /// It calls itself by no name.
    #[error("its control file has a bad name: {0}")]
    Name(#[from] PackageNameError),
    /// Its version is none.
    #[error("its control file has a bad version: {0}")]
    Version(#[from] VersionError),
    /// Its architecture is none.
    #[error("its control file has a bad architecture: {0}")]
    Architecture(#[from] PackageArchitectureError),
    /// Reading failed, which says nothing of the package.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
}

/// Reads a whole package, a little at a time, and checks that it is whole. What is in the archive of files is not looked
/// into.
///
/// # Errors
/// It is damaged, cut short, or no Debian package.
pub fn read(package: impl Read) -> Result<Deb, DebError> {
    let mut ar = Ar::open(package)?;
    let deb = read_beginning(&mut ar)?;
    let data = next_required(&mut ar, "before the archive of files")?;
    if !DATA.contains(&data.as_str()) {
        return Err(unexpected(&data, "data.tar"));
    }
    ar.skip("within the archive of files")?;
    // Whatever follows is for others, but it should be there.
    while ar.next()?.is_some() {
        ar.skip("within a member")?;
    }
    Ok(deb)
}

/// Reads only until the package has said who it is: for one that is known to be whole.
///
/// # Errors
/// As [`read`], as far as that.
pub fn read_control(package: impl Read) -> Result<Deb, DebError> {
    read_beginning(&mut Ar::open(package)?)
}

fn read_beginning<R: Read>(ar: &mut Ar<R>) -> Result<Deb, DebError> {
    check_format(ar)?;
    let name = next_required(ar, "before the control archive")?;
    let compression = control_archive::compression(&name)?;
    let control = control_archive::read(compression, &mut *ar);
    // An archive that is cut short is first of all that.
    ar.skip("within the control archive")?;
    let control = control?;
    Ok(Deb {
        identity: identity(&control)?,
        control,
    })
}

/// The first member says in which version of the format the others are: `2.0` and a newline.
fn check_format<R: Read>(ar: &mut Ar<R>) -> Result<(), DebError> {
    let name = ar
        .next()?
        .ok_or(DebError::Truncated("before debian-binary"))?;
    if name != "debian-binary" {
        return Err(DebError::NotDeb);
    }
    let mut format = String::new();
    let read = ar.by_ref().take(16).read_to_string(&mut format);
    ar.skip("within debian-binary")?;
    if read.is_err() || !format.starts_with("2.") || !format.contains('\n') {
        return Err(DebError::Format(format));
    }
    Ok(())
}

/// The name of the next member that dpkg would look at.
fn next_required<R: Read>(ar: &mut Ar<R>, missing: &'static str) -> Result<String, DebError> {
    loop {
        let name = ar.next()?.ok_or(DebError::Truncated(missing))?;
        if !name.starts_with('_') {
            return Ok(name);
        }
        ar.skip("within a member")?;
    }
}

fn identity(control: &Control) -> Result<Identity, DebError> {
    let value = |name| control.value(name).ok_or(DebError::Missing(name));
    Ok(Identity {
        name: value("Package")?.parse()?,
        version: value("Version")?.parse()?,
        architecture: value("Architecture")?.parse()?,
    })
}

fn unexpected(name: &str, expected: &str) -> DebError {
    DebError::Damaged(format!("there is {name:?} where {expected} should be"))
}
