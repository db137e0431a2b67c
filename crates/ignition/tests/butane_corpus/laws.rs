//! What holds of the translation of any bytes.

use ignition::{
    Severity,
    butane::{Files, LocalError, TreeEntry, TreeEntryKind, translate},
};

/// A files directory in memory, with one of everything.
struct Few;

impl Files for Few {
    fn read(&self, name: &str) -> Result<Vec<u8>, LocalError> {
        assert!(
            name.split('/').all(|part| !matches!(part, "." | "..")),
            "{name}"
        );
        match name {
            "motd.txt" | "tree/file" => Ok(b"a key\r\n\xFF\n".to_vec()),
            _ => Err(LocalError::Unreadable {
                name: name.into(),
                reason: "not there".into(),
            }),
        }
    }

    fn tree(&self, name: &str) -> Result<Vec<TreeEntry>, LocalError> {
        let entry = |name: &str, kind| TreeEntry {
            name: name.into(),
            kind,
        };
        match name {
            "tree" => Ok(vec![
                entry(
                    "link",
                    TreeEntryKind::Symlink {
                        target: "../x".into(),
                    },
                ),
                entry("directory", TreeEntryKind::Directory),
                entry("pipe", TreeEntryKind::Other),
                entry("file", TreeEntryKind::File { executable: true }),
            ]),
            "link" => Ok(vec![entry(
                "",
                TreeEntryKind::Symlink {
                    target: "tree".into(),
                },
            )]),
            _ => Err(LocalError::Outside(name.into())),
        }
    }
}

/// There is a config or an error, never both; findings are in the text; and it is always the same.
pub(crate) fn hold(text: &[u8]) {
    let translation = translate(text, Some(&Few));
    let mut severities = translation.diagnostics.iter().map(|found| found.severity);
    assert_eq!(
        translation.config.is_none(),
        severities.any(|severity| severity == Severity::Error)
    );
    let lines = 1 + text
        .iter()
        .filter(|byte| matches!(byte, b'\n' | b'\r'))
        .count();
    for position in translation
        .diagnostics
        .iter()
        .filter_map(|found| found.position)
    {
        assert!(
            (1..=lines + 1).contains(&(position.line as usize)) && position.column >= 1,
            "{position}"
        );
    }
    assert_eq!(translate(text, Some(&Few)), translation);
}
