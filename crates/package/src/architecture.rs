//! Processor architectures, by the names that the kernel, rpm and Debian use.

use std::fmt;
use std::str::FromStr;

/// An architecture that nodes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Architecture {
    /// 64-bit x86: `x86_64` or `amd64`.
    X86_64,
    /// 64-bit Arm: `aarch64` or `arm64`.
    Aarch64,
}

impl Architecture {
    /// As Debian calls it.
    #[must_use]
    pub fn debian_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

impl FromStr for Architecture {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "x86_64" | "amd64" => Ok(Self::X86_64),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            _ => Err("expected x86_64, amd64, aarch64 or arm64"),
        }
    }
}

/// As the kernel and rpm call it.
impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}

/// What a package says it is made for, in its own words: one or more letters, digits, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageArchitecture(String);

/// Why a text is no architecture of a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be the architecture of a package: expected letters, digits, _ and -")]
pub struct PackageArchitectureError(String);

impl PackageArchitecture {
    /// The architecture of a package that runs anywhere, as rpm writes it.
    #[must_use]
    pub fn noarch() -> Self {
        Self("noarch".to_owned())
    }

    /// As the package's header has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether such a package runs on `architecture`.
    #[must_use]
    pub fn runs_on(&self, architecture: Architecture) -> bool {
        matches!(self.as_str(), "noarch" | "all") || self.as_str().parse() == Ok(architecture)
    }
}

impl FromStr for PackageArchitecture {
    type Err = PackageArchitectureError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_sound) {
            return Err(PackageArchitectureError(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for PackageArchitecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_architecture_has_several_names() {
        use Architecture::{Aarch64, X86_64};
        for (package, runs_on) in [
            ("x86_64", &[X86_64][..]),
            ("amd64", &[X86_64]),
            ("aarch64", &[Aarch64]),
            ("arm64", &[Aarch64]),
            ("noarch", &[X86_64, Aarch64]),
            ("all", &[X86_64, Aarch64]),
            ("ppc64le", &[]),
            ("i686", &[]),
        ] {
            let package: PackageArchitecture = package.parse().unwrap();
            for architecture in [X86_64, Aarch64] {
                let runs = package.runs_on(architecture);
                assert_eq!(runs, runs_on.contains(&architecture), "{package}");
            }
        }
        for architecture in [X86_64, Aarch64] {
            assert_eq!(architecture.to_string().parse(), Ok(architecture));
            assert_eq!(architecture.debian_name().parse(), Ok(architecture));
        }
    }

    #[test]
    fn what_is_no_architecture_is_refused() {
        for name in ["", "../x86_64", "x86.64", "x86 64", "x86_64\n", "é"] {
            let error = name.parse::<PackageArchitecture>().unwrap_err();
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
        }
    }
}
