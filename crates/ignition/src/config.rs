//! [`Config`]: an Ignition config that may be sent to machines.

use crate::{Diagnostic, Path, Segment, Severity, Tree, Value, Version, json, spec};

/// A config without errors.
#[derive(Debug, Clone)]
pub struct Config {
    tree: Tree,
    version: Version,
    text: Vec<u8>,
    warnings: Vec<Diagnostic>,
}

impl Config {
    /// Reads a config and checks it. What is refused comes with all that is wrong with it, warnings among them.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let (tree, version) = read(text)?;
        let warnings = without_errors(spec::validate(&tree, version))?;
        Ok(Self {
            tree,
            version,
            text: text.to_vec(),
            warnings,
        })
    }

    /// Checks a config that is not in a text, as one that was translated.
    pub fn from_tree(tree: Tree) -> Result<Self, Vec<Diagnostic>> {
        let version = version(&tree).map_err(|found| vec![found])?;
        let warnings = without_errors(spec::validate(&tree, version))?;
        let text = json::to_text(&tree);
        Ok(Self {
            tree,
            version,
            text,
            warnings,
        })
    }

    /// The version of the specification that it follows.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The text of the config; where it was parsed from a text, that text, to the byte.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The config as a tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What its author may want to know.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

/// A document and its version, before it is checked.
pub(crate) fn read(text: &[u8]) -> Result<(Tree, Version), Vec<Diagnostic>> {
    let tree = json::parse(text).map_err(|found| vec![found])?;
    let version = version(&tree).map_err(|found| vec![found])?;
    Ok((tree, version))
}

/// What `ignition.version` says.
pub(crate) fn version(tree: &Tree) -> Result<Version, Diagnostic> {
    let ignition = tree.get("ignition");
    let version = ignition
        .and_then(|ignition| ignition.get("version"))
        .filter(|version| version.value != Value::Null);
    let message = match version.map(|version| &version.value) {
        Some(Value::Text(text)) => match text.parse() {
            Ok(version) => return Ok(version),
            Err(unknown) => unknown.to_string(),
        },
        Some(_) => "the version is not text".to_string(),
        // A client takes this for no config at all and boots the machine unconfigured.
        None => {
            r#"not an Ignition config: it begins {"ignition": {"version": "3.4.0"}}"#.to_string()
        }
    };
    Err(Diagnostic {
        severity: Severity::Error,
        path: Some(Path(
            ["ignition", "version"]
                .map(|key| Segment::Key(key.into()))
                .to_vec(),
        )),
        position: version.or(ignition).unwrap_or(tree).position,
        message,
    })
}

/// The warnings, if there is no error.
pub(crate) fn without_errors(found: Vec<Diagnostic>) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    match found.iter().any(|found| found.severity == Severity::Error) {
        true => Err(found),
        false => Ok(found),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_config_keeps_its_text() {
        let text = b" {\"ignition\" : {\"version\":\"3.1.0\", \"odd\": 1}}\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.text(), text);
        assert_eq!(config.version(), Version::V3_1);
        assert_eq!(config.warnings().len(), 1);
        let rewritten = Config::from_tree(config.tree().clone()).unwrap();
        assert_eq!(
            rewritten.text(),
            br#"{"ignition":{"version":"3.1.0","odd":1}}"#
        );
    }

    #[test]
    fn what_is_no_config_is_refused() {
        for (text, message) in [
            ("", "empty"),
            ("{}", "not an Ignition config"),
            ("null", "not an Ignition config"),
            ("[]", "not an Ignition config"),
            (r#"{"ignition":null}"#, "not an Ignition config"),
            (r#"{"ignition":{"version":null}}"#, "not an Ignition config"),
            (r#"{"ignitionVersion":1}"#, "not an Ignition config"),
            (r#"{"ignition":{"version":3}}"#, "not text"),
            (r#"{"ignition":{"version":"2.3.0"}}"#, "ign-converter"),
            (r#"{"ignition":{"version":"3.7.0"}}"#, "3.0.0 to 3.6.0"),
            (
                r#"{"ignition":{"version":"3.4.0-experimental"}}"#,
                "experimental",
            ),
            (r#"{"ignition":{"version":"3.0.0"}} x"#, "not JSON"),
        ] {
            let found = Config::parse(text.as_bytes()).unwrap_err();
            assert_eq!(found.len(), 1, "{text}");
            assert!(
                found[0].message.contains(message),
                "{text}: {}",
                found[0].message
            );
        }
    }
}
