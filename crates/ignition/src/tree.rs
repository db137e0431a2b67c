//! [`Tree`]: a document of which every part knows where its author wrote it.

use crate::{Path, Position, json};

/// A value and its origin. What is translated keeps the origin of what it was made from, so that whatever is found wrong
/// with the result points into the text that a person wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// Where in the source document.
    pub path: Path,
    /// Where in the source text.
    pub position: Option<Position>,
    /// What it is.
    pub value: Value,
}

impl Tree {
    /// Something new, made from `origin`.
    pub fn made_from(origin: &Self, value: Value) -> Self {
        Self {
            path: origin.path.clone(),
            position: origin.position,
            value,
        }
    }

    /// A new mapping, made from `origin` whole.
    pub(crate) fn map_from<const N: usize>(origin: &Self, entries: [(&str, Value); N]) -> Self {
        let entries = entries.map(|(key, value)| Entry {
            key: key.into(),
            position: origin.position,
            value: Self::made_from(origin, value),
        });
        Self::made_from(origin, Value::Map(entries.into()))
    }

    /// The document as JSON, without space.
    pub fn to_json(&self) -> Vec<u8> {
        json::to_text(self)
    }

    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let mut entries = self.entries().iter();
        entries
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The entries, if this is a mapping; else none.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items, if this is a list; else none.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text, if this is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is a whole one.
    pub fn integer(&self) -> Option<i64> {
        match self.value {
            Value::Integer(integer) => Some(integer),
            _ => None,
        }
    }

    /// Sets the value of a key, if this is a mapping: to something new, made from this.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        let made = Self::made_from(self, value);
        self.put(key, made);
    }

    /// Sets the value of a key, if this is a mapping.
    pub(crate) fn put(&mut self, key: &str, value: Self) {
        let Value::Map(entries) = &mut self.value else {
            return;
        };
        match entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.value = value,
            None => entries.push(Entry {
                key: key.into(),
                position: value.position,
                value,
            }),
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        let entry = entries.iter_mut().find(|entry| entry.key == key)?;
        Some(&mut entry.value)
    }

    /// Takes the value of a key out, if this is a mapping that has it.
    pub(crate) fn take(&mut self, key: &str) -> Option<Self> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        let index = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(index).value)
    }

    /// Whether there is nothing in it but empty lists and mappings.
    pub(crate) fn says_nothing(&self) -> bool {
        match &self.value {
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.iter().all(|entry| entry.value.says_nothing()),
            _ => false,
        }
    }

    /// Whether this is `true`.
    pub fn is_true(&self) -> bool {
        self.value == Value::Bool(true)
    }
}

/// What JSON and YAML know in common.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number that is not whole, or too large.
    Float(f64),
    /// Text.
    Text(String),
    /// Values in their order.
    List(Vec<Tree>),
    /// Keys and values, in the order of the source; no key stands twice.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands in the source text.
    pub position: Option<Position>,
    /// The value.
    pub value: Tree,
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<Tree>> for Value {
    fn from(value: Vec<Tree>) -> Self {
        Self::List(value)
    }
}
