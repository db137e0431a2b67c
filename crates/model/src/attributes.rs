//! Attributes of nodes and groups, and what a node reports of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{AttributeName, Invalid};

/// The longest value of an attribute, in bytes.
const LONGEST_VALUE: usize = 64 * 1024;
/// The longest text of all of a node's facts of one kind together, in bytes. Nodes send them without a token, and the head
/// keeps them.
const LONGEST_FACTS: usize = 32 * 1024;
/// The most attributes one object may have.
const MOST: usize = 1000;

/// Named texts.
pub type Attributes = BTreeMap<AttributeName, String>;

pub(crate) fn validate_attributes(attributes: &Attributes) -> Result<(), Invalid> {
    if attributes.len() > MOST {
        return Err(Invalid::Text {
            field: "attributes".into(),
            why: format!("at most {MOST}"),
        });
    }
    attributes
        .iter()
        .try_for_each(|(name, value)| validate_text(name.as_str(), value))
}

pub(crate) fn validate_text(field: &str, value: &str) -> Result<(), Invalid> {
    let why = if value.len() > LONGEST_VALUE {
        format!("{} bytes, at most {LONGEST_VALUE}", value.len())
    } else if value.contains('\0') {
        "holds a NUL".into()
    } else {
        return Ok(());
    };
    Err(Invalid::Text {
        field: field.to_owned(),
        why,
    })
}

/// What a node reports of itself: its hardware, or its status. Keys are free text; numbers and truth values are kept as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Facts(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a text, a number, or true or false")]
        enum Fact {
            Text(String),
            Number(serde_json::Number),
            Truth(bool),
        }
        let facts = BTreeMap::<String, Fact>::deserialize(deserializer)?;
        let text = |fact| match fact {
            Fact::Text(text) => text,
            Fact::Number(number) => number.to_string(),
            Fact::Truth(truth) => truth.to_string(),
        };
        Ok(Self(
            facts
                .into_iter()
                .map(|(name, fact)| (name, text(fact)))
                .collect(),
        ))
    }
}

impl Facts {
    /// Whether nothing was reported.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These facts, and over them what was reported since.
    #[must_use]
    pub fn overlaid(&self, news: &Self) -> Self {
        let mut facts = self.0.clone();
        facts.extend(news.0.clone());
        Self(facts)
    }

    /// How many bytes their names and values have.
    pub fn size(&self) -> usize {
        let facts = self.0.iter();
        facts.map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Checks how long they are, and what the type of their values cannot. `field` names them in the reason.
    ///
    /// # Errors
    /// The first fault found.
    pub fn validate(&self, field: &str) -> Result<(), Invalid> {
        let length = self.size();
        if length > LONGEST_FACTS {
            return Err(Invalid::Text {
                field: field.to_owned(),
                why: format!("{length} bytes in all, at most {LONGEST_FACTS}"),
            });
        }
        self.0
            .iter()
            .try_for_each(|(name, value)| validate_text(&format!("{field}.{name}"), value))
    }
}
