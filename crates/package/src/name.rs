//! The name of a package.

use std::fmt;
use std::str::FromStr;

/// The name of a package: letters, digits and `.+_-`, not beginning with `.` or `-`. rpm and Debian both keep to it,
/// and neither a path nor a shell reads anything into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageName(String);

/// Why a text is no package name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be the name of a package: expected letters, digits and .+_-, and first a letter, digit or _"
)]
pub struct PackageNameError(String);

impl PackageName {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PackageName {
    type Err = PackageNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let begins = name
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_');
        let rest = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".+_-".contains(&byte));
        if !(begins && rest && name.len() <= 255) {
            return Err(PackageNameError(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_of_real_packages_are_names() {
        for name in [
            "pilotlight-node",
            "libstdc++6",
            "python3.11",
            "0ad",
            "java-1.8.0-openjdk",
            "_x",
        ] {
            assert_eq!(name.parse::<PackageName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_could_be_a_path_an_option_or_a_word_of_a_shell_is_no_name() {
        let long = "a".repeat(256);
        for name in [
            "", ".", "..", ".a", "-a", "+a", "a/b", "a b", "a\n", "a\0", "a;b", "$a", "~a", "é",
            &long,
        ] {
            let error = name.parse::<PackageName>().unwrap_err();
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
        }
    }
}
