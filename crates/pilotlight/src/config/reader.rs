//! Looks each key up in file and environment, and remembers what set it and what was wrong.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Origin};
use super::written::{Parsed, Problem, Written};
use super::{ConfigFile, Sources};

/// Variables that tell the command line which head to talk to; they are no settings of a head.
const CLIENT_VARIABLES: [&str; 4] = [
    "PILOTLIGHT_HEAD",
    "PILOTLIGHT_SOCKET",
    "PILOTLIGHT_TOKEN",
    "PILOTLIGHT_CA_FILE",
];

/// Reads settings key by key. A key that is never asked for does not exist: [`Reader::finish`] reports it.
pub(crate) struct Reader<'a> {
    sources: &'a Sources,
    table: Option<(&'a ConfigFile, DeTable<'a>)>,
    origins: Vec<(&'static str, Origin)>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    /// Parses the file of `sources`, if there is one.
    pub(crate) fn new(sources: &'a Sources) -> Self {
        let mut faults = Vec::new();
        let table = sources.file.as_ref().map(|file| {
            let (table, errors) = DeTable::parse_recoverable(&file.text);
            faults.extend(errors.iter().map(|error| Fault {
                origin: file.origin(error.span().unwrap_or_default()),
                reason: error.message().replace('\n', ", "),
            }));
            (file, table.into_inner())
        });
        Self {
            sources,
            table,
            origins: Vec::new(),
            faults,
        }
    }

    /// The value of `key`, if anybody wrote one that is right.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(Written<'_>) -> Parsed<T>,
    ) -> Option<T> {
        let mut value = None;
        let mut origin = Origin::Default;
        let mut faults = Vec::new();
        let mut read =
            |written: Written<'_>, place: &dyn Fn(Option<Range<usize>>) -> Origin| match parse(
                written,
            ) {
                Ok(parsed) => {
                    value = Some(parsed);
                    true
                }
                Err(problems) => {
                    faults.extend(problems.into_iter().map(|Problem { span, reason }| Fault {
                        origin: place(span),
                        reason: format!("{key}: {reason}"),
                    }));
                    false
                }
            };
        if let Some((file, table)) = &self.table
            && let Some(written) = find(table, key)
        {
            let place =
                |span: Option<Range<usize>>| file.origin(span.unwrap_or_else(|| written.span()));
            if read(Written::Toml(written), &place) {
                origin = place(None);
            }
        }
        let variable = variable(key);
        if let Some(text) = self.sources.environment.get(&variable) {
            let place = |_| Origin::Environment(variable.clone());
            if read(Written::Text(text), &place) {
                origin = place(None);
            }
        }
        self.faults.append(&mut faults);
        self.origins.push((key, origin));
        value
    }

    /// The value of `key`, else `default`.
    pub(crate) fn value<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(Written<'_>) -> Parsed<T>,
        default: T,
    ) -> T {
        self.optional(key, parse).unwrap_or(default)
    }

    /// Notes that `flag` has set `key`, which was read before.
    pub(crate) fn overridden(&mut self, key: &'static str, flag: &'static str) {
        if let Some((_, origin)) = self.origins.iter_mut().find(|(known, _)| *known == key) {
            *origin = Origin::Flag(flag);
        }
    }

    /// What set `key`, which was read before.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        let found = self.origins.iter().find(|(known, _)| *known == key);
        found.map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Reports that `key`, read before, does not go with the others.
    pub(crate) fn refuse(&mut self, key: &'static str, reason: &str) {
        self.faults.push(Fault {
            origin: self.origin(key),
            reason: format!("{key}: {reason}"),
        });
    }

    /// Every key that was read with what set it, and every fault, unknown keys included.
    pub(crate) fn finish(mut self) -> (Vec<(&'static str, Origin)>, Vec<Fault>) {
        if let Some((file, table)) = self.table.take() {
            self.report_unknown_keys(file, &table, "");
        }
        for name in self.sources.environment.keys() {
            let known = self.origins.iter().any(|(key, _)| variable(key) == *name);
            if !known && !CLIENT_VARIABLES.contains(&name.as_str()) {
                self.faults.push(Fault {
                    origin: Origin::Environment(name.clone()),
                    reason: "no setting has this name".to_owned(),
                });
            }
        }
        self.faults.sort();
        (self.origins, self.faults)
    }

    fn report_unknown_keys(&mut self, file: &ConfigFile, table: &DeTable<'_>, section: &str) {
        for (name, value) in table {
            let key = match section {
                "" => name.get_ref().to_string(),
                _ => format!("{section}.{}", name.get_ref()),
            };
            if self.origins.iter().any(|(known, _)| *known == key) {
                continue;
            }
            let is_section = !known_in(&self.origins, &key).is_empty();
            match value.get_ref() {
                DeValue::Table(inner) if is_section => self.report_unknown_keys(file, inner, &key),
                _ => self.faults.push(Fault {
                    origin: file.origin(name.span()),
                    reason: match is_section {
                        true => format!("{key} is a section: write [{key}] on a line of its own"),
                        false => format!(
                            "unknown key {key:?}; {} has {}",
                            match section {
                                "" => "the top level".to_owned(),
                                _ => format!("[{section}]"),
                            },
                            known_in(&self.origins, section).join(", ")
                        ),
                    },
                }),
            }
        }
    }
}

/// The names of keys and sub-sections of `section`, each once.
fn known_in<'k>(origins: &[(&'k str, Origin)], section: &str) -> Vec<&'k str> {
    let mut names: Vec<&str> = origins
        .iter()
        .filter_map(|(key, _)| match section {
            "" => Some(*key),
            _ => key.strip_prefix(section)?.strip_prefix('.'),
        })
        .filter_map(|rest| rest.split('.').next())
        .collect();
    names.dedup();
    names
}

/// The variable that sets `key`: `limits.body` is `PILOTLIGHT_LIMITS_BODY`.
fn variable(key: &str) -> String {
    format!("PILOTLIGHT_{}", key.to_ascii_uppercase().replace('.', "_"))
}

fn find<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, rest)) => find(table.get(section)?.get_ref().as_table()?, rest),
    }
}

impl ConfigFile {
    /// The line where `span` begins.
    fn origin(&self, span: Range<usize>) -> Origin {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        Origin::File {
            path: self.path.clone(),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        }
    }
}
