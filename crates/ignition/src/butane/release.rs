//! [`Release`]: the variants of Butane and their versions.

use crate::Version::{self, V3_0, V3_1, V3_2, V3_3, V3_4, V3_5};

/// For which system a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// Fedora CoreOS.
    Fcos,
    Flatcar,
    /// RHEL for Edge.
    R4e,
}

/// A version of a variant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) variant: Variant,
    number: [u64; 3],
    /// The version of what it is translated to. What a variant has in common with others, it has since the same one.
    pub(super) ignition: Version,
}

const RELEASES: &[Release] = &[
    release(Variant::Fcos, [1, 0, 0], V3_0),
    release(Variant::Fcos, [1, 1, 0], V3_1),
    release(Variant::Fcos, [1, 2, 0], V3_2),
    release(Variant::Fcos, [1, 3, 0], V3_2),
    release(Variant::Fcos, [1, 4, 0], V3_3),
    release(Variant::Fcos, [1, 5, 0], V3_4),
    release(Variant::Fcos, [1, 6, 0], V3_5),
    release(Variant::Flatcar, [1, 0, 0], V3_3),
    release(Variant::Flatcar, [1, 1, 0], V3_4),
    release(Variant::R4e, [1, 0, 0], V3_3),
    release(Variant::R4e, [1, 1, 0], V3_4),
];

const fn release(variant: Variant, number: [u64; 3], ignition: Version) -> Release {
    Release {
        variant,
        number,
        ignition,
    }
}

impl Release {
    /// The release of these names, or why there is none.
    pub(super) fn find(variant: &str, version: &str) -> Result<&'static Self, String> {
        if variant.is_empty() {
            return Err("variant is required: fcos, flatcar or r4e".into());
        }
        let Some(number) = semantic(version) else {
            return Err("version is required, as three numbers: 1.5.0".into());
        };
        let known = match variant {
            "fcos" => Variant::Fcos,
            "flatcar" => Variant::Flatcar,
            "r4e" => Variant::R4e,
            "openshift" => {
                return Err(
                    "variant openshift is not supported: it makes Kubernetes resources".into(),
                );
            }
            "rhcos" => return Err("variant rhcos is no more".into()),
            _ => return Err(format!("unknown variant {variant:?}: fcos, flatcar or r4e")),
        };
        let mut of_variant = RELEASES.iter().filter(|release| release.variant == known);
        of_variant
            .find(|release| release.number == number && !version.contains(EXTENSION))
            .ok_or_else(|| format!("unknown version {version} of variant {variant}"))
    }

    pub(super) fn has_boot_device(&self) -> bool {
        self.variant == Variant::Fcos && self.number >= [1, 3, 0]
    }

    pub(super) fn has_grub(&self) -> bool {
        self.variant == Variant::Fcos && self.number >= [1, 5, 0]
    }
}

/// The three numbers of a semantic version, without what may follow them.
fn semantic(version: &str) -> Option<[u64; 3]> {
    let end = version.find(EXTENSION).unwrap_or(version.len());
    let mut numbers = version[..end].split('.').map(|number| number.parse().ok());
    let number = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(number)
}

/// What begins the rest of a semantic version; no release has one.
const EXTENSION: [char; 2] = ['-', '+'];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_release_is_found() {
        for release in RELEASES {
            let variant = match release.variant {
                Variant::Fcos => "fcos",
                Variant::Flatcar => "flatcar",
                Variant::R4e => "r4e",
            };
            let [major, minor, patch] = release.number;
            let found = Release::find(variant, &format!("{major}.{minor}.{patch}"));
            assert_eq!(found, Ok(release));
        }
    }

    #[test]
    fn others_are_refused_with_a_reason() {
        for (variant, version, reason) in [
            ("", "1.5.0", "variant is required"),
            ("fcos", "", "version is required"),
            ("fcos", "1.5", "three numbers"),
            ("fcos", "1.5.0.1", "three numbers"),
            ("fcos", "1.5.0-experimental", "unknown version"),
            ("fcos", "1.99.0", "unknown version"),
            ("rhcos", "0.1.0", "no more"),
            ("openshift", "4.14.0", "not supported"),
            ("ubuntu", "1.5.0", "unknown variant"),
        ] {
            let error = Release::find(variant, version).unwrap_err();
            assert!(error.contains(reason), "{variant} {version}: {error}");
        }
    }
}
