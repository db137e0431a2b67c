//! [`Version`]: the versions of the Ignition specification.

use std::{fmt, str::FromStr};

/// A version of the Ignition specification, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 3.0.0
    V3_0,
    /// 3.1.0
    V3_1,
    /// 3.2.0
    V3_2,
    /// 3.3.0
    V3_3,
    /// 3.4.0
    V3_4,
    /// 3.5.0
    V3_5,
    /// 3.6.0
    V3_6,
}

impl Version {
    /// All, the oldest first.
    pub const ALL: [Self; 7] = [
        Self::V3_0,
        Self::V3_1,
        Self::V3_2,
        Self::V3_3,
        Self::V3_4,
        Self::V3_5,
        Self::V3_6,
    ];

    /// As it stands in `ignition.version`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V3_0 => "3.0.0",
            Self::V3_1 => "3.1.0",
            Self::V3_2 => "3.2.0",
            Self::V3_3 => "3.3.0",
            Self::V3_4 => "3.4.0",
            Self::V3_5 => "3.5.0",
            Self::V3_6 => "3.6.0",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text names no [`Version`], and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownVersion {
    /// Of before the format that all versions of 3 have in common.
    #[error(
        "version {0} is of an Ignition that machines no longer have; translate the config to 3.0.0 or later, with ign-converter for instance"
    )]
    Old(String),
    /// A working version, that changes without notice.
    #[error("version {0} is experimental and changes without notice; use 3.0.0 to 3.6.0")]
    Experimental(String),
    /// Any other.
    #[error("unknown version {0:?}; use 3.0.0 to 3.6.0")]
    Unknown(String),
}

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        if let Some(version) = Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
        {
            return Ok(version);
        }
        Err(match text {
            _ if text.ends_with("-experimental") => UnknownVersion::Experimental(text.into()),
            _ if text.starts_with("1.") || text.starts_with("2.") => {
                UnknownVersion::Old(text.into())
            }
            _ => UnknownVersion::Unknown(text.into()),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_version_reads_back_and_is_in_order() {
        assert!(Version::ALL.is_sorted());
        for version in Version::ALL {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
    }

    #[test]
    fn other_versions_are_refused_with_advice() {
        for (text, advice) in [
            ("2.4.0", "ign-converter"),
            ("1", "unknown version"),
            ("3.7.0", "use 3.0.0 to 3.6.0"),
            ("3.7.0-experimental", "experimental"),
            ("3.0", "unknown version"),
            ("", "unknown version"),
        ] {
            let error = text.parse::<Version>().unwrap_err().to_string();
            assert!(error.contains(advice), "{text}: {error}");
        }
    }
}
