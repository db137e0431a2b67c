//! Beside `ignition-validate`, the program that the machines' Ignition comes with: the same configs are refused, for the
//! same parts. Configs that it accepts are changed in one place each, in all ways that matter to some rule.
//!
//! Needs the Debian package `ignition`, of version 2.14: it knows 3.0.0 to 3.3.0.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ignition::{Config, Severity};
use serde_json::{Value, json};

const PROGRAM: &str = "/usr/bin/ignition-validate";

/// One in so many changes is tried.
const SAMPLE: usize = 499;

#[test]
fn agrees_with_the_reference() {
    if !Path::new(PROGRAM).exists() {
        eprintln!("SKIPPED: there is no {PROGRAM}; install the Debian package ignition");
        return;
    }
    let configs: Vec<Value> = configs()
        .into_iter()
        .flat_map(|config| {
            ["3.0.0", "3.1.0", "3.2.0", "3.3.0"].map(|version| {
                let mut config = config.clone();
                config["ignition"]["version"] = json!(version);
                config
            })
        })
        .collect();
    let changes: Vec<(&Value, Change)> = configs
        .iter()
        .flat_map(|config| changes(config).map(move |change| (config, change)))
        .step_by(SAMPLE)
        .collect();
    assert!(
        changes.len() > 500,
        "only {} configs to compare",
        changes.len()
    );
    let changed = changes
        .into_iter()
        .map(|(config, change)| change.of(config));
    let differences: Vec<String> = configs
        .iter()
        .cloned()
        .chain(changed)
        .filter_map(|config| difference(&config))
        .collect();
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences[..differences.len().min(9)].join("\n")
    );
}

#[test]
fn accepts_what_butane_writes() {
    let texts = texts();
    assert!(texts.len() > 100, "only {} configs", texts.len());
    for text in texts {
        let refused = Config::parse(&text).err();
        assert_eq!(refused, None, "{}", String::from_utf8_lossy(&text));
    }
}

fn configs() -> Vec<Value> {
    // The large ones say nothing that the small ones do not.
    let texts = texts().into_iter().filter(|text| text.len() < 8192);
    texts
        .map(|text| serde_json::from_slice(&text).unwrap())
        .collect()
}

/// The configs that Butane wrote.
fn texts() -> Vec<Vec<u8>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/butane");
    let files = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "ign"))
        .collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read(file).unwrap());
    texts.filter(|text| !text.is_empty()).collect()
}

/// JSON that matters to some rule, if it stands in the right place.
const REPLACEMENTS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "4096",
    "2.5",
    "[]",
    "{}",
    "[null]",
    r#""""#,
    r#""/""#,
    r#""a/b""#,
    r#""/a/../b""#,
    r#""/etc""#,
    r#""x.service""#,
    r#""[x""#,
    r#""http://a b/""#,
    r#""http://a/b""#,
    r#""s3://a/b""#,
    r#""gs://a/b""#,
    r#""data:,x y""#,
    r#""gzip""#,
    r#""raid0""#,
    r#""ext4""#,
    r#""none""#,
    r#""sha256-0""#,
    r#""a label that is longer than any disk or filesystem can have""#,
];

/// One value of a config is made another.
struct Change {
    pointer: String,
    /// As JSON; without one the value is removed or, in a list, repeated.
    replacement: Option<&'static str>,
}

fn changes(config: &Value) -> impl Iterator<Item = Change> {
    let pointers = pointers(config)
        .into_iter()
        .filter(|pointer| !pointer.starts_with("/ignition/version"));
    pointers.flat_map(|pointer| {
        let replacements = REPLACEMENTS.iter().copied().map(Some).chain([None]);
        replacements.map(move |replacement| Change {
            pointer: pointer.clone(),
            replacement,
        })
    })
}

impl Change {
    fn of(&self, config: &Value) -> Value {
        let mut config = config.clone();
        if let Some(replacement) = self.replacement {
            *config.pointer_mut(&self.pointer).unwrap() =
                serde_json::from_str(replacement).unwrap();
            return config;
        }
        let (parent, key) = self.pointer.rsplit_once('/').unwrap();
        match config.pointer_mut(parent).unwrap() {
            Value::Object(map) => drop(map.remove(key)),
            Value::Array(items) => items.push(items[key.parse::<usize>().unwrap()].clone()),
            _ => unreachable!("only these have parts"),
        }
        config
    }
}

/// Of all values but the outermost.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| (index.to_string(), item))
            .collect(),
        _ => Vec::new(),
    };
    let with_children = |(key, child): (String, &Value)| {
        let own = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        let inner: Vec<String> = pointers(child)
            .iter()
            .map(|inner| format!("{own}{inner}"))
            .collect();
        [vec![own], inner].concat()
    };
    children.into_iter().flat_map(with_children).collect()
}

fn difference(config: &Value) -> Option<String> {
    let text = config.to_string();
    let (ours, theirs) = (our_errors(&text), their_errors(&text));
    let same = match (&ours, &theirs) {
        // Of a value of the wrong type it says no path, and only the first.
        (Some(_), Some(theirs)) if theirs.is_empty() => true,
        _ => ours == theirs,
    };
    (!same).then(|| format!("ours   {ours:?}\ntheirs {theirs:?}\n{text}\n"))
}

/// The paths of what is refused.
fn our_errors(text: &str) -> Option<BTreeSet<String>> {
    let found = Config::parse(text.as_bytes()).err()?;
    let errors = found
        .iter()
        .filter(|found| found.severity == Severity::Error);
    let path = |path: &ignition::Path| path.to_string().replace('[', ".").replace(']', "");
    Some(
        errors
            .filter_map(|found| found.path.as_ref().map(path))
            .collect(),
    )
}

fn their_errors(text: &str) -> Option<BTreeSet<String>> {
    let mut program = Command::new(PROGRAM)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    program
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = program.wait_with_output().unwrap();
    if output.status.success() {
        return None;
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Some(
        said.lines()
            .filter_map(|line| {
                Some(
                    line.strip_prefix("error at ")?
                        .split_once(", line")?
                        .0
                        .to_string(),
                )
            })
            .collect(),
    )
}
