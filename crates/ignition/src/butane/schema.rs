//! Which keys a document may have: those of the Ignition config that it becomes, in `snake_case`, and those of Butane's own.

use std::iter;

use super::Release;
use crate::{
    Tree, Value,
    Version::{self, V3_0, V3_1, V3_2, V3_4, V3_5},
    schema::{
        Field,
        Shape::{Bool, Integer, List, Map, Text},
    },
    spec::{CEX, Fields, TANG, field},
};

/// Keys from the outermost mapping to another, through any lists. Ignition's keys are in its own spelling.
pub(super) type Place = &'static [&'static str];

/// The mappings that say what something contains, or from where to fetch it.
pub(super) const RESOURCES: &[Place] = &[
    &["storage", "files", "contents"],
    &["storage", "files", "append"],
    &["storage", "luks", "keyFile"],
    &["ignition", "config", "merge"],
    &["ignition", "config", "replace"],
    &["ignition", "security", "tls", "certificateAuthorities"],
];

/// Texts that Ignition configs have even if nobody wrote them, up to a version.
pub(super) const REQUIRED: &[(Place, &str, Version)] = &[
    (&["passwd", "users"], "name", Version::V3_6),
    (&["passwd", "groups"], "name", Version::V3_6),
    (&["storage", "raid"], "name", Version::V3_6),
    (&["storage", "luks"], "name", Version::V3_6),
    (&["storage", "links"], "target", V3_2),
];

/// Butane's own keys of a mapping, by Ignition's version, which is the same for all variants.
const OWN: &[(Place, Fields)] = &[
    (
        &[],
        &[field("variant", V3_0, Text), field("version", V3_0, Text)],
    ),
    (
        &["storage", "files", "contents"],
        &[field("inline", V3_0, Text), LOCAL],
    ),
    (
        &["storage", "files", "append"],
        &[field("inline", V3_0, Text), LOCAL],
    ),
    (&["storage", "luks", "keyFile"], &[INLINE, LOCAL]),
    (&["ignition", "config", "merge"], &[INLINE, LOCAL]),
    (&["ignition", "config", "replace"], &[INLINE, LOCAL]),
    (
        &["ignition", "security", "tls", "certificateAuthorities"],
        &[INLINE, LOCAL],
    ),
    (
        &["passwd", "users"],
        &[field("ssh_authorized_keys_local", V3_4, List(&Text))],
    ),
    (&["storage"], &[field("trees", V3_1, List(&Map(TREE)))]),
    (
        &["storage", "filesystems"],
        &[field("with_mount_unit", V3_1, Bool)],
    ),
    (
        &["systemd", "units"],
        &[field("contents_local", V3_4, Text)],
    ),
    (
        &["systemd", "units", "dropins"],
        &[field("contents_local", V3_4, Text)],
    ),
];

const INLINE: Field<Version> = field("inline", V3_1, Text);
const LOCAL: Field<Version> = field("local", V3_1, Text);

const TREE: Fields = &[field("local", V3_1, Text), field("path", V3_1, Text)];

const BOOT_DEVICE: Field<Version> = field(
    "boot_device",
    V3_2,
    Map(&[
        field("layout", V3_2, Text),
        field(
            "luks",
            V3_2,
            Map(&[
                CEX,
                field("device", V3_5, Text),
                field("discard", V3_4, Bool),
                TANG,
                field("threshold", V3_2, Integer),
                field("tpm2", V3_2, Bool),
            ]),
        ),
        field("mirror", V3_2, Map(&[field("devices", V3_2, List(&Text))])),
    ]),
);

const GRUB: Field<Version> = field(
    "grub",
    V3_4,
    Map(&[field(
        "users",
        V3_4,
        List(&Map(&[
            field("name", V3_4, Text),
            field("password_hash", V3_4, Text),
        ])),
    )]),
);

/// What the release knows by this key, in a mapping of these fields at this place.
pub(super) fn find(
    key: &str,
    place: &[&str],
    fields: Fields,
    release: &Release,
) -> Option<&'static Field<Version>> {
    let known = |field: &&Field<Version>| field.since <= release.ignition;
    let sections: [(bool, &'static Field<Version>); 2] = [
        (release.has_boot_device(), &BOOT_DEVICE),
        (release.has_grub(), &GRUB),
    ];
    let mut sections = sections
        .into_iter()
        .filter(|(has, _)| *has && place.is_empty());
    if let Some((_, section)) = sections.find(|(_, section)| section.name == key) {
        return Some(section);
    }
    let own = OWN
        .iter()
        .filter(|(of, _)| *of == place)
        .flat_map(|(_, fields)| *fields);
    if let Some(field) = own.filter(known).find(|field| field.name == key) {
        return Some(field);
    }
    // It follows from the version of the document.
    if place == ["ignition"] && key == "version" {
        return None;
    }
    fields
        .iter()
        .filter(known)
        .find(|field| snake_case(field.name).eq(key.chars()))
}

/// Butane's spelling of one of Ignition's keys.
pub(super) fn snake_case(key: &str) -> impl Iterator<Item = char> {
    let (words, unit) = match key.strip_suffix("MiB") {
        Some(words) => (words, "_mib"),
        None => (key, ""),
    };
    let words = words.chars().flat_map(|letter| {
        let separator = letter.is_ascii_uppercase().then_some('_');
        separator
            .into_iter()
            .chain(iter::once(letter.to_ascii_lowercase()))
    });
    words.chain(unit.chars())
}

/// Does something with every mapping at a place.
pub(super) fn each_at(tree: &mut Tree, place: &[&str], action: &mut dyn FnMut(&mut Tree)) {
    match (&mut tree.value, place) {
        (Value::List(items), _) => {
            items
                .iter_mut()
                .for_each(|item| each_at(item, place, action));
        }
        (Value::Map(entries), [key, rest @ ..]) => {
            if let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key) {
                each_at(&mut entry.value, rest, action);
            }
        }
        (Value::Map(_), []) => action(tree),
        _ => {}
    }
}

/// All mappings at a place.
pub(super) fn all_at<'t>(tree: &'t Tree, place: &[&str]) -> Vec<&'t Tree> {
    match (&tree.value, place) {
        (Value::List(items), _) => items.iter().flat_map(|item| all_at(item, place)).collect(),
        (Value::Map(_), [key, rest @ ..]) => tree
            .get(key)
            .map(|value| all_at(value, rest))
            .unwrap_or_default(),
        (Value::Map(_), []) => vec![tree],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_ignition_have_another_spelling() {
        for (key, expected) in [
            ("sizeMiB", "size_mib"),
            ("typeGuid", "type_guid"),
            ("sshAuthorizedKeys", "ssh_authorized_keys"),
            ("tpm2", "tpm2"),
            ("with_mount_unit", "with_mount_unit"),
        ] {
            assert_eq!(snake_case(key).collect::<String>(), expected);
        }
    }
}
