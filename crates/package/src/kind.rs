//! The three packaging systems.

use std::fmt;
use std::str::FromStr;

/// A packaging system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// RPM.
    Rpm,
    /// Debian's.
    Deb,
    /// A tar archive, compressed or not, to be unpacked over the root.
    Tar,
}

impl FromStr for Kind {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "rpm" => Ok(Self::Rpm),
            "deb" => Ok(Self::Deb),
            "tar" | "tgz" | "tar.gz" => Ok(Self::Tar),
            _ => Err("expected rpm, deb, tar, tgz or tar.gz"),
        }
    }
}

/// The name of its directory among the client packages.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rpm => "rpm",
            Self::Deb => "deb",
            Self::Tar => "tar",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_as_it_is_written_and_a_tar_by_three_names() {
        for kind in [Kind::Rpm, Kind::Deb, Kind::Tar] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for name in ["tgz", "tar.gz"] {
            assert_eq!(name.parse(), Ok(Kind::Tar));
        }
        for name in ["", "RPM", "zip"] {
            assert!(name.parse::<Kind>().is_err(), "{name}");
        }
    }
}
