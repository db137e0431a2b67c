//! Who a package is.

use std::fmt;

use crate::{PackageArchitecture, PackageName, Version};

/// Who a package is, by its own header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// What it is made for.
    pub architecture: PackageArchitecture,
}

/// `name-[epoch:]version[-release].architecture`, as rpm writes it.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            version,
            architecture,
        } = self;
        write!(f, "{name}-{version}.{architecture}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_written_as_rpm_does() {
        let identity = Identity {
            name: "bash".parse().unwrap(),
            version: "1:5.2-3.el9".parse().unwrap(),
            architecture: PackageArchitecture::noarch(),
        };
        assert_eq!(identity.to_string(), "bash-1:5.2-3.el9.noarch");
    }
}
