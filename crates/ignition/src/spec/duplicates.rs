//! Lists in which nothing may stand twice: nearly all.

use std::collections::{HashMap, HashSet};

use super::{Findings, Node, Rule};
use crate::schema::Shape;

/// What tells the entries of a list apart.
enum Key {
    /// Themselves: they are text.
    Text,
    /// The value of a key of theirs.
    Of(&'static str),
    /// The number or, without one, the label.
    Partition,
    /// Nothing: repetition means something here.
    None,
}

/// By the key that the list stands under.
fn key(list: &str, of: &Shape<super::Version>) -> Key {
    match list {
        "append" | "options" | "mountOptions" | "openOptions" => Key::None,
        "merge" | "certificateAuthorities" => Key::Of("source"),
        "directories" | "files" | "links" => Key::Of("path"),
        "disks" | "filesystems" => Key::Of("device"),
        "tang" => Key::Of("url"),
        "partitions" => Key::Partition,
        _ if matches!(of, Shape::Text) => Key::Text,
        _ => Key::Of("name"),
    }
}

/// Lists that are one in this respect: there is one tree of files, and no argument is both wanted and unwanted.
fn group(list: &'static str) -> &'static str {
    match list {
        "directories" | "links" => "files",
        "shouldNotExist" => "shouldExist",
        _ => list,
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Identity<'t> {
    Text(&'t str),
    Number(i64),
}

pub(super) fn check(node: Node, findings: &mut Findings) {
    let mut seen: HashMap<&str, HashSet<Identity>> = HashMap::new();
    for field in node.fields() {
        let value = node.get(field.name);
        if !value.is_present() {
            continue;
        }
        match &field.shape {
            Shape::Map(_) => check(value, findings),
            Shape::List(of) => {
                let key = key(field.name, of);
                let seen = seen.entry(group(field.name)).or_default();
                for item in value.items() {
                    if !identity(item, &key).is_none_or(|identity| seen.insert(identity)) {
                        findings.add(item, Rule::Duplicate);
                    }
                    check(item, findings);
                }
            }
            _ => {}
        }
    }
}

fn identity<'t>(item: Node<'t>, key: &Key) -> Option<Identity<'t>> {
    Some(match key {
        Key::None => return None,
        Key::Text => Identity::Text(item.text()),
        Key::Of(key) => Identity::Text(item.get(key).text()),
        Key::Partition => {
            let number = item.get("number").integer().unwrap_or(0);
            match item.get("label").text_if_present() {
                Some(label) if number == 0 => Identity::Text(label),
                _ => Identity::Number(number),
            }
        }
    })
}
