//! A value as somebody wrote it, and how each type of setting is read from it.

use std::fmt::Display;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{duration, size};

/// A value of the file, or the text of an environment variable.
#[derive(Clone, Copy)]
pub(crate) enum Written<'a> {
    /// A TOML value with its place in the file.
    Toml(&'a Spanned<DeValue<'a>>),
    /// An environment variable's text, or one item of its comma list.
    Text(&'a str),
}

/// What is wrong with a written value.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The bytes of the file that are meant; `None` outside the file.
    pub(crate) span: Option<Range<usize>>,
    /// Why it does not do.
    pub(crate) reason: String,
}

/// The value, or all that is wrong with it.
pub(crate) type Parsed<T> = Result<T, Vec<Problem>>;

impl<'a> Written<'a> {
    /// This value is refused for `reason`.
    fn refused<T>(self, reason: impl Into<String>) -> Parsed<T> {
        let span = match self {
            Self::Toml(value) => Some(value.span()),
            Self::Text(_) => None,
        };
        let reason = reason.into();
        Err(vec![Problem { span, reason }])
    }

    fn text(self, wanted: &str) -> Parsed<&'a str> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Toml(value) => match value.get_ref() {
                DeValue::String(text) => Ok(text),
                other => self.refused(format!("must be {wanted}, not {}", named(other))),
            },
        }
    }

    fn items(self) -> Parsed<Vec<Self>> {
        match self {
            Self::Text(text) => Ok(text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Self::Text)
                .collect()),
            Self::Toml(value) => match value.get_ref() {
                DeValue::Array(items) => Ok(items.iter().map(Self::Toml).collect()),
                other => self.refused(format!("must be a list, not {}", named(other))),
            },
        }
    }
}

/// The kind of a value, with its article.
fn named(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a bare number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

/// One line of text that is not empty.
pub(crate) fn line(written: Written<'_>) -> Parsed<String> {
    match written.text("a text")? {
        "" => written.refused("must not be empty"),
        text if text.contains(char::is_control) => {
            written.refused("must be one line without control characters")
        }
        text => Ok(text.to_owned()),
    }
}

/// A path; a relative one counts from the working directory.
pub(crate) fn path(written: Written<'_>) -> Parsed<PathBuf> {
    match written.text("a path")? {
        "" => written.refused("must not be empty"),
        text => Ok(PathBuf::from(text)),
    }
}

/// A duration with its unit.
pub(crate) fn duration(written: Written<'_>) -> Parsed<Duration> {
    let text = written.text("a text such as \"30s\"")?;
    duration::parse(text).or_else(|reason| written.refused(reason))
}

/// A size in bytes with its unit.
pub(crate) fn size(written: Written<'_>) -> Parsed<u64> {
    let text = written.text("a text such as \"4MiB\"")?;
    size::parse(text).or_else(|reason| written.refused(reason))
}

/// A whole number, 0 or more.
pub(crate) fn number(written: Written<'_>) -> Parsed<u32> {
    let parsed = match written {
        Written::Text(text) => text.parse().ok(),
        Written::Toml(value) => match value.get_ref() {
            DeValue::Integer(integer) => {
                u32::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            _ => None,
        },
    };
    match parsed {
        Some(number) => Ok(number),
        None => written.refused(format!("must be a whole number from 0 to {}", u32::MAX)),
    }
}

/// A port number.
pub(crate) fn port(written: Written<'_>) -> Parsed<u16> {
    let port = number(written)?.try_into();
    port.or_else(|_| written.refused(format!("must be a port, {} at most", u16::MAX)))
}

/// What `FromStr` reads.
pub(crate) fn word<T: FromStr<Err: Display>>(written: Written<'_>) -> Parsed<T> {
    let text = written.text("a text")?;
    text.parse()
        .or_else(|reason: T::Err| written.refused(reason.to_string()))
}

/// What `parse` reads, unless it is zero.
pub(crate) fn more_than_zero<T: Default + PartialEq>(
    parse: impl Fn(Written<'_>) -> Parsed<T>,
) -> impl Fn(Written<'_>) -> Parsed<T> {
    move |written| match parse(written)? {
        zero if zero == T::default() => written.refused("must be more than zero"),
        value => Ok(value),
    }
}

/// A list of what `parse` reads; in the environment, separated by commas.
pub(crate) fn list_of<T>(
    parse: impl Fn(Written<'_>) -> Parsed<T>,
) -> impl Fn(Written<'_>) -> Parsed<Vec<T>> {
    move |written| {
        let (mut values, mut problems) = (Vec::new(), Vec::new());
        for item in written.items()? {
            match parse(item) {
                Ok(value) => values.push(value),
                Err(wrong) => problems.extend(wrong),
            }
        }
        if problems.is_empty() {
            Ok(values)
        } else {
            Err(problems)
        }
    }
}
