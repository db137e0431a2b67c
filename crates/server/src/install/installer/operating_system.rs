//! The operating systems that there are installers for.

use std::fmt;
use std::str::FromStr;

use package::Kind;

/// A family of operating systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperatingSystem {
    Rhel,
    Debian,
    Cumulus,
    Sonic,
}

/// Their members, by the `ID` in `/etc/os-release`; the first is what the family is called.
const FAMILIES: [(OperatingSystem, &[&str]); 4] = [
    (
        OperatingSystem::Rhel,
        &[
            "rhel",
            "centos",
            "rocky",
            "almalinux",
            "fedora",
            "ol",
            "amzn",
            "sles",
        ],
    ),
    (OperatingSystem::Debian, &["debian", "ubuntu"]),
    (OperatingSystem::Cumulus, &["cumulus", "cumulus-linux"]),
    (OperatingSystem::Sonic, &["sonic"]),
];

const EXPECTED: &str = "expected rhel, debian, cumulus or sonic, or of their families centos, rocky, almalinux, fedora, \
                        ol, amzn, sles, ubuntu or cumulus-linux, with or without a version as in rocky9.4";

impl OperatingSystem {
    /// What its packages are.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Rhel => Kind::Rpm,
            Self::Debian | Self::Cumulus | Self::Sonic => Kind::Deb,
        }
    }
}

/// A member of a family, with or without its version: `rhel`, `rocky9.4`, `ubuntu-22.04`.
impl FromStr for OperatingSystem {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let end = text
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(text.len());
        let (name, version) = text.split_at(end);
        let name = if version.is_empty() {
            name
        } else {
            name.strip_suffix('-').unwrap_or(name)
        };
        if !version
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b".-_~".contains(&c))
        {
            return Err(EXPECTED);
        }
        let family = FAMILIES.iter().find(|(_, members)| members.contains(&name));
        family.map(|(family, _)| *family).ok_or(EXPECTED)
    }
}

impl fmt::Display for OperatingSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rhel => "rhel",
            Self::Debian => "debian",
            Self::Cumulus => "cumulus",
            Self::Sonic => "sonic",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_family_is_known_with_any_version() {
        for (text, family) in [
            ("rhel", OperatingSystem::Rhel),
            ("rhel8", OperatingSystem::Rhel),
            ("rocky9.4", OperatingSystem::Rhel),
            ("almalinux-9", OperatingSystem::Rhel),
            ("sles15.6", OperatingSystem::Rhel),
            ("debian12", OperatingSystem::Debian),
            ("ubuntu22.04", OperatingSystem::Debian),
            ("cumulus5", OperatingSystem::Cumulus),
            ("cumulus-linux5.9.1", OperatingSystem::Cumulus),
            ("sonic", OperatingSystem::Sonic),
        ] {
            assert_eq!(text.parse(), Ok(family), "{text}");
        }
    }

    #[test]
    fn others_are_refused_with_those_that_are_known() {
        for text in [
            "",
            "9",
            "Rhel",
            "rhel ",
            "rhel9;reboot",
            "rhel9\n",
            "rhel-",
            "windows11",
        ] {
            assert_eq!(text.parse::<OperatingSystem>(), Err(EXPECTED), "{text:?}");
        }
        for name in FAMILIES.iter().flat_map(|(_, members)| *members) {
            assert!(EXPECTED.contains(name), "{name}");
        }
    }

    /// The script tells an operating system by a word of its own list.
    #[test]
    fn the_pre_installer_says_no_word_that_is_not_known() {
        let script = include_str!("../../../../../assets/install/pre-installer.sh");
        let lines = script.lines().filter_map(|line| {
            let (words, action) = line.trim().split_once(") TOOL=")?;
            (!action.contains("word=")).then_some(words)
        });
        let words: Vec<_> = lines.flat_map(|words| words.split(" | ")).collect();
        assert!(words.len() > 8, "{words:?}");
        for word in words {
            assert!(word.parse::<OperatingSystem>().is_ok(), "{word}");
        }
    }
}
