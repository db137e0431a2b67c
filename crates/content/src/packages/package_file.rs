//! The name of a file among the packages.

use std::fmt;

use package::Kind;

use super::PackagesError;
use crate::FileName;

/// A file among the packages: `rpm/telegraf-1.30-1.x86_64.rpm`, `deb/site/tool.deb`.
///
/// Its name ends as those of its kind do, and neither it nor a directory on the way is hidden: rsync and others write
/// to hidden files until they are whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageFile {
    kind: Kind,
    name: FileName,
}

impl PackageFile {
    /// The file `name` in the directory of `kind`.
    ///
    /// # Errors
    /// [`PackagesError::NotPackageFile`]
    pub fn new(kind: Kind, name: FileName) -> Result<Self, PackagesError> {
        let is_hidden = name.as_str().split('/').any(|part| part.starts_with('.'));
        if is_hidden
            || !endings(kind)
                .iter()
                .any(|ending| name.as_str().ends_with(ending))
        {
            return Err(PackagesError::NotPackageFile { kind, name });
        }
        Ok(Self { kind, name })
    }

    /// Its packaging system, which is also the directory it is in.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its path below that directory.
    #[must_use]
    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// The last part of its path.
    #[must_use]
    pub fn base_name(&self) -> &str {
        self.name.split().1
    }
}

/// Its path below the directory of all packages.
impl fmt::Display for PackageFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// How the file names of a kind end.
pub(super) fn endings(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Rpm => &[".rpm"],
        Kind::Deb => &[".deb"],
        Kind::Tar => &[".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2"],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_of_the_kind_that_are_not_hidden_are_package_files() {
        let is_file = |kind, name: &str| PackageFile::new(kind, name.parse().unwrap()).is_ok();
        for (kind, name) in [
            (Kind::Rpm, "a.rpm"),
            (Kind::Rpm, "sub/b.c.rpm"),
            (Kind::Deb, "a_1_all.deb"),
            (Kind::Tar, "a.tar"),
            (Kind::Tar, "a.tgz"),
            (Kind::Tar, "a.tar.gz"),
            (Kind::Tar, "a.tar.zst"),
        ] {
            assert!(is_file(kind, name), "{name}");
        }
        for (kind, name) in [
            (Kind::Rpm, "a.deb"),
            (Kind::Rpm, "a.rpm.part"),
            (Kind::Rpm, ".a.rpm.Xy12ab"),
            (Kind::Rpm, ".a.rpm"),
            (Kind::Rpm, ".rsync-partial/a.rpm"),
            (Kind::Deb, "README"),
            (Kind::Tar, "a.zip"),
            (Kind::Tar, "a.gz"),
        ] {
            assert!(!is_file(kind, name), "{name}");
        }
        let error = PackageFile::new(Kind::Tar, "a.rpm".parse().unwrap()).unwrap_err();
        let said = "\"a.rpm\" cannot be the file of a tar package: expected a name that ends in .tar or .tar.gz or";
        assert!(error.to_string().starts_with(said), "{error}");
    }
}
