//! [`Scalar`]: a text, and what it means to one who wants a number, a truth value or nothing at all.
//!
//! YAML has had two opinions on this. These are the readings of Go's yaml.v3, with which Butane has always been read:
//! `0644` is octal, `yes` is true where a truth value is wanted, and where a text is wanted every scalar is its own text.

use base64::{Engine as _, alphabet, engine};
use granit_parser::{ScalarStyle, Tag};

/// What stands between the structure of a document.
#[derive(Debug)]
pub(crate) struct Scalar {
    text: String,
    reading: Reading,
}

/// What the way of writing a scalar says about its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Written without quotes: the text decides.
    Plain,
    /// In quotes or as a block.
    Text,
    /// Marked as a number: `!!int` or `!!float`.
    Number,
    /// Marked as a truth value: `!!bool`.
    Bool,
    /// Marked as bytes in base64: `!!binary`.
    Binary,
    /// Marked as nothing: `!!null`.
    Null,
}

impl Scalar {
    pub(crate) fn new(text: String, style: ScalarStyle, tag: Option<&Tag>) -> Self {
        let name = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:"));
        let reading = match name.as_deref() {
            None if tag.is_none() && style == ScalarStyle::Plain => Reading::Plain,
            Some("int" | "float") => Reading::Number,
            Some("bool") => Reading::Bool,
            Some("binary") => Reading::Binary,
            Some("null") => Reading::Null,
            None | Some(_) => Reading::Text,
        };
        Self { text, reading }
    }

    /// As it is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is the key `<<` that brings in the entries of another mapping.
    pub(crate) fn is_merge(&self) -> bool {
        self.reading == Reading::Plain && self.text == "<<"
    }

    pub(crate) fn is_null(&self) -> bool {
        match self.reading {
            Reading::Plain => matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL"),
            reading => reading == Reading::Null,
        }
    }

    /// The value where a text is wanted; none if it is said to be base64 and is not.
    pub(crate) fn as_text(&self) -> Option<String> {
        if self.reading != Reading::Binary {
            return Some(self.text.clone());
        }
        let digits: String = self.text.split_whitespace().collect();
        let bytes = LENIENT.decode(digits).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The value where a truth value is wanted.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        let text = self.text.as_str();
        match self.reading {
            Reading::Plain | Reading::Bool
                if matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE") =>
            {
                Some(text.starts_with(['t', 'T']))
            }
            Reading::Plain | Reading::Text => match text {
                "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
                "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value where a whole number is wanted; what follows a point is cut off.
    pub(crate) fn as_integer(&self) -> Option<i64> {
        if !matches!(self.reading, Reading::Plain | Reading::Number) {
            return None;
        }
        let digits = self.text.replace('_', "");
        integer(&digits).or_else(|| truncated(&digits))
    }
}

/// Base64 with or without `=` at its end.
const LENIENT: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(engine::DecodePaddingMode::Indifferent),
);

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let prefixes = [
        ("0x", 16),
        ("0X", 16),
        ("0o", 8),
        ("0O", 8),
        ("0b", 2),
        ("0B", 2),
        ("0", 8),
    ];
    let prefixed = prefixes
        .iter()
        .find_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, *radix)))
        .filter(|(digits, _)| !digits.is_empty());
    let (digits, radix) = prefixed.unwrap_or((digits, 10));
    // The standard library would take a second sign.
    if !digits.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -value } else { value }).ok()
}

fn truncated(text: &str) -> Option<i64> {
    // The standard library would take `inf` and `nan` as well.
    let digits = text.trim_start_matches(['+', '-']);
    if text.len() - digits.len() > 1
        || !digits.starts_with(|c: char| c == '.' || c.is_ascii_digit())
    {
        return None;
    }
    let value = text.parse::<f64>().ok()?.trunc();
    // 2⁶³, the first that is too large; `as` loses nothing below it.
    let limit = 9_223_372_036_854_775_808.0;
    (value >= -limit && value < limit).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar::new(text.into(), ScalarStyle::Plain, None)
    }

    fn tagged(tag: &str, text: &str) -> Scalar {
        let tag = Tag::new("tag:yaml.org,2002:", tag.to_owned());
        Scalar::new(text.into(), ScalarStyle::DoubleQuoted, Some(&tag))
    }

    #[test]
    fn whole_numbers_in_every_notation() {
        for (text, value) in [
            ("420", 420),
            ("0644", 0o644),
            ("0o644", 0o644),
            ("0x1F", 31),
            ("0b101", 5),
            ("1_024", 1024),
            ("+512", 512),
            ("-1", -1),
            ("0", 0),
            ("-0x10", -16),
            ("4.9", 4),
            ("1e3", 1000),
            (".5e1", 5),
            ("0689", 689),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(plain(text).as_integer(), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_whole_number() {
        for text in [
            "",
            "-",
            "+-1",
            "0x",
            "u=rw",
            "0o689",
            ".",
            ".inf",
            "inf",
            "nan",
            "1e30",
            "1:30",
            "9223372036854775808",
            "--1",
        ] {
            assert_eq!(plain(text).as_integer(), None, "{text}");
        }
        let quoted = Scalar::new("0644".into(), ScalarStyle::DoubleQuoted, None);
        assert_eq!(quoted.as_integer(), None);
        assert_eq!(tagged("int", "0644").as_integer(), Some(0o644));
    }

    #[test]
    fn truth_values() {
        for text in ["true", "True", "TRUE", "y", "Yes", "ON"] {
            assert_eq!(plain(text).as_bool(), Some(true), "{text}");
        }
        for text in ["false", "N", "no", "Off"] {
            assert_eq!(plain(text).as_bool(), Some(false), "{text}");
        }
        for text in ["maybe", "1", "tRUE", ""] {
            assert_eq!(plain(text).as_bool(), None, "{text}");
        }
        assert_eq!(tagged("bool", "false").as_bool(), Some(false));
        let quoted = Scalar::new("true".into(), ScalarStyle::SingleQuoted, None);
        assert_eq!(quoted.as_bool(), None);
    }

    #[test]
    fn texts_and_nothing() {
        assert!(plain("~").is_null() && plain("").is_null());
        assert!(!Scalar::new(String::new(), ScalarStyle::Literal, None).is_null());
        assert_eq!(plain("0x1F").as_text().as_deref(), Some("0x1F"));
        assert_eq!(
            tagged("binary", "aGVs\nbG8").as_text().as_deref(),
            Some("hello")
        );
        assert_eq!(tagged("binary", "*").as_text(), None);
    }
}
