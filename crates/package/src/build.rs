//! Making packages: one description, written as an rpm, as a deb or as a tar.
//!
//! No packaging tools are run, and the same description gives the same bytes wherever they are made.

mod deb;
mod gzip;
mod rpm;
mod scriptlets;
mod tar;

use std::{
    io::{self, Write},
    path::Path,
};

pub use scriptlets::Scriptlets;

use crate::{Architecture, Kind, PackageName, PackageNameError};

/// What is to be a package. Texts are those of the package's header; a version and a release hold no `-`.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    /// Its name.
    pub name: &'a str,
    /// What upstream calls the version.
    pub version: &'a str,
    /// Which packaging of that version.
    pub release: &'a str,
    /// What it runs on, unless that is anything.
    pub architecture: Option<Architecture>,
    /// One line that says what it is.
    pub summary: &'a str,
    /// Some lines that say more.
    pub description: &'a str,
    /// The licence, as SPDX writes it.
    pub license: &'a str,
    /// `Name <address>` of who answers for it.
    pub maintainer: &'a str,
    /// When everything in it was last changed, in seconds since 1970.
    pub modified: u32,
    /// Names of the packages that are installed along with it, where there are such, unless somebody objects. A tar
    /// brings none.
    pub recommends: &'a [&'a str],
    /// Its files. A directory stands here only if it is the package's own, not one that it shares.
    pub members: Vec<Member<'a>>,
    /// What runs as it comes and goes. A tar runs nothing.
    pub scriptlets: Scriptlets<'a>,
}

/// Something that a package brings, owned by root, at an absolute path.
#[derive(Clone, Copy, Debug)]
pub enum Member<'a> {
    /// A directory.
    Directory {
        /// Its path.
        path: &'a str,
        /// Its permissions.
        mode: u16,
    },
    /// A file.
    File {
        /// Its path.
        path: &'a str,
        /// Its permissions.
        mode: u16,
        /// What is in it.
        bytes: &'a [u8],
        /// Whether administrators edit it: their version outlives an upgrade.
        config: bool,
    },
    /// A symbolic link.
    Symlink {
        /// Its path.
        path: &'a str,
        /// What it points to.
        target: &'a str,
    },
}

/// Why no package can be made of this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Its name is none.
    #[error(transparent)]
    Name(#[from] PackageNameError),
    /// A member lies at no absolute path.
    #[error("{0:?} is no place for a file: expected an absolute path without . and .. in it")]
    Path(String),
    /// It does not fit into an rpm.
    #[error("cannot make an rpm: {0}")]
    Rpm(#[from] ::rpm::Error),
    /// It does not fit into an archive.
    #[error("cannot make an archive: {0}")]
    Archive(#[from] io::Error),
}

impl Contents<'_> {
    /// The whole package.
    ///
    /// # Errors
    /// A path is not absolute, or a name or a text does not fit into such a package.
    pub fn build(&self, kind: Kind) -> Result<Vec<u8>, BuildError> {
        let mut package = Vec::new();
        self.write(kind, &mut package)?;
        Ok(package)
    }

    /// Writes the whole package.
    ///
    /// # Errors
    /// As [`build`](Self::build), or `out` fails.
    pub fn write(&self, kind: Kind, out: &mut impl Write) -> Result<(), BuildError> {
        self.name.parse::<PackageName>()?;
        for member in &self.members {
            relative(member.path())?;
        }
        match kind {
            Kind::Rpm => rpm::write(self, out),
            Kind::Deb => deb::write(self, out),
            Kind::Tar => tar::write(self, out),
        }
    }

    /// What the file of the package is called by custom.
    #[must_use]
    pub fn file_name(&self, kind: Kind) -> String {
        let Self {
            name,
            version,
            release,
            ..
        } = self;
        let architecture = self.architecture_name(kind);
        match kind {
            Kind::Rpm => format!("{name}-{version}-{release}.{architecture}.rpm"),
            Kind::Deb => format!("{name}_{version}-{release}_{architecture}.deb"),
            Kind::Tar => format!("{name}-{version}-{release}.{architecture}.tar.gz"),
        }
    }

    fn architecture_name(&self, kind: Kind) -> String {
        match (self.architecture, kind) {
            (Some(architecture), Kind::Deb) => architecture.debian_name().to_owned(),
            (Some(architecture), Kind::Rpm | Kind::Tar) => architecture.to_string(),
            (None, Kind::Deb) => "all".to_owned(),
            (None, Kind::Rpm | Kind::Tar) => "noarch".to_owned(),
        }
    }
}

impl<'a> Member<'a> {
    fn path(&self) -> &'a str {
        match self {
            Self::Directory { path, .. } | Self::File { path, .. } | Self::Symlink { path, .. } => {
                path
            }
        }
    }
}

/// A path as archives have it: seen from the root.
fn relative(path: &str) -> Result<&Path, BuildError> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    match path.strip_prefix('/') {
        Some(inside) if inside.split('/').all(plain) => Ok(Path::new(inside)),
        _ => Err(BuildError::Path(path.to_owned())),
    }
}
