//! Butane: the YAML that people write, translated to the Ignition config that machines read.
//!
//! A Butane document is an Ignition config with `snake_case` keys and more convenient ways to say some things: see
//! [`schema`]. It is read in the terms of the Ignition config it becomes ([`decode`]), checked ([`rules`]), relieved of
//! its conveniences one after another, and what is then an Ignition config is checked as one. Every part remembers where
//! its author wrote what it was made from, so that all findings point into the Butane text.
//!
//! The reference is coreos/butane 0.19, whose results (`tests/butane`) are ours, with these exceptions:
//!
//! * The variant `openshift` is not translated.
//! * `fcos` 1.6.0, which is of a later release, is.
//! * A symlink that leads out of the files directory is not followed.
//! * `%YAML 1.2` and the JSON escape `\/` are read, as YAML 1.2 has them.
//! * A null item of a list is left out, as by the reference, but what follows keeps its index in findings; where a mapping
//!   is wanted each such item gives a warning, not only the first.
//! * A document of more than [`MAX_TEXT`] bytes, or that grows beyond [`MAX_GROWN`] through aliases and local files, is
//!   refused.

mod boot_device;
mod decode;
mod files;
mod grub;
mod local;
mod merge;
mod mount_units;
mod release;
mod rules;
mod schema;
#[cfg(test)]
mod tests;
mod trees;

pub use files::{Files, LocalError, TreeEntry, TreeEntryKind};

use crate::{Diagnostic, Entry, Path, Segment, Severity, Tree, Value, Version, spec, yaml};
use release::Release;

/// How long a document may be, in bytes.
pub const MAX_TEXT: usize = 4 << 20;

/// What a document may grow to when its aliases and local files are put in, in bytes as we count them.
pub const MAX_GROWN: usize = 64 << 20;

/// What came of a Butane document.
#[derive(Debug, Clone, PartialEq)]
pub struct Translation {
    /// The Ignition config, unless there was an error.
    pub config: Option<Tree>,
    /// The version of the Ignition specification that the document's own version stands for, if it is known.
    pub version: Option<Version>,
    /// What there is to say about the document. Whoever is strict refuses it for a warning, too.
    pub diagnostics: Vec<Diagnostic>,
}

/// Translates a document, with what it refers to in `files`, where there are any.
pub fn translate(text: &[u8], files: Option<&dyn Files>) -> Translation {
    let mut report = Report::default();
    let mut version = None;
    let config = translated(text, files, &mut version, &mut report);
    Translation {
        config: config.filter(|_| !report.has_errors),
        version,
        diagnostics: report.found,
    }
}

fn translated(
    text: &[u8],
    files: Option<&dyn Files>,
    version: &mut Option<Version>,
    report: &mut Report,
) -> Option<Tree> {
    if text.len() > MAX_TEXT {
        report.refuse(format!("the document is longer than {MAX_TEXT} bytes"));
        return None;
    }
    let document = yaml::parse(text).map_err(|fault| report.push(fault)).ok()?;
    let mut allowance = Allowance::default();
    let release = decode::release(&document, &mut allowance, report)?;
    *version = Some(release.ignition);

    let mut config = decode::config(&document, release, &mut allowance, report)?;
    report.unless_errors()?;
    rules::check(&config, release, report);
    report.unless_errors()?;

    local::embed(&mut config, release, files, &mut allowance, report);
    mount_units::add(&mut config, release);
    trees::embed(&mut config, release, files, &mut allowance, report);
    report.unless_errors()?;
    boot_device::add(&mut config, release);
    rules::check_reserved_labels(&config, release, report);
    let grub = grub::add(&mut config, release, &mut allowance);
    grub.unwrap_or_else(|error| report.refuse(error.to_string()));

    rules::check_forbidden(&config, release, report);
    report.unless_errors()?;
    add_required(&mut config, release);
    for mut finding in spec::validate(&config, release.ignition) {
        finding.path = finding.path.map(in_butane);
        report.push(finding);
    }
    drop_empty(&mut config, release);
    Some(config)
}

/// Adds what Ignition configs have even if it is not written.
fn add_required(config: &mut Tree, release: &Release) {
    for &(place, key, until) in schema::REQUIRED {
        if release.ignition <= until {
            schema::each_at(config, place, &mut |tree| {
                if tree.get(key).is_none() {
                    tree.set(key, "".into());
                }
            });
        }
    }
    // It comes first, for people.
    let empty = Tree::made_from(config, Value::Map(Vec::new()));
    let mut ignition = config.take("ignition").unwrap_or(empty);
    ignition.set("version", release.ignition.as_str().into());
    if let Value::Map(entries) = &mut config.value {
        let position = ignition.position;
        entries.insert(
            0,
            Entry {
                key: "ignition".into(),
                position,
                value: ignition,
            },
        );
    }
}

/// Takes away what is written but says nothing; only then, so that findings can point there.
fn drop_empty(config: &mut Tree, release: &Release) {
    let keeps: &[&str] = match release.ignition {
        // There an absent one is not the same.
        Version::V3_0 | Version::V3_1 | Version::V3_2 => &["clevis", "custom"],
        _ => &[],
    };
    drop_empty_entries(config, keeps);
    schema::each_at(
        config,
        &["storage", "disks", "partitions"],
        &mut |partition| {
            if partition.get("number").and_then(Tree::integer) == Some(0) {
                partition.take("number");
            }
        },
    );
}

fn drop_empty_entries(tree: &mut Tree, keeps: &[&str]) {
    match &mut tree.value {
        Value::List(items) => items
            .iter_mut()
            .for_each(|item| drop_empty_entries(item, keeps)),
        Value::Map(entries) => entries.retain_mut(|entry| {
            drop_empty_entries(&mut entry.value, keeps);
            keeps.contains(&entry.key.as_str()) || !entry.value.says_nothing()
        }),
        _ => {}
    }
}

/// The path of a finding, whose last keys may be those of a part that the author did not write.
fn in_butane(path: Path) -> Path {
    let segments = path.0.into_iter().map(|segment| match segment {
        Segment::Key(key) => Segment::Key(schema::snake_case(&key).collect()),
        index => index,
    });
    Path(segments.collect())
}

/// What has been found so far.
#[derive(Debug, Default)]
struct Report {
    found: Vec<Diagnostic>,
    has_errors: bool,
}

/// How much is worth saying: whoever has more to mend than this can ask again.
const MAX_FOUND: usize = 1000;

impl Report {
    fn push(&mut self, found: Diagnostic) {
        let first_error = found.severity == Severity::Error && !self.has_errors;
        self.has_errors |= first_error;
        if self.found.len() < MAX_FOUND || first_error {
            self.found.push(found);
        }
    }

    /// Nothing if it makes no sense to go on.
    fn unless_errors(&self) -> Option<()> {
        (!self.has_errors).then_some(())
    }

    /// Something is wrong with the document as a whole.
    fn refuse(&mut self, message: impl Into<String>) {
        self.push(Diagnostic {
            severity: Severity::Error,
            path: None,
            position: None,
            message: message.into(),
        });
    }

    fn at(&mut self, severity: Severity, tree: &Tree, message: impl Into<String>) {
        self.push(Diagnostic {
            severity,
            path: Some(tree.path.clone()),
            position: tree.position,
            message: message.into(),
        });
    }

    /// As [`at`](Self::at) the value of a key; if there is none, where it would be.
    fn at_key(&mut self, severity: Severity, tree: &Tree, key: &str, message: impl Into<String>) {
        match tree.get(key) {
            Some(value) => self.at(severity, value, message),
            None => self.push(Diagnostic {
                severity,
                path: Some(
                    tree.path
                        .join(Segment::Key(schema::snake_case(key).collect())),
                ),
                position: tree.position,
                message: message.into(),
            }),
        }
    }
}

/// What a document may still grow by.
#[derive(Debug)]
struct Allowance(usize);

impl Default for Allowance {
    fn default() -> Self {
        Self(MAX_GROWN)
    }
}

impl Allowance {
    /// Whether there is room for so many bytes more.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}
