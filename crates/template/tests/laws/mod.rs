//! What holds for every sequence of bytes. The property tests and the fuzz target (`fuzz/fuzz_targets/template.rs`)
//! ask the same of the crate, in this file.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use regex::bytes::{Captures, Regex};
use template::{Form, IncludeError, Lookup, Missing, Template, Values};

/// The language said once more, in a way that shares nothing with the parser: all that a rendering replaces.
static REPLACED: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?x-u) (?<escape> \\)? (?<written> < (?:
        (?: (?:a|attributes|n|node|head) \[ (?<name> [A-Za-z_][A-Za-z0-9_]*) \]
          | (?:h|hardware|s|status)      \[ (?<key>  [A-Za-z0-9_.-]+)        \]
          | (?<function> root_url | base_url) \(\)
        ) (?: \| (?<default> [^>\n]*) )?
      | include \( (?u: [^)>\n\x00] )+ \)
    ) > )";
    Regex::new(pattern).expect("the pattern is constant")
});

/// A value that would do harm if it were read as anything but data.
const VALUE: &str = r"<a[x]>\<include(x)>\";
const INCLUDED: &str = "<html>\n";

/// Every name of an odd length has the same value, the others have none.
struct OddNames;

fn value(name: &[u8]) -> Option<&'static str> {
    (name.len() % 2 == 1).then_some(VALUE)
}

impl Values for OddNames {
    fn look_up(&self, form: Form<'_>) -> Lookup<'_> {
        let found = match form {
            Form::Value { name, .. } => value(name.as_bytes()),
            Form::RootUrl | Form::BaseUrl => None,
        };
        found.map_or(Lookup::Missing, |value| Lookup::Value(value.into()))
    }

    fn include(&self, _file: &str) -> Result<Arc<Template>, IncludeError> {
        Ok(Arc::new(Template::parse("included", INCLUDED.into())))
    }

    fn subject(&self) -> Cow<'_, str> {
        "node n4".into()
    }
}

/// What [`OddNames`] and [`Missing::Empty`] make of a form, or of an escaped one.
fn replacement(form: &Captures<'_>) -> Vec<u8> {
    let part = |name| form.name(name).map(|part| part.as_bytes());
    if part("escape").is_some() {
        return form["written"].to_vec();
    }
    let default = part("default").unwrap_or_default();
    match part("name").or(part("key")) {
        Some(name) => value(name).map_or(default, str::as_bytes).to_vec(),
        None if part("function").is_some() => default.to_vec(),
        None => INCLUDED.into(),
    }
}

/// Panics if one of the laws does not hold for `source`.
pub(crate) fn hold(source: &[u8]) {
    let template = Template::parse("file", source.to_vec().into());

    // Written out and parsed again it is the same template, and the parts leave nothing out.
    let written_out = template.to_source();
    assert_eq!(written_out, source);
    assert_eq!(Template::parse("file", written_out.into()), template);

    // Forms are replaced, each once, and all else passes through; values are not read again.
    let expected = REPLACED.replace_all(source, replacement);
    let rendered = template
        .render(&OddNames, Missing::Empty)
        .expect("nothing fails with these values");
    assert_eq!(rendered, expected[..]);

    // A text with no forms renders to itself.
    assert_eq!(template.is_plain(), !REPLACED.is_match(source));
    if template.is_plain() {
        assert_eq!(rendered, source);
    }

    // Each reference is on the line where it stands.
    let lines = template.references().map(|reference| reference.line);
    let expected = REPLACED.captures_iter(source).filter_map(|form| {
        let is_value = ["name", "key", "function"].map(|part| form.name(part).is_some());
        let start = form.get(0)?.start();
        let newlines = source[..start].iter().filter(|byte| **byte == b'\n');
        (is_value.contains(&true) && form.name("escape").is_none()).then(|| 1 + newlines.count())
    });
    assert!(lines.eq(expected), "lines of references");
}
