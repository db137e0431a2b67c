//! The cases, and when an outcome is the same as the reference's.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ignition::{Segment, butane::Translation};
use serde_json::Value;

/// A document, how it is translated, and what comes of it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
    pub(crate) has_files: bool,
    pub(crate) strict: bool,
    /// Whether the config is not written.
    pub(crate) check: bool,
    pub(crate) outcome: Outcome,
}

/// What comes of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    /// With everything that `data:` URLs hold as it is when decoded.
    pub(crate) config: Option<Value>,
    /// Those that have a place in the document.
    pub(crate) findings: BTreeSet<Finding>,
    /// The lines of all others, as far as they have one.
    pub(crate) lines: BTreeSet<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) kind: String,
    pub(crate) path: String,
    line: u32,
    column: u32,
}

impl Case {
    pub(crate) fn directory() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/butane")
    }

    pub(crate) fn all() -> Vec<Self> {
        let entries = fs::read_dir(Self::directory()).unwrap();
        let names = entries.filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_suffix(".code")?.to_owned())
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        names.iter().map(|name| Self::named(name)).collect()
    }

    pub(crate) fn named(name: &str) -> Self {
        let part =
            |extension: &str| fs::read(Self::directory().join(format!("{name}.{extension}"))).ok();
        let text = |extension| part(extension).map(|text| String::from_utf8(text).unwrap());
        let arguments = text("args").unwrap_or_else(|| "-d\nfiles".into());
        let config = part("ign").map(|config| decoded(serde_json::from_slice(&config).unwrap()));
        let (findings, lines) = findings(&text("err").unwrap());
        Self {
            name: name.into(),
            text: part("bu").unwrap(),
            has_files: arguments.contains("-d"),
            strict: arguments.contains("--strict"),
            check: arguments.contains("--check"),
            outcome: Outcome {
                code: text("code").unwrap().trim().parse().unwrap(),
                config,
                findings,
                lines,
            },
        }
    }
}

/// Those with a place, and the lines of those without.
fn findings(text: &str) -> (BTreeSet<Finding>, BTreeSet<u32>) {
    let (mut findings, mut lines) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some((kind, rest)) = line.split_once(" at ")
            && let Some((path, rest)) = rest.split_once(", line ")
            && let Some((position, _)) = rest.split_once(": ")
            && let Some((line, column)) = position.split_once(" col ")
        {
            let [line, column] = [line, column].map(|number| number.parse().unwrap());
            findings.insert(Finding {
                kind: kind.into(),
                path: path.into(),
                line,
                column,
            });
        } else if let Some((_, rest)) = line.split_once("line ") {
            lines.extend(
                rest.split(':')
                    .next()
                    .and_then(|number| number.parse::<u32>().ok()),
            );
        }
    }
    (findings, lines)
}

impl Outcome {
    pub(crate) fn of(translation: &Translation, strict: bool, check: bool) -> Self {
        let refused =
            translation.config.is_none() || (strict && !translation.diagnostics.is_empty());
        let config = translation.config.as_ref().filter(|_| !refused && !check);
        let placed = translation.diagnostics.iter().filter_map(|found| {
            let position = found.position?;
            let path = found.path.as_ref()?.0.iter().map(|segment| match segment {
                Segment::Key(key) => format!(".{key}"),
                Segment::Index(index) => format!(".{index}"),
            });
            Some(Finding {
                kind: found.severity.to_string(),
                path: format!("${}", path.collect::<String>()),
                line: position.line,
                column: position.column,
            })
        });
        let lines = translation
            .diagnostics
            .iter()
            .filter_map(|found| Some(found.position?.line));
        Self {
            code: refused.into(),
            config: config
                .map(|config| decoded(serde_json::from_slice(&config.to_json()).unwrap())),
            findings: placed.collect(),
            lines: lines.collect(),
        }
    }

    /// How another differs from this one, of the reference.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        // What is wrong with the YAML has only a line there.
        let findings = if self.lines.is_empty() && self.code == 1 && self.findings.is_empty() {
            self.code == other.code
        } else if self.findings.is_empty() && self.code == 1 {
            self.lines == other.lines
        } else {
            self.findings == other.findings
        };
        let same = self.code == other.code && findings && self.config == other.config;
        (!same).then(|| format!("expected {self:#?}\nfound {other:#?}"))
    }
}

/// The config, with the contents of `data:` URLs instead of the URLs, and without a word on how they were compressed.
fn decoded(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(decoded).collect(),
        Value::Object(mut entries) => {
            let contents = entries
                .get("source")
                .and_then(Value::as_str)
                .and_then(contents);
            if let Some(mut contents) = contents {
                if entries
                    .get("compression")
                    .is_some_and(|compression| compression == "gzip")
                {
                    // What the author said is compressed may not be.
                    let mut unzipped = Vec::new();
                    if flate2::read::GzDecoder::new(&contents[..])
                        .read_to_end(&mut unzipped)
                        .is_ok()
                    {
                        contents = unzipped;
                    }
                }
                if entries.contains_key("compression") {
                    entries.insert("compression".into(), "any".into());
                }
                entries.insert("source".into(), contents.into());
            }
            entries
                .into_iter()
                .map(|(key, value)| (key, decoded(value)))
                .collect()
        }
        other => other,
    }
}

fn contents(url: &str) -> Option<Vec<u8>> {
    let (kind, data) = url.strip_prefix("data:")?.split_once(',')?;
    let mut unescaped = Vec::new();
    let mut bytes = data.bytes();
    while let Some(byte) = bytes.next() {
        unescaped.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    match kind.ends_with(";base64") {
        true => STANDARD.decode(unescaped).ok(),
        false => Some(unescaped),
    }
}
