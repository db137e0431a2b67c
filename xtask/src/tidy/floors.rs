//! Which crate may use which.

use super::{
    Finding,
    packages::{Package, by_id},
};
use crate::repository::Repository;

/// The floors of ARCHITECTURE.md. This program stands above all, since it may measure any of them.
const FLOORS: &[(&str, u8)] = &[
    ("model", 1),
    ("template", 1),
    ("ignition", 1),
    ("package", 1),
    ("store", 2),
    ("content", 2),
    ("node-package", 2),
    ("head-package", 2),
    ("heads", 3),
    ("server", 4),
    ("pilotlight", 5),
    ("xtask", 6),
];

fn floor(name: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, floor)| *floor)
}

/// No crate is built from one on its own floor or above; for its tests it may use any.
pub(super) fn check(packages: &[Package], repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Some(manifest) = &package.manifest else {
            continue;
        };
        let Some(own) = floor(&package.name) else {
            let message = format!(
                "{} stands on no floor: give it one in ARCHITECTURE.md and in FLOORS",
                package.name
            );
            findings.push(Finding::new(manifest, 1, message));
            continue;
        };
        for used in package
            .uses
            .iter()
            .filter_map(|id| by_id(packages, id))
            .filter(|used| used.manifest.is_some())
        {
            if floor(&used.name).is_none_or(|other| other >= own) {
                let message = format!(
                    "{} (floor {own}) may not use {}: move what both need to a lower floor",
                    package.name, used.name
                );
                findings.push(Finding::new(
                    manifest,
                    line_of(repository, manifest, &used.name),
                    message,
                ));
            }
        }
    }
    findings
}

fn line_of(repository: &Repository, manifest: &str, dependency: &str) -> usize {
    let names_it = |line: &str| {
        line.strip_prefix(dependency)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    let text = repository.file(manifest).map_or("", |file| &file.text);
    text.lines().position(names_it).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::{super::packages::package, *};

    #[test]
    fn only_lower_floors_may_be_used() {
        let repository = Repository::of(&[(
            "crates/store/Cargo.toml",
            "[dependencies]\nmodel = {}\ncontent = {}\n",
        )]);
        let packages = [
            package("model", &[]),
            package("content", &[]),
            package("store", &["model", "content"]),
        ];
        let findings = check(&packages, &repository);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings[0]
                .to_string()
                .starts_with("crates/store/Cargo.toml:3: store (floor 2) may not use content")
        );
    }

    #[test]
    fn every_crate_has_a_floor() {
        let findings = check(&[package("attic", &[])], &Repository::of(&[]));
        assert_eq!(findings.len(), 1, "{findings:?}");
    }
}
