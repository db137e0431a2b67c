//! `storage.trees`: local directories become files and links of the config.

use std::collections::HashMap;

use super::{
    Allowance, Files, LocalError, Release, Report, TreeEntry, TreeEntryKind, files, local,
};
use crate::{Severity::Error, Tree, Value};

/// Adds what is in the trees to what the config has, in the order of names, directory by directory.
pub(super) fn embed(
    config: &mut Tree,
    release: &Release,
    files: Option<&dyn Files>,
    allowance: &mut Allowance,
    report: &mut Report,
) {
    let Some(storage) = config.get_mut("storage") else {
        return;
    };
    let Some(trees) = storage.take("trees") else {
        return;
    };
    let mut nodes = Nodes::take_from(storage);
    for tree in trees.items() {
        let target = tree
            .get("path")
            .and_then(Tree::text)
            .filter(|path| !path.is_empty());
        let target = target.unwrap_or("/");
        let (name, entries) = match list(tree, files) {
            Ok(listed) => listed,
            Err(error) => {
                report.at(Error, tree, error.to_string());
                if error == LocalError::NoFiles {
                    break;
                }
                continue;
            }
        };
        for entry in entries {
            let path = simplest(&format!("{target}/{}", entry.name));
            let added = match entry.kind {
                TreeEntryKind::Directory => Ok(()),
                TreeEntryKind::Symlink { target } => nodes.add_link(tree, &path, &target),
                TreeEntryKind::File { executable } => nodes.file(tree, &path).and_then(|file| {
                    let contents = files.map(|files| files.read(&join(&name, &entry.name)));
                    let contents = contents
                        .unwrap_or(Err(LocalError::NoFiles))
                        .map_err(|error| error.to_string())?;
                    fill(file, tree, &contents, executable, release, allowance)
                }),
                TreeEntryKind::Other => {
                    Err(format!("{} is no file, directory or symlink", entry.name))
                }
            };
            if let Err(reason) = added {
                report.at(Error, tree, reason);
            }
        }
    }
    nodes.put_into(storage);
}

/// The name of the directory, and what is beneath it in its order.
fn list(tree: &Tree, files: Option<&dyn Files>) -> Result<(String, Vec<TreeEntry>), LocalError> {
    let files = files.ok_or(LocalError::NoFiles)?;
    let name = files::name(tree.get("local").and_then(Tree::text).unwrap_or_default())?;
    let mut entries = files.tree(&name)?;
    entries.sort_by(|a, b| a.name.split('/').cmp(b.name.split('/')));
    Ok((name, entries))
}

fn join(directory: &str, name: &str) -> String {
    match (directory, name) {
        ("", name) | (name, "") => name.into(),
        _ => format!("{directory}/{name}"),
    }
}

/// Gives a file its contents, and a mode if it has none.
fn fill(
    file: &mut Tree,
    tree: &Tree,
    contents: &[u8],
    executable: bool,
    release: &Release,
    allowance: &mut Allowance,
) -> Result<(), String> {
    let none = Tree::made_from(tree, Value::Map(Vec::new()));
    let mut resource = file.take("contents").unwrap_or(none);
    local::carry(&mut resource, tree, contents, release, allowance)
        .map_err(|error| error.to_string())?;
    file.put("contents", resource);
    if file.get("mode").is_none() {
        let mode = if executable { 0o755 } else { 0o644 };
        file.put("mode", Tree::made_from(tree, Value::Integer(mode)));
    }
    Ok(())
}

/// What the config creates so far.
struct Nodes {
    lists: [Vec<Tree>; 3],
    by_path: HashMap<String, (Kind, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Link,
}

const KINDS: [(Kind, &str); 3] = [
    (Kind::File, "files"),
    (Kind::Directory, "directories"),
    (Kind::Link, "links"),
];

impl Nodes {
    fn take_from(storage: &mut Tree) -> Self {
        let lists = KINDS.map(|(_, key)| match storage.take(key) {
            Some(Tree {
                value: Value::List(items),
                ..
            }) => items,
            _ => Vec::new(),
        });
        let mut by_path = HashMap::new();
        for (items, (kind, _)) in lists.iter().zip(KINDS) {
            for (index, item) in items.iter().enumerate() {
                let path = item.get("path").and_then(Tree::text).unwrap_or_default();
                by_path.insert(path.to_owned(), (kind, index));
            }
        }
        Self { lists, by_path }
    }

    fn put_into(self, storage: &mut Tree) {
        for (items, (_, key)) in self.lists.into_iter().zip(KINDS) {
            storage.set(key, Value::List(items));
        }
    }

    /// The node of a path, which is made if there is none; nothing if it is of another kind, or has what it should get.
    fn node(&mut self, kind: Kind, tree: &Tree, path: &str) -> Option<&mut Tree> {
        let list = &mut self.lists[kind as usize];
        let index = match self.by_path.get(path) {
            Some(&(of, index)) if of == kind => index,
            Some(_) => return None,
            None => {
                self.by_path.insert(path.to_owned(), (kind, list.len()));
                list.push(Tree::map_from(tree, [("path", path.into())]));
                list.len() - 1
            }
        };
        list.get_mut(index)
    }

    /// The file of a path, for contents.
    fn file(&mut self, tree: &Tree, path: &str) -> Result<&mut Tree, String> {
        let file = self.node(Kind::File, tree, path);
        file.filter(|file| !has(file.get("contents"), "source"))
            .ok_or_else(|| occupied(path))
    }

    fn add_link(&mut self, tree: &Tree, path: &str, target: &str) -> Result<(), String> {
        let link = self
            .node(Kind::Link, tree, path)
            .filter(|link| !has(Some(&**link), "target"));
        let link = link.ok_or_else(|| occupied(path))?;
        link.put("target", Tree::made_from(tree, target.into()));
        Ok(())
    }
}

fn has(tree: Option<&Tree>, key: &str) -> bool {
    tree.and_then(|tree| tree.get(key)?.text())
        .is_some_and(|text| !text.is_empty())
}

fn occupied(path: &str) -> String {
    format!("{path} is something else, or has contents already")
}

/// A path without empty parts, `.` and, as far as they go, `..`.
fn simplest(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let rooted = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".into(),
        (false, path) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simplest_paths() {
        for (path, expected) in [
            ("//etc/x", "/etc/x"),
            ("/opt/./a/../b/", "/opt/b"),
            ("/..", "/"),
            ("srv/x/aa", "srv/x/aa"),
            ("../a", "../a"),
            ("a/..", "."),
        ] {
            assert_eq!(simplest(path), expected);
        }
    }
}
