//! JSON text → [`Tree`], strictly by the standard, and back.

use std::collections::HashMap;

use struson::reader::{
    JsonReader as _, JsonStreamReader, JsonSyntaxError, ReaderError, ReaderSettings, ValueType,
};

use crate::{Diagnostic, Entry, Path, Position, Segment, Severity, Tree, Value};

/// No config is larger; contents that are belong behind a URL.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// Configs are 8 deep; unknown keys may be deeper.
const MAX_DEPTH: u32 = 64;

type Reader<'t> = JsonStreamReader<&'t [u8]>;

/// Reads a document.
pub(crate) fn parse(text: &[u8]) -> Result<Tree, Diagnostic> {
    if text.len() > MAX_BYTES {
        return Err(error(
            None,
            None,
            format!("larger than {} MiB", MAX_BYTES >> 20),
        ));
    }
    if text.trim_ascii().is_empty() {
        return Err(error(None, None, "empty".to_string()));
    }
    let mut reader = reader(text);
    let tree = value(&mut reader, &mut Vec::new())?;
    reader.consume_trailing_whitespace().map_err(unreadable)?;
    Ok(tree)
}

/// Whether a text is JSON of any kind.
pub(crate) fn is_json(text: &str) -> bool {
    let mut reader = reader(text.as_bytes());
    reader.skip_value().is_ok() && reader.consume_trailing_whitespace().is_ok()
}

fn reader(text: &[u8]) -> Reader<'_> {
    JsonStreamReader::new_custom(
        text,
        ReaderSettings {
            max_nesting_depth: Some(MAX_DEPTH),
            track_path: false,
            // It would refuse exponents of three digits, which floats have.
            restrict_number_values: false,
            ..ReaderSettings::default()
        },
    )
}

fn value(reader: &mut Reader, path: &mut Vec<Segment>) -> Result<Tree, Diagnostic> {
    let kind = reader.peek().map_err(unreadable)?;
    let position = position(reader);
    let value = match kind {
        ValueType::Null => reader.next_null().map(|()| Value::Null),
        ValueType::Boolean => reader.next_bool().map(Value::Bool),
        ValueType::String => reader.next_string().map(Value::Text),
        ValueType::Number => match reader.next_number_as_str().map(number) {
            Ok(None) => {
                let message = "a number that is out of bounds".to_string();
                return Err(error(Some(Path(path.clone())), position, message));
            }
            Ok(Some(number)) => Ok(number),
            Err(reason) => Err(reason),
        },
        ValueType::Array => Ok(Value::List(list(reader, path)?)),
        ValueType::Object => Ok(Value::Map(map(reader, path)?)),
    };
    Ok(Tree {
        path: Path(path.clone()),
        position,
        value: value.map_err(unreadable)?,
    })
}

/// `None`: no float comes near it.
fn number(text: &str) -> Option<Value> {
    if let Ok(integer) = text.parse() {
        return Some(Value::Integer(integer));
    }
    let float: f64 = text.parse().ok()?;
    float.is_finite().then_some(Value::Float(float))
}

fn list(reader: &mut Reader, path: &mut Vec<Segment>) -> Result<Vec<Tree>, Diagnostic> {
    reader.begin_array().map_err(unreadable)?;
    let mut items = Vec::new();
    while reader.has_next().map_err(unreadable)? {
        path.push(Segment::Index(items.len()));
        items.push(value(reader, path)?);
        path.pop();
    }
    reader.end_array().map_err(unreadable)?;
    Ok(items)
}

fn map(reader: &mut Reader, path: &mut Vec<Segment>) -> Result<Vec<Entry>, Diagnostic> {
    reader.begin_object().map_err(unreadable)?;
    let mut entries = Vec::new();
    let mut seen = HashMap::new();
    while reader.has_next().map_err(unreadable)? {
        let key_position = position(reader);
        let key = reader.next_name_owned().map_err(unreadable)?;
        path.push(Segment::Key(key.clone()));
        if let Some(first) = seen.insert(key.clone(), key_position) {
            // The client would take the last and not say so.
            let first = first.map_or_else(String::new, |first| format!(" at {first}"));
            let message = format!("{key} stands here a second time; the first is{first}");
            return Err(error(Some(Path(path.clone())), key_position, message));
        }
        let value = value(reader, path)?;
        path.pop();
        entries.push(Entry {
            key,
            position: key_position,
            value,
        });
    }
    reader.end_object().map_err(unreadable)?;
    Ok(entries)
}

/// Of what comes next, where the reader has looked at it already.
fn position(reader: &Reader) -> Option<Position> {
    let at = reader.current_position(false).line_pos?;
    Some(Position {
        line: one_based(at.line),
        column: one_based(at.column),
    })
}

fn one_based(counted_from_zero: u64) -> u32 {
    u32::try_from(counted_from_zero)
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}

fn error(path: Option<Path>, position: Option<Position>, message: String) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        path,
        position,
        message,
    }
}

fn unreadable(reason: ReaderError) -> Diagnostic {
    let (message, location) = match reason {
        ReaderError::SyntaxError(JsonSyntaxError { kind, location }) => {
            (format!("not JSON: {}", words(&kind.to_string())), location)
        }
        ReaderError::MaxNestingDepthExceeded {
            max_nesting_depth,
            location,
        } => (format!("nested deeper than {max_nesting_depth}"), location),
        ReaderError::IoError { error, location } => (format!("not JSON: {error}"), location),
        // The reader is asked for nothing but what it says comes next.
        ReaderError::UnexpectedValueType { location, .. }
        | ReaderError::UnexpectedStructure { location, .. } => ("not JSON".to_string(), location),
        _ => return error(None, None, format!("not JSON: {reason}")),
    };
    let at = location.line_pos;
    let position = at.map(|at| Position {
        line: one_based(at.line),
        column: one_based(at.column),
    });
    error(None, position, message)
}

/// `TrailingCommaNotEnabled` → `trailing comma`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for char in name.chars() {
        if char.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(char.to_lowercase());
    }
    words.trim_end_matches(" not enabled").to_string()
}

/// Writes a document, without space.
pub(crate) fn to_text(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    write(tree, &mut out, &mut write_string);
    out
}

/// Writes a document and leaves the writing of its texts, keys apart, to someone else.
pub(crate) fn write(
    tree: &Tree,
    out: &mut Vec<u8>,
    write_text: &mut dyn FnMut(&str, &mut Vec<u8>),
) {
    match &tree.value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Float(value) => out.extend_from_slice(format!("{value:?}").as_bytes()),
        Value::Text(value) => write_text(value, out),
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b"," } else { b"" });
                write(item, out, write_text);
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            out.push(b'{');
            for (index, entry) in entries.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b"," } else { b"" });
                write_string(&entry.key, out);
                out.push(b':');
                write(&entry.value, out, write_text);
            }
            out.push(b'}');
        }
    }
}

/// Writes a text as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..=0x1f);
    out.push(b'"');
    for run in text.as_bytes().split_inclusive(is_special) {
        match run.split_last() {
            Some((special, plain)) if is_special(special) => {
                out.extend_from_slice(plain);
                match special {
                    b'"' | b'\\' => out.extend_from_slice(&[b'\\', *special]),
                    b'\n' => out.extend_from_slice(br"\n"),
                    control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
                }
            }
            _ => out.extend_from_slice(run),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failure(text: &str) -> String {
        let found = parse(text.as_bytes()).unwrap_err();
        let at = found
            .position
            .map_or_else(String::new, |at| format!("{}:{} ", at.line, at.column));
        format!("{at}{}", found.message)
    }

    #[test]
    fn keys_and_values_know_where_they_stand() {
        let tree = parse("{\"a\": [true,\n  {\"ü\": 1, \"b\" : null}]}".as_bytes()).unwrap();
        let Value::Map(outer) = &tree.value else {
            panic!("{tree:?}")
        };
        let Value::List(items) = &outer[0].value.value else {
            panic!("{tree:?}")
        };
        let Value::Map(inner) = &items[1].value else {
            panic!("{tree:?}")
        };
        assert_eq!(tree.position, Some(Position { line: 1, column: 1 }));
        assert_eq!(outer[0].position, Some(Position { line: 1, column: 2 }));
        assert_eq!(items[1].position, Some(Position { line: 2, column: 3 }));
        assert_eq!(
            inner[1].position,
            Some(Position {
                line: 2,
                column: 12
            })
        );
        assert_eq!(
            inner[1].value.position,
            Some(Position {
                line: 2,
                column: 18
            })
        );
        assert_eq!(inner[1].value.path.to_string(), "$.a[1].b");
        assert_eq!(inner[0].value.value, Value::Integer(1));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        assert_eq!(failure(" \n"), "empty");
        assert_eq!(failure("{\"a\":\n1,}"), "2:2 not JSON: trailing comma");
        assert_eq!(failure("{} x"), "1:4 not JSON: trailing data");
        assert_eq!(
            failure("{\"a\":1,\n\"a\":2}"),
            "2:1 a stands here a second time; the first is at line 1 column 2"
        );
        assert!(failure(&"[".repeat(100)).contains("nested deeper than 64"));
        assert!(failure("\u{feff}{}").contains("not JSON"));
    }

    #[test]
    fn large_and_fractional_numbers_are_floats() {
        for text in ["1.0", "1e2", "1.5e301", "1e-400", "99999999999999999999"] {
            assert!(
                matches!(parse(text.as_bytes()).unwrap().value, Value::Float(_)),
                "{text}"
            );
        }
        assert_eq!(parse(b"-0").unwrap().value, Value::Integer(0));
        assert_eq!(failure("[1e400]"), "1:2 a number that is out of bounds");
    }

    /// Nearly JSON: its tokens and a few others, in any order.
    fn nearly_json() -> impl Strategy<Value = String> {
        let token = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"b\\u00e9\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\n\"",
            "1",
            "-",
            "01",
            "1.5e3",
            "e9",
            "1.",
            "true",
            "nul",
            "null",
            " ",
            "\n",
            "\u{feff}",
            "//",
            "'a'",
            "é",
        ]);
        prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was_written(text in any::<String>()) {
            let mut written = Vec::new();
            write_string(&text, &mut written);
            prop_assert_eq!(&serde_json::from_slice::<String>(&written).unwrap(), &text);
            prop_assert_eq!(parse(&written).unwrap().value, Value::Text(text));
        }

        #[test]
        fn accepts_what_another_reader_accepts(text in nearly_json()) {
            let repeats = parse(text.as_bytes()).is_err_and(|found| found.message.contains("second time"));
            prop_assume!(!repeats);
            prop_assert_eq!(parse(text.as_bytes()).is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }

        #[test]
        fn what_was_read_is_written(text in nearly_json()) {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else { return Ok(()) };
            if let Ok(tree) = parse(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&to_text(&tree)).unwrap(), value);
            }
        }

        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
        }
    }
}
