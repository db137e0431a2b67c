//! Who a tar is by its file name.

use super::TarError;
use crate::{Identity, PackageArchitecture, Version};

const SUFFIXES: [&str; 9] = [
    ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz2", ".tar",
];

/// Those that rpm and Debian have; what else follows the last dot belongs to the version.
const ARCHITECTURES: [&str; 18] = [
    "noarch",
    "all",
    "x86_64",
    "amd64",
    "aarch64",
    "arm64",
    "i386",
    "i586",
    "i686",
    "armhf",
    "armhfp",
    "armv7hl",
    "ppc64le",
    "ppc64el",
    "s390x",
    "riscv64",
    "loongarch64",
    "mips64el",
];

/// `NAME[-VERSION[-RELEASE]][.ARCHITECTURE]` and a suffix. A version begins with a digit, and is 0 where there is none.
pub(super) fn identity(file_name: &str) -> Result<Identity, TarError> {
    let nameless = || TarError::Nameless(file_name.to_owned());
    let stem = SUFFIXES
        .iter()
        .find_map(|suffix| file_name.strip_suffix(suffix));
    let stem = stem.ok_or_else(nameless)?;
    let with_architecture = stem
        .rsplit_once('.')
        .filter(|(_, architecture)| ARCHITECTURES.contains(architecture));
    let (stem, architecture) = match with_architecture {
        Some((stem, architecture)) => (stem, architecture.parse().map_err(|_| nameless())?),
        None => (stem, PackageArchitecture::noarch()),
    };
    let (name, version, release) = split(stem);
    Ok(Identity {
        name: name.parse().map_err(|_| nameless())?,
        version: Version::new(0, version.unwrap_or("0"), release).map_err(|_| nameless())?,
        architecture,
    })
}

fn split(stem: &str) -> (&str, Option<&str>, Option<&str>) {
    let begins_with_digit = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    let Some((rest, last)) = stem.rsplit_once('-') else {
        return (stem, None, None);
    };
    match rest.rsplit_once('-') {
        Some((name, version)) if begins_with_digit(version) => (name, Some(version), Some(last)),
        _ if begins_with_digit(last) => (rest, Some(last), None),
        _ => (stem, None, None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_can() {
        for (name, expected) in [
            ("tool-1.2-3.x86_64.tar.gz", "tool-1.2-3.x86_64"),
            (
                "my-tool-1.2-3.el9.noarch.tar.xz",
                "my-tool-1.2-3.el9.noarch",
            ),
            ("tool-1.2-rc1.tar.zst", "tool-1.2-rc1.noarch"),
            ("tool-1.2.aarch64.tgz", "tool-1.2.aarch64"),
            ("tool-1.2.tar", "tool-1.2.noarch"),
            ("my-tool.tar.bz2", "my-tool-0.noarch"),
            ("tool.arm64.tar", "tool-0.arm64"),
            ("tool-2x.y.tar", "tool-2x.y.noarch"),
        ] {
            assert_eq!(identity(name).unwrap().to_string(), expected, "{name}");
        }
        for name in [
            "tool.zip",
            ".tar.gz",
            "-1.tar",
            "a b.tar",
            "tool-1.2:3/4.tar",
            "tar",
        ] {
            assert!(
                matches!(identity(name), Err(TarError::Nameless(_))),
                "{name}"
            );
        }
    }
}
