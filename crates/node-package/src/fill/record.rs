//! Which client packages the head itself wrote: what tells them from those of administrators.

use std::{collections::BTreeMap, fs, io, path::Path};

use package::Kind;

use super::{FillError, at, write};

/// In the form of sha256sum(1), which can check it.
const FILE: &str = ".pilotlight-node.sha256";

/// For each kind the last file that was written: its path in the directory, and its SHA-256.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record(BTreeMap<Kind, (String, String)>);

impl Record {
    /// `None` where nothing was ever written.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, FillError> {
        let file = directory.join(FILE);
        match fs::read_to_string(&file) {
            Ok(text) => Ok(Some(Self(text.lines().filter_map(parse).collect()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&file)(error)),
        }
    }

    pub(super) fn of(&self, kind: Kind) -> Option<(String, String)> {
        self.0.get(&kind).cloned()
    }

    pub(super) fn set(&mut self, kind: Kind, name: String, digest: String) {
        self.0.insert(kind, (name, digest));
    }

    pub(super) fn write(&self, directory: &Path) -> Result<(), FillError> {
        let lines = self
            .0
            .values()
            .map(|(name, digest)| format!("{digest}  {name}\n"));
        write(&directory.join(FILE), lines.collect::<String>().as_bytes())
    }
}

/// A line of the record. One that is none names no file of ours.
fn parse(line: &str) -> Option<(Kind, (String, String))> {
    let (digest, name) = line.split_once("  ")?;
    let (kind, file) = name.split_once('/')?;
    let is_file_name = !matches!(file, "" | "." | "..") && !file.contains('/');
    is_file_name.then_some((kind.parse().ok()?, (name.to_owned(), digest.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_files_of_the_three_directories_alone() {
        let known = |line| parse(line).map(|(kind, (name, _))| (kind, name));
        assert_eq!(
            known("ab  rpm/a.rpm"),
            Some((Kind::Rpm, "rpm/a.rpm".to_owned()))
        );
        for line in [
            "",
            "ab",
            "ab  a.rpm",
            "ab  rpm/../../a",
            "ab  rpm/..",
            "ab  /a",
            "ab  etc/a",
        ] {
            assert_eq!(known(line), None, "{line}");
        }
    }
}
