//! [`Node`]: a part of a config as the rules see it.

use super::Version;
use crate::{
    Path, Position, Segment, Tree, Value,
    schema::{Field, Shape},
};

/// Texts that are taken for those of other parts.
pub(crate) type Filled<'t> = [(&'t Tree, &'t str)];

/// A part of a config that may be absent. What is null counts as absent, and so does what this version does not know: the
/// client would pass over it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'t> {
    version: Version,
    filled: &'t Filled<'t>,
    shape: Option<&'static Shape<Version>>,
    /// The part itself or, of one that is absent, the part it would be in.
    nearest: &'t Tree,
    /// The key that is not there.
    absent: Option<&'static str>,
}

impl<'t> Node<'t> {
    pub(super) fn root(
        tree: &'t Tree,
        shape: &'static Shape<Version>,
        version: Version,
        filled: &'t Filled<'t>,
    ) -> Self {
        Self {
            version,
            filled,
            shape: Some(shape),
            nearest: tree,
            absent: None,
        }
    }

    /// Where it is; of an absent part, where it would be.
    pub(super) fn path(self) -> Path {
        let mut path = self.nearest.path.clone();
        path.0
            .extend(self.absent.map(|key| Segment::Key(key.into())));
        path
    }

    /// The place in the text; of an absent part, that of the part it would be in.
    pub(super) fn position(self) -> Option<Position> {
        self.nearest.position
    }

    fn value(self) -> Option<&'t Value> {
        self.absent
            .is_none()
            .then_some(&self.nearest.value)
            .filter(|value| **value != Value::Null)
    }

    pub(super) fn is_present(self) -> bool {
        self.value().is_some()
    }

    pub(super) fn get(self, key: &'static str) -> Self {
        let absent = Self {
            shape: None,
            absent: Some(key),
            ..self
        };
        let known = self
            .fields()
            .iter()
            .find(|field| field.name == key && field.since <= self.version);
        let (Some(field), Some(Value::Map(entries))) = (known, self.value()) else {
            return absent;
        };
        match entries.iter().find(|entry| entry.key == key) {
            Some(entry) => Self {
                shape: Some(&field.shape),
                nearest: &entry.value,
                ..self
            },
            None => absent,
        }
    }

    /// The keys that a mapping of this shape may have, those of later versions as well.
    pub(super) fn fields(self) -> &'static [Field<Version>] {
        match self.shape {
            Some(Shape::Map(fields)) => fields,
            _ => &[],
        }
    }

    /// Of a list.
    pub(super) fn items(self) -> impl ExactSizeIterator<Item = Self> + Clone {
        let (items, shape) = match (self.value(), self.shape) {
            (Some(Value::List(items)), Some(Shape::List(shape))) => {
                (items.as_slice(), Some(*shape))
            }
            _ => (&[][..], None),
        };
        items.iter().map(move |item| Self {
            shape,
            nearest: item,
            ..self
        })
    }

    pub(super) fn text_if_present(self) -> Option<&'t str> {
        let Some(Value::Text(text)) = self.value() else {
            return None;
        };
        let mut filled = self.filled.iter();
        let filled = filled.find(|(tree, _)| std::ptr::eq(*tree, self.nearest));
        Some(filled.map_or(text, |(_, filled)| filled))
    }

    /// Empty where there is none.
    pub(super) fn text(self) -> &'t str {
        self.text_if_present().unwrap_or_default()
    }

    pub(super) fn integer(self) -> Option<i64> {
        match self.value() {
            Some(Value::Integer(integer)) => Some(*integer),
            _ => None,
        }
    }

    pub(super) fn is_true(self) -> bool {
        self.value() == Some(&Value::Bool(true))
    }

    pub(super) fn is_false(self) -> bool {
        self.value() == Some(&Value::Bool(false))
    }
}
