//! The Ignition specification: its versions, what each knows, and the rules a config must keep.

mod disks;
mod duplicates;
mod file_tree;
mod node;
mod resource;
mod rule;
mod shape;
mod systemd;
mod url;
mod version;

pub(crate) use node::Filled;
pub(crate) use shape::{CEX, Fields, TANG, field};
pub(crate) use systemd::UnitFile;
pub use version::{UnknownVersion, Version};

use node::Node;
use rule::{Findings, Rule};

use crate::{
    Diagnostic, Severity, Tree,
    schema::{self, Shape},
};

pub(crate) const SHAPE: Shape<Version> = Shape::Map(shape::CONFIG);

/// What is wrong with a config by the rules of `version`. Of a config that has not even the right shape, that alone.
pub(crate) fn validate(tree: &Tree, version: Version) -> Vec<Diagnostic> {
    validate_filled(tree, version, &[])
}

/// The same with other texts in some places.
pub(crate) fn validate_filled(tree: &Tree, version: Version, filled: &Filled) -> Vec<Diagnostic> {
    let found = schema::check(tree, &SHAPE, version);
    if found.iter().any(|found| found.severity == Severity::Error) {
        return found;
    }
    let config = Node::root(tree, &SHAPE, version, filled);
    let mut findings = Findings { version, found };
    check(config, &mut findings);
    findings.found
}

fn check(config: Node, findings: &mut Findings) {
    let [ignition, storage, systemd] =
        ["ignition", "storage", "systemd"].map(|key| config.get(key));
    resource::check_ignition(ignition, findings);
    file_tree::check(storage, systemd, findings);
    disks::check(storage, findings);
    systemd::check(systemd, findings);
    duplicates::check(config, findings);
}
