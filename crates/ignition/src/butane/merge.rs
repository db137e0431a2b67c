//! What is generated and what the author says of the same thing become one: the author wins, field by field.

use crate::{Entry, Tree, Value, Version};

/// Puts what was generated into the config, in front of what is there, by the rules by which Ignition merges configs.
pub(super) fn add_generated(config: &mut Tree, mut generated: Tree, version: Version) {
    drop_replaced_files(&mut generated, config);
    merge_into(config, generated, "", version);
}

/// Drops generated files in whose place the config has something else.
fn drop_replaced_files(generated: &mut Tree, config: &Tree) {
    let lists = ["directories", "links"]
        .map(|key| config.get("storage").and_then(|storage| storage.get(key)));
    let others: Vec<_> = lists
        .into_iter()
        .flatten()
        .flat_map(Tree::items)
        .map(|item| item.get("path"))
        .collect();
    let files = generated
        .get_mut("storage")
        .and_then(|storage| storage.get_mut("files"));
    if let Some(Tree {
        value: Value::List(files),
        ..
    }) = files
    {
        let path = |tree: Option<&Tree>| tree.and_then(Tree::text).map(str::to_owned);
        files.retain(|file| {
            !others
                .iter()
                .any(|&other| path(other) == path(file.get("path")))
        });
    }
}

fn merge_into(child: &mut Tree, parent: Tree, key: &str, version: Version) {
    match (&mut child.value, parent.value) {
        // Until then it was taken for one thing.
        _ if key == "clevis" && version <= Version::V3_2 => {}
        (Value::Map(child), Value::Map(parent)) => merge_entries(child, parent, version),
        (Value::List(child), Value::List(parent)) => merge_items(child, parent, key, version),
        _ => {}
    }
}

fn merge_entries(child: &mut Vec<Entry>, parent: Vec<Entry>, version: Version) {
    for entry in parent {
        match child.iter_mut().find(|own| own.key == entry.key) {
            Some(own) => merge_into(&mut own.value, entry.value, &entry.key, version),
            None => child.push(entry),
        }
    }
}

/// Items of the same identity become one, in the place of the parent's.
fn merge_items(child: &mut Vec<Tree>, parent: Vec<Tree>, key: &str, version: Version) {
    let mut own: Vec<Option<Tree>> = child.drain(..).map(Some).collect();
    for item in parent {
        let id = identity(key, &item);
        let mut same = own
            .iter_mut()
            .filter(|own| id.is_some() && own.as_ref().is_some_and(|own| identity(key, own) == id));
        match same.next().and_then(Option::take) {
            Some(mut own) => {
                merge_into(&mut own, item, key, version);
                child.push(own);
            }
            None => child.push(item),
        }
    }
    child.extend(own.into_iter().flatten());
}

/// What makes an item of a list the same as another; nothing in lists whose items have none.
#[derive(Debug, PartialEq)]
enum Identity<'t> {
    Text(&'t str),
    Number(i64),
}

fn identity<'t>(list: &str, item: &'t Tree) -> Option<Identity<'t>> {
    let text = |key: &str| item.get(key).and_then(Tree::text).map(Identity::Text);
    match list {
        "disks" | "filesystems" => text("device"),
        "luks" | "raid" | "units" | "dropins" => text("name"),
        "files" => text("path"),
        "tang" => text("url"),
        "devices" => item.text().map(Identity::Text),
        "partitions" => match item.get("number").and_then(Tree::integer) {
            Some(number) if number != 0 => Some(Identity::Number(number)),
            _ => text("label"),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Path, Position, Segment};

    fn tree(at: &str, value: Value) -> Tree {
        let path = Path(vec![Segment::Key(at.into())]);
        Tree {
            path,
            position: Some(Position { line: 1, column: 1 }),
            value,
        }
    }

    fn named(at: &str, name: &str, enabled: Option<bool>) -> Tree {
        let mut unit = tree(at, Value::Map(Vec::new()));
        unit.set("name", name.into());
        if let Some(enabled) = enabled {
            unit.set("enabled", enabled.into());
        }
        unit
    }

    #[test]
    fn the_author_wins_field_by_field_in_the_place_of_the_generated() {
        let mut own = tree("own", Value::Map(Vec::new()));
        own.set(
            "units",
            vec![named("x", "x", None), named("mine", "b", Some(false))].into(),
        );
        let mut made = tree("made", Value::Map(Vec::new()));
        made.set(
            "units",
            vec![named("a", "a", Some(true)), named("b", "b", Some(true))].into(),
        );
        add_generated(&mut own, made, Version::V3_4);
        let units = own.get("units").map(Tree::items).unwrap_or_default();
        let summary = units.iter().map(|unit| {
            let name = unit.get("name").and_then(Tree::text).unwrap_or_default();
            (
                name,
                unit.get("enabled").map(Tree::is_true),
                unit.path.to_string(),
            )
        });
        assert_eq!(
            summary.collect::<Vec<_>>(),
            [
                ("a", Some(true), "$.a".into()),
                ("b", Some(false), "$.mine".into()),
                ("x", None, "$.x".into())
            ]
        );
    }

    #[test]
    fn lists_without_identity_are_joined() {
        let mut own = tree("own", vec![tree("a", "x".into())].into());
        merge_into(
            &mut own,
            tree("made", vec![tree("b", "x".into())].into()),
            "options",
            Version::V3_4,
        );
        assert_eq!(own.items().len(), 2);
    }
}
