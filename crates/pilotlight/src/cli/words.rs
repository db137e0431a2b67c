//! The words `name=value` of a command line, and the JSON they stand for.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::error::Error;

/// `name=value`: text, as written. `name:=value`: JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    /// What stands before the sign.
    pub(crate) name: String,
    /// What stands after it.
    pub(crate) value: Assigned,
}

/// The right side of an [`Assignment`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Assigned {
    /// After `=`.
    Text(String),
    /// After `:=`.
    Json(Value),
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (name, text) = word
            .split_once('=')
            .ok_or_else(|| format!("{word:?} is not name=value"))?;
        let (name, value) = match name.strip_suffix(':') {
            None => (name, Assigned::Text(text.to_owned())),
            Some(name) => match serde_json::from_str(text) {
                Ok(json) => (name, Assigned::Json(json)),
                Err(error) => return Err(format!("{name} is no JSON: {error}")),
            },
        };
        if name.is_empty() {
            return Err(format!("{word:?} has no name before the ="));
        }
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }
}

/// A field of an object that words may set.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) form: Form,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Truth,
    /// Names, separated by commas.
    List,
    /// Anything, written with `:=`.
    Json,
}

/// The fields that `words` set, as JSON. An empty value is null: it clears the field. `attr.NAME=value` is an attribute,
/// where the object `has_attributes`; there, empty text is a value too.
///
/// # Errors
/// [`Error::Usage`] for a field that is unknown or set twice, and a value that does not fit.
pub(crate) fn fields(
    words: Vec<Assignment>,
    known: &[Field],
    has_attributes: bool,
) -> Result<Map<String, Value>, Error> {
    let mut object = Map::new();
    let mut attributes = Vec::new();
    for Assignment { name, value } in words {
        if has_attributes && let Some(attribute) = name.strip_prefix("attr.") {
            let name = attribute.to_owned();
            attributes.push(Assignment { name, value });
            continue;
        }
        let Some(field) = known.iter().find(|field| field.name == name) else {
            let mut names: Vec<&str> = known.iter().map(|field| field.name).collect();
            names.extend(has_attributes.then_some("attr.NAME"));
            return Err(Error::Usage(format!(
                "unknown field {name:?}; there are {}",
                names.join(", ")
            )));
        };
        let value = field_value(field, value)?;
        set_once(&mut object, &name, value)?;
    }
    if !attributes.is_empty() {
        object.insert(
            "attributes".to_owned(),
            Value::Object(self::attributes(attributes)?),
        );
    }
    Ok(object)
}

/// The attributes that `words` set.
///
/// # Errors
/// [`Error::Usage`] for an attribute that is set twice.
pub(crate) fn attributes(words: Vec<Assignment>) -> Result<Map<String, Value>, Error> {
    let mut attributes = Map::new();
    for Assignment { name, value } in words {
        let value = match value {
            Assigned::Text(text) => Value::String(text),
            Assigned::Json(json) => json,
        };
        set_once(&mut attributes, &name, value)?;
    }
    Ok(attributes)
}

fn set_once(object: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), Error> {
    match object.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(Error::Usage(format!("{name} is given twice"))),
    }
}

fn field_value(field: &Field, value: Assigned) -> Result<Value, Error> {
    let text = match value {
        Assigned::Json(json) => return Ok(json),
        Assigned::Text(text) => text,
    };
    let name = field.name;
    match field.form {
        Form::List => Ok(text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .collect()),
        _ if text.is_empty() => Ok(Value::Null),
        Form::Text => Ok(Value::String(text)),
        Form::Number => match text.parse::<u64>() {
            Ok(number) => Ok(number.into()),
            Err(_) => Err(Error::Usage(format!(
                "{name} must be a whole number, not {text:?}"
            ))),
        },
        Form::Truth => match text.parse::<bool>() {
            Ok(truth) => Ok(truth.into()),
            Err(_) => Err(Error::Usage(format!(
                "{name} must be true or false, not {text:?}"
            ))),
        },
        Form::Json => Err(Error::Usage(format!(
            "{name} takes JSON: write {name}:='…'"
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const FIELDS: &[Field] = &[
        Field {
            name: "ip",
            form: Form::Text,
        },
        Field {
            name: "index",
            form: Form::Number,
        },
        Field {
            name: "public",
            form: Form::Truth,
        },
        Field {
            name: "groups",
            form: Form::List,
        },
        Field {
            name: "interfaces",
            form: Form::Json,
        },
    ];

    fn parsed(words: &[&str], has_attributes: bool) -> Result<Value, String> {
        let words = words
            .iter()
            .map(|word| word.parse())
            .collect::<Result<_, String>>()?;
        let object = fields(words, FIELDS, has_attributes).map_err(|error| error.to_string())?;
        Ok(Value::Object(object))
    }

    #[test]
    fn each_form_of_field_is_read() {
        assert_eq!(
            parsed(
                &[
                    "ip=10.0.0.4",
                    "index=4",
                    "public=true",
                    "groups=gpu, big",
                    "interfaces:=[]",
                    "attr.a=x=y",
                    "attr.b="
                ],
                true
            )
            .unwrap(),
            json!({"ip": "10.0.0.4", "index": 4, "public": true, "groups": ["gpu", "big"], "interfaces": [],
                   "attributes": {"a": "x=y", "b": ""}})
        );
    }

    #[test]
    fn an_empty_value_clears() {
        assert_eq!(
            parsed(&["ip=", "index=", "public=", "groups="], true).unwrap(),
            json!({"ip": null, "index": null, "public": null, "groups": []})
        );
    }

    #[test]
    fn what_does_not_do_is_refused_with_what_would() {
        for (words, reason) in [
            (&["ip"][..], "\"ip\" is not name=value"),
            (&["=x"], "\"=x\" has no name before the ="),
            (
                &["ipp=1"],
                "unknown field \"ipp\"; there are ip, index, public, groups, interfaces",
            ),
            (
                &["attr.a=1"],
                "unknown field \"attr.a\"; there are ip, index, public, groups, interfaces",
            ),
            (&["ip=1", "ip=2"], "ip is given twice"),
            (
                &["index=four"],
                "index must be a whole number, not \"four\"",
            ),
            (&["public=yes"], "public must be true or false, not \"yes\""),
            (
                &["interfaces=x"],
                "interfaces takes JSON: write interfaces:='…'",
            ),
            (
                &["interfaces:=["],
                "interfaces is no JSON: EOF while parsing a list at line 1 column 1",
            ),
        ] {
            assert_eq!(parsed(words, false).unwrap_err(), reason);
        }
        assert_eq!(
            parsed(&["attr.a=1", "attr.a=2"], true).unwrap_err(),
            "a is given twice"
        );
    }

    proptest! {
        #[test]
        fn a_value_is_taken_as_written(name in "[A-Za-z_.]{1,12}", value in ".*") {
            let assignment: Assignment = format!("{name}={value}").parse().unwrap();
            prop_assert_eq!(assignment, Assignment { name, value: Assigned::Text(value) });
        }
    }
}
