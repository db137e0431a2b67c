//! [`Name`] of an object, [`AttributeName`], and the rules that keep them unambiguous.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use crate::{Invalid, Uid, address};

/// The longest name, in bytes: the limit of a DNS name.
const LONGEST: usize = 253;

/// The name of a node or another object: a letter, then letters, digits, `-`, `.`, `_`.
///
/// A name never reads as a UID, a MAC or an IP address, so that a path says which of them it means. Cheap to clone.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared rather than copied.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl FromStr for Name {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| {
            Err(Invalid::Name {
                value: text.to_owned(),
                why,
            })
        };
        if text.len() > LONGEST {
            return bad("at most 253 bytes");
        }
        if !text.starts_with(|c: char| c.is_ascii_alphabetic())
            || !text
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'))
        {
            return bad("a letter, then letters, digits, '-', '.' or '_'");
        }
        if text.parse::<Uid>().is_ok() {
            return bad("it reads as a UID");
        }
        if address::reads_as_mac(text) {
            return bad("it reads as a MAC address");
        }
        if address::reads_as_ip(text) {
            return bad("it reads as an IP address");
        }
        Ok(Self(text.into()))
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl schemars::JsonSchema for Name {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9._-]*$", "maxLength": LONGEST})
    }
}

/// The name of an attribute: `[A-Za-z_][A-Za-z0-9_]*`. A leading `_` is for attributes the head itself acts on.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct AttributeName(Box<str>);

impl AttributeName {
    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AttributeName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let ok = text.len() <= LONGEST
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
        if ok {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::AttributeName(text.to_owned()))
        }
    }
}

impl Borrow<str> for AttributeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AttributeName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<AttributeName> for String {
    fn from(name: AttributeName) -> Self {
        name.0.into()
    }
}

impl schemars::JsonSchema for AttributeName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AttributeName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "maxLength": LONGEST})
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_field_are_accepted() {
        for good in [
            "n4",
            "switch0",
            "gpu-17.rack_3.example.org",
            "DefaultAttribs",
            "fe80",
            &"a".repeat(253),
        ] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_could_be_something_else_is_no_name() {
        for bad in [
            "",
            "4n",
            "-n",
            "n 4",
            "n/4",
            "nœud",
            &"a".repeat(254),
            &"ab".repeat(16),
            "aabbccddeeff",
            "AABBCCDDEEFF",
            "aa-bb-cc-dd-ee-ff",
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn attribute_names_are_identifiers() {
        for good in ["_boot_config", "rootpw", "A1"] {
            assert!(good.parse::<AttributeName>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "a-b", "a.b", "a b", "é"] {
            assert!(bad.parse::<AttributeName>().is_err(), "{bad}");
        }
    }
}
