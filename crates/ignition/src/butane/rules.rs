//! What Butane itself asks of a document, beside the rules of the Ignition config that it becomes.

use super::{
    Release, Report, boot_device,
    release::Variant,
    schema::{RESOURCES, all_at},
};
use crate::{
    Severity::{Error, Warning},
    Tree,
    Version::{V3_3, V3_5},
};

/// What can be said of the document as it is written.
pub(super) fn check(config: &Tree, release: &Release, report: &mut Report) {
    let resources = RESOURCES.iter().flat_map(|place| all_at(config, place));
    resources.for_each(|resource| only_one_of(resource, &["local", "inline", "source"], report));
    for place in [&["systemd", "units"][..], &["systemd", "units", "dropins"]] {
        for unit in all_at(config, place) {
            only_one_of(unit, &["contents", "contents_local"], report);
        }
    }
    for filesystem in all_at(config, &["storage", "filesystems"]) {
        check_mount_unit(filesystem, release, report);
    }
    for file in all_at(config, &["storage", "files"]) {
        check_mode(file, usual_for_file, report);
    }
    for directory in all_at(config, &["storage", "directories"]) {
        check_mode(directory, usual_for_directory, report);
    }
    for tree in all_at(config, &["storage", "trees"]) {
        if text(tree, "local").is_empty() {
            report.at(Error, tree, "a tree needs local, a directory");
        }
    }
    for boot_device in all_at(config, &["boot_device"]) {
        boot_device::check(boot_device, release, report);
    }
    for user in all_at(config, &["grub", "users"]) {
        for key in ["name", "password_hash"] {
            if text(user, key).is_empty() {
                report.at_key(Error, user, key, format!("a user of GRUB needs a {key}"));
            }
        }
    }
    if release.variant == Variant::Fcos && release.ignition >= V3_5 {
        check_reuse(config, report);
    }
}

fn text<'t>(tree: &'t Tree, key: &str) -> &'t str {
    tree.get(key).and_then(Tree::text).unwrap_or_default()
}

fn only_one_of(tree: &Tree, keys: &[&str], report: &mut Report) {
    let given: Vec<&Tree> = keys.iter().filter_map(|key| tree.get(key)).collect();
    if let [_, .., last] = given.as_slice() {
        report.at(
            Error,
            last,
            format!("only one can be given of {}", keys.join(", ")),
        );
    }
}

fn check_mount_unit(filesystem: &Tree, release: &Release, report: &mut Report) {
    if !filesystem.get("with_mount_unit").is_some_and(Tree::is_true) {
        return;
    }
    let (format, path) = (text(filesystem, "format"), text(filesystem, "path"));
    if format.is_empty() {
        report.at_key(Error, filesystem, "format", "a mount unit needs a format");
    } else if path.is_empty() && !is_swap(format, release) {
        report.at_key(Error, filesystem, "path", "a mount unit needs a path");
    }
    let mountable = ["/etc", "/var"].iter().any(|allowed| {
        path.strip_prefix(allowed)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let has_path = filesystem.get("path").is_some();
    if release.variant == Variant::Fcos && release.ignition >= V3_5 && has_path && !mountable {
        report.at_key(
            Error,
            filesystem,
            "path",
            "what is mounted has to be /etc, /var or beneath them",
        );
    }
}

/// Whether a filesystem gets a swap unit: till then, it got a mount unit like any other.
pub(super) fn is_swap(format: &str, release: &Release) -> bool {
    format == "swap" && release.ignition >= V3_3
}

fn check_mode(node: &Tree, usual: fn(i64) -> bool, report: &mut Report) {
    let Some(mode) = node.get("mode").and_then(Tree::integer) else {
        return;
    };
    if !usual(mode) && in_octal(mode).is_some_and(usual) {
        report.at_key(
            Warning,
            node,
            "mode",
            format!("{mode} is {mode:04o} in octal; if {mode:04} in octal is meant, it needs a leading zero"),
        );
    }
}

/// The mode that is meant if its octal digits were written without a leading zero.
fn in_octal(mode: i64) -> Option<i64> {
    i64::from_str_radix(&mode.to_string(), 8)
        .ok()
        .filter(|mode| (0..=0o7777).contains(mode))
}

/// Whether a mode is no surprise on a file; some that are have their uses.
fn usual_for_file(mode: i64) -> bool {
    let special = mode & 0o6000 == 0 || (mode & 0o111 != 0 && mode & 0o002 == 0);
    mode == 0 || (usual_permissions(mode) && special && mode & 0o1000 == 0)
}

fn usual_for_directory(mode: i64) -> bool {
    let special = mode & 0o3000 == 0 || mode & 0o222 != 0;
    mode == 0 || (usual_permissions(mode) && mode & 0o111 != 0 && special && mode & 0o4000 == 0)
}

/// Whether nobody may do more than the group, the group no more than the user, each who may do anything may read, and all
/// who may read may also execute if the user may.
fn usual_permissions(mode: i64) -> bool {
    let [user, group, others] = [6, 3, 0].map(|shift| mode >> shift & 7);
    let nested = others & !group == 0 && group & !user == 0;
    let readable = [user, group, others]
        .iter()
        .all(|&class| class == 0 || class & 4 != 0);
    let executable = [(user, group), (group, others)]
        .iter()
        .all(|(more, less)| more & 1 == 0 || less & 4 == 0 || less & 1 != 0);
    nested && readable && executable && user & 4 != 0
}

/// Labels that the operating system has given to partitions of its own, and their numbers.
const RESERVED: &[(&str, i64)] = &[
    ("BIOS-BOOT", 1),
    ("PowerPC-PReP-boot", 1),
    ("EFI-SYSTEM", 2),
    ("boot", 3),
    ("root", 4),
];

/// Warns of partitions that would not be those that the operating system has.
pub(super) fn check_reserved_labels(config: &Tree, release: &Release, report: &mut Report) {
    if !release.has_boot_device() {
        return;
    }
    for partition in kept_disks(config).flat_map(|disk| all_at(disk, &["partitions"])) {
        let number = partition.get("number").and_then(Tree::integer).unwrap_or(0);
        let label = text(partition, "label");
        if RESERVED
            .iter()
            .any(|&(reserved, own)| reserved == label && own != number)
        {
            let message = format!("partition {label} has another number: this will be a new one");
            report.at_key(Warning, partition, "label", message);
        }
    }
}

/// Those whose table of partitions stays.
fn kept_disks(config: &Tree) -> impl Iterator<Item = &Tree> {
    let disks = all_at(config, &["storage", "disks"]).into_iter();
    disks.filter(|disk| !disk.get("wipeTable").is_some_and(Tree::is_true))
}

/// Warns of partitions that would be found by their labels on a machine that has been installed before.
fn check_reuse(config: &Tree, report: &mut Report) {
    let disks = kept_disks(config).filter(|disk| text(disk, "device") != boot_device::BOOT_DISK);
    for partition in disks.flat_map(|disk| all_at(disk, &["partitions"])) {
        let number = partition.get("number").and_then(Tree::integer).unwrap_or(0);
        if number == 0 && partition.get("label").is_some() {
            let message = "partitions cannot be reused by label: give a number, or wipe the table";
            report.at_key(Warning, partition, "number", message);
        }
    }
}

/// What a variant does without.
const FORBIDDEN: &[(Variant, &[&str], &str)] = &[
    (
        Variant::Flatcar,
        &["storage", "luks", "clevis"],
        "Flatcar has no Clevis",
    ),
    (
        Variant::R4e,
        &["kernelArguments"],
        "kernel arguments cannot be changed",
    ),
    (
        Variant::R4e,
        &["storage", "disks"],
        "disks cannot be partitioned",
    ),
    (
        Variant::R4e,
        &["storage", "filesystems"],
        "filesystems cannot be made",
    ),
    (
        Variant::R4e,
        &["storage", "luks"],
        "LUKS devices cannot be made",
    ),
    (Variant::R4e, &["storage", "raid"], "arrays cannot be made"),
];

/// Refuses what the variant does without.
pub(super) fn check_forbidden(config: &Tree, release: &Release, report: &mut Report) {
    for (_, place, message) in FORBIDDEN.iter().filter(|row| row.0 == release.variant) {
        // The last key is looked up, not followed into the items of its list.
        let (key, parents) = place.split_last().unwrap_or((&"", &[]));
        let found = all_at(config, parents)
            .into_iter()
            .filter_map(|parent| parent.get(key));
        for found in found.filter(|found| !found.says_nothing()) {
            report.at(Error, found, format!("{message} in this variant"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_modes() {
        for mode in [0, 0o644, 0o600, 0o755, 0o400, 0o4755, 0o2755, 0o640] {
            assert!(usual_for_file(mode), "{mode:o}");
        }
        for mode in [0o044, 0o1204, 0o754, 0o200, 0o1755, 0o4777, 0o4644] {
            assert!(!usual_for_file(mode), "{mode:o}");
        }
        for mode in [0, 0o755, 0o700, 0o1777, 0o2775, 0o750] {
            assert!(usual_for_directory(mode), "{mode:o}");
        }
        for mode in [0o644, 0o4755, 0o1555, 0o1363] {
            assert!(!usual_for_directory(mode), "{mode:o}");
        }
    }

    #[test]
    fn a_mode_read_in_octal() {
        assert_eq!(in_octal(644), Some(0o644));
        assert_eq!(in_octal(1777), Some(0o1777));
        assert_eq!(in_octal(689), None);
        assert_eq!(in_octal(-644), None);
        assert_eq!(in_octal(10_000), None);
    }
}
