//! `pilotlight butane`

use std::path::{Path, PathBuf};

use clap::Args;
use content::FilesDirectory;
use ignition::butane::{Files, LocalError, translate};
use ignition::{Diagnostic, Severity, Tree, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;

use super::{Output, file};
use crate::error::Error;
use crate::table::{counted, printable};

/// Translate a Butane document to the Ignition config that the head would send
#[derive(Debug, Args)]
#[command(after_help = "\
What there is to say about the document goes to standard error, a line each. If it is refused, no config is written.

Examples:
  pilotlight butane web.bu -d files -o web.ign
  pilotlight butane --check --strict web.bu
  pilotlight --json butane web.bu | jq -r '.findings[].message'")]
pub(crate) struct Butane {
    /// The document; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// The directory of the local files that it refers to; a head takes `files` beside the document
    #[arg(short = 'd', long, value_name = "DIR")]
    files_dir: Option<PathBuf>,
    /// Write the config to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the config in lines and indented
    #[arg(short, long)]
    pretty: bool,
    /// Refuse the document for a warning, too
    #[arg(short, long)]
    strict: bool,
    /// Write no config
    #[arg(short, long, conflicts_with = "output")]
    check: bool,
}

impl Butane {
    pub(super) fn run(self, mut output: Output) -> Result<(), Error> {
        let text = file::content(&self.file)?;
        let files = self.files_dir.as_deref().map(FilesDirectory::open);
        let files = (files.transpose()).map_err(|error| Error::Found(error.to_string()))?;
        let files = files.as_ref().map(|files| files as &dyn Files);
        let translation = translate(&text, files);
        let found = translation.diagnostics;
        let refusal = self.refusal(&found);
        let config = translation
            .config
            .filter(|_| refusal.is_none() && !self.check);
        if output.is_json() {
            let config = config.as_ref().map(InOrder);
            let findings: Vec<_> = found.iter().map(object).collect();
            output.json(&json!({"config": config, "findings": findings}))?;
        } else {
            for finding in &found {
                eprintln!("{}", printable(&line(finding)));
            }
        }
        if let Some(reason) = refusal {
            return Err(Error::Found(reason));
        }
        match (&config, &self.output) {
            (None, _) => Ok(()),
            (Some(config), Some(path)) => std::fs::write(path, self.written(config)?)
                .map_err(|error| Error::file("write", path, error)),
            (Some(_), None) if output.is_json() => Ok(()),
            (Some(config), None) => output.bytes(&self.written(config)?),
        }
    }

    /// Why the document is refused, if it is.
    fn refusal(&self, found: &[Diagnostic]) -> Option<String> {
        let is_error = |finding: &&Diagnostic| finding.severity == Severity::Error;
        let errors = found.iter().filter(is_error).count();
        let name = match self.file.as_path() {
            path if path == Path::new("-") => "the document".to_owned(),
            path => path.display().to_string(),
        };
        let no_files = LocalError::NoFiles.to_string();
        if found.iter().any(|finding| finding.message == no_files) {
            return Some(format!(
                "{name} refers to local files: name their directory with --files-dir"
            ));
        }
        match (errors, found.len()) {
            (0, 0) => None,
            (0, _) if !self.strict => None,
            (0, warnings) => Some(format!("{name} has {}", counted(warnings, "warning"))),
            (errors, _) => Some(format!("{name} has {}", counted(errors, "error"))),
        }
    }

    fn written(&self, config: &Tree) -> Result<Vec<u8>, Error> {
        let mut text = if self.pretty {
            serde_json::to_vec_pretty(&InOrder(config)).map_err(anyhow::Error::from)?
        } else {
            config.to_json()
        };
        text.push(b'\n');
        Ok(text)
    }
}

/// `error at $.storage.files[0].path, line 7 column 12: …`
fn line(finding: &Diagnostic) -> String {
    let path = finding.path.as_ref().map(ToString::to_string);
    let position = finding.position.map(|position| position.to_string());
    let place: Vec<String> = path.into_iter().chain(position).collect();
    match place.as_slice() {
        [] => format!("{}: {}", finding.severity, finding.message),
        place => format!(
            "{} at {}: {}",
            finding.severity,
            place.join(", "),
            finding.message
        ),
    }
}

fn object(finding: &Diagnostic) -> serde_json::Value {
    json!({
        "severity": finding.severity.to_string(),
        "path": finding.path.as_ref().map(ToString::to_string),
        "line": finding.position.map(|position| position.line),
        "column": finding.position.map(|position| position.column),
        "message": finding.message,
    })
}

/// A config whose keys keep their order.
struct InOrder<'t>(&'t Tree);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Integer(value) => serializer.serialize_i64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Text(value) => serializer.serialize_str(value),
            Value::List(items) => serializer.collect_seq(items.iter().map(InOrder)),
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for entry in entries {
                    map.serialize_entry(&entry.key, &InOrder(&entry.value))?;
                }
                map.end()
            }
        }
    }
}
