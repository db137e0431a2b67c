//! [`Shape`]: which keys a document may have, with values of which type, since which version.

use crate::{Diagnostic, Entry, Severity, Tree, Value};

/// What a value must look like. `V` is the version of the format.
#[derive(Debug)]
pub(crate) enum Shape<V: 'static> {
    /// Yes or no.
    Bool,
    /// A whole number.
    Integer,
    /// Text.
    Text,
    /// Any number of values of one shape.
    List(&'static Self),
    /// These keys, each of which may be absent or null.
    Map(&'static [Field<V>]),
}

/// A key of a mapping.
#[derive(Debug)]
pub(crate) struct Field<V: 'static> {
    pub(crate) name: &'static str,
    /// The first version that knows the key.
    pub(crate) since: V,
    pub(crate) shape: Shape<V>,
}

/// What in `tree` is not of `shape`: a value of another type is an error; a key that `version` does not know is a warning,
/// since the programs that read these documents pass over it; but a key that only in case differs from one it knows is an
/// error, since they do not tell case apart, and what it says would be done unchecked.
pub(crate) fn check<V: Copy + PartialOrd>(
    tree: &Tree,
    shape: &Shape<V>,
    version: V,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    visit(tree, shape, version, &mut found);
    found
}

fn visit<V: Copy + PartialOrd>(
    tree: &Tree,
    shape: &Shape<V>,
    version: V,
    found: &mut Vec<Diagnostic>,
) {
    match (shape, &tree.value) {
        (_, Value::Null)
        | (Shape::Bool, Value::Bool(_))
        | (Shape::Integer, Value::Integer(_))
        | (Shape::Text, Value::Text(_)) => {}
        (Shape::List(of), Value::List(items)) => items
            .iter()
            .for_each(|item| visit(item, of, version, found)),
        (Shape::Map(fields), Value::Map(entries)) => {
            for entry in entries {
                match fields
                    .iter()
                    .find(|field| field.name == entry.key && field.since <= version)
                {
                    Some(field) => visit(&entry.value, &field.shape, version, found),
                    None => found.push(unknown(entry, fields, version)),
                }
            }
        }
        (_, value) => found.push(Diagnostic {
            severity: Severity::Error,
            path: Some(tree.path.clone()),
            position: tree.position,
            message: format!("expected {}, found {}", shape.noun(), value.noun()),
        }),
    }
}

fn unknown<V: Copy + PartialOrd>(entry: &Entry, fields: &[Field<V>], version: V) -> Diagnostic {
    let key = &entry.key;
    let similar = fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(key));
    let (severity, message) = match similar {
        Some(field) if field.name != key && field.since <= version => (
            Severity::Error,
            format!(
                "{key} has to be written {}: clients would take the one for the other",
                field.name
            ),
        ),
        Some(_) => (
            Severity::Warning,
            format!("{key} is not known in this version, and ignored"),
        ),
        None => (Severity::Warning, format!("unknown key {key}, ignored")),
    };
    Diagnostic {
        severity,
        path: Some(entry.value.path.clone()),
        position: entry.position,
        message,
    }
}

impl<V> Shape<V> {
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Integer => "a whole number",
            Self::Text => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Value {
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number that is not whole or too large",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Path, Position, Segment};

    const SHAPE: Shape<u8> = Shape::Map(&[
        Field {
            name: "name",
            since: 0,
            shape: Shape::Text,
        },
        Field {
            name: "sizes",
            since: 0,
            shape: Shape::List(&Shape::Integer),
        },
        Field {
            name: "late",
            since: 2,
            shape: Shape::Bool,
        },
    ]);

    fn leaf(key: &str, value: Value) -> Entry {
        let path = Path(vec![Segment::Key(key.into())]);
        let position = Some(Position { line: 1, column: 2 });
        Entry {
            key: key.into(),
            position,
            value: Tree {
                path,
                position: None,
                value,
            },
        }
    }

    fn check_version(version: u8, entries: Vec<Entry>) -> Vec<(Severity, String)> {
        let tree = Tree {
            path: Path::default(),
            position: None,
            value: Value::Map(entries),
        };
        check(&tree, &SHAPE, version)
            .into_iter()
            .map(|found| (found.severity, found.message))
            .collect()
    }

    #[test]
    fn what_fits_is_not_mentioned() {
        let fits = vec![
            leaf("name", Value::Null),
            leaf("sizes", Value::List(vec![])),
            leaf("late", Value::Bool(true)),
        ];
        assert_eq!(check_version(2, fits), []);
    }

    #[test]
    fn another_type_is_an_error() {
        let found = check_version(
            2,
            vec![
                leaf("name", Value::Integer(1)),
                leaf("late", Value::Text("yes".into())),
            ],
        );
        assert_eq!(
            found,
            [
                (
                    Severity::Error,
                    "expected text, found a whole number".into()
                ),
                (Severity::Error, "expected true or false, found text".into())
            ]
        );
    }

    #[test]
    fn keys_that_are_not_known() {
        let found = check_version(
            1,
            vec![
                leaf("late", Value::Null),
                leaf("Name", Value::Null),
                leaf("x", Value::Null),
            ],
        );
        assert_eq!(
            found,
            [
                (
                    Severity::Warning,
                    "late is not known in this version, and ignored".into()
                ),
                (
                    Severity::Error,
                    "Name has to be written name: clients would take the one for the other".into()
                ),
                (Severity::Warning, "unknown key x, ignored".into())
            ]
        );
    }
}
