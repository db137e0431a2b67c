//! Names of boot files, as clients ask for them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::temporary;

/// Longest name, in bytes: Linux's own limit for a path (`PATH_MAX`).
const MAX_NAME: usize = 4096;
/// Longest component, in bytes: the limit of Linux's file systems (`NAME_MAX`).
const MAX_COMPONENT: usize = 255;
/// Deepest name, in components.
pub(crate) const MAX_DEPTH: usize = 32;
/// How much of a refused name its error repeats, in characters: it goes to a log line.
const SHOWN: usize = 100;

/// The name of a boot file below the kickstarts directory: `basic.ks`, `rack1/switch.sh`.
///
/// It has one to 32 components joined by single slashes, none of them `.` or `..`; it is UTF-8 without control
/// characters or backslashes, and not one of the temporary names that uploads use. That a symbolic link may still
/// lead out of the directory is the kernel's to judge, at [`FileRoot`](crate::FileRoot).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName(Arc<str>);

impl FileName {
    /// Takes the name from a request path whose percent-encoding is decoded already.
    ///
    /// # Errors
    /// Says what is wrong with the name.
    pub fn parse(decoded: &[u8]) -> Result<Self, FileNameError> {
        let refuse = |fault| FileNameError {
            name: String::from_utf8_lossy(decoded)
                .chars()
                .take(SHOWN)
                .collect(),
            fault,
        };
        let name = str::from_utf8(decoded).map_err(|_| refuse(FileNameFault::NotUtf8))?;
        match fault_in(name) {
            Some(fault) => Err(refuse(fault)),
            None => Ok(Self(name.into())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory part (empty for a file of the top directory) and the last component.
    pub(crate) fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }
}

fn fault_in(name: &str) -> Option<FileNameFault> {
    if name.is_empty() {
        return Some(FileNameFault::Empty);
    }
    if name.len() > MAX_NAME {
        return Some(FileNameFault::TooLong);
    }
    if name.starts_with('/') {
        return Some(FileNameFault::Absolute);
    }
    if name.chars().any(char::is_control) {
        return Some(FileNameFault::Control);
    }
    if name.contains('\\') {
        return Some(FileNameFault::Backslash);
    }
    if name.split('/').count() > MAX_DEPTH {
        return Some(FileNameFault::TooDeep);
    }
    name.split('/').find_map(|component| match component {
        "" => Some(FileNameFault::EmptyComponent),
        "." => Some(FileNameFault::Dot),
        ".." => Some(FileNameFault::DotDot),
        _ if component.len() > MAX_COMPONENT => Some(FileNameFault::ComponentTooLong),
        _ if temporary::is_temporary(component) => Some(FileNameFault::Temporary),
        _ => None,
    })
}

impl FromStr for FileName {
    type Err = FileNameError;

    fn from_str(name: &str) -> Result<Self, FileNameError> {
        Self::parse(name.as_bytes())
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Why a name cannot be that of a boot file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad file name {name:?}: {fault}")]
pub struct FileNameError {
    /// The beginning of the name.
    pub name: String,
    /// What is wrong with it.
    pub fault: FileNameFault,
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileNameFault {
    /// There is no name.
    #[error("it is empty")]
    Empty,
    /// More than 4096 bytes.
    #[error("it is longer than {MAX_NAME} bytes")]
    TooLong,
    /// It begins with a slash.
    #[error("it begins with a slash")]
    Absolute,
    /// Two slashes in a row, or one at the end.
    #[error("it has an empty component")]
    EmptyComponent,
    /// A component `.`.
    #[error("it has a component `.`")]
    Dot,
    /// A component `..`.
    #[error("it has a component `..`")]
    DotDot,
    /// A component of more than 255 bytes.
    #[error("it has a component longer than {MAX_COMPONENT} bytes")]
    ComponentTooLong,
    /// More than 32 components.
    #[error("it has more than {MAX_DEPTH} components")]
    TooDeep,
    /// Bytes that are not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A NUL or another control character.
    #[error("it has a control character")]
    Control,
    /// A backslash, which some clients take for a slash.
    #[error("it has a backslash")]
    Backslash,
    /// A name kept for uploads that are not complete.
    #[error(
        "names that begin with `{}` or `{}` are kept for files that are not whole yet",
        temporary::UPLOAD,
        temporary::PARTIAL
    )]
    Temporary,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_names_are_refused_with_their_fault() {
        let long_component = "c".repeat(256);
        let long_name = "abc/".repeat(1100) + "x";
        let deep = "d/".repeat(32) + "x";
        let table: &[(&[u8], FileNameFault)] = &[
            (b"", FileNameFault::Empty),
            (b"/etc/passwd", FileNameFault::Absolute),
            (b"/", FileNameFault::Absolute),
            (b"..", FileNameFault::DotDot),
            (b"../x", FileNameFault::DotDot),
            (b"a/../../x", FileNameFault::DotDot),
            (b"a/..", FileNameFault::DotDot),
            (b".", FileNameFault::Dot),
            (b"./x", FileNameFault::Dot),
            (b"a/./x", FileNameFault::Dot),
            (b"a//x", FileNameFault::EmptyComponent),
            (b"a/", FileNameFault::EmptyComponent),
            (b"x\0.ks", FileNameFault::Control),
            (b"x\n.ks", FileNameFault::Control),
            (b"x\x7f", FileNameFault::Control),
            (b"..\\..\\x", FileNameFault::Backslash),
            (b"\xff.ks", FileNameFault::NotUtf8),
            (b"a/\xc0\xaf/x", FileNameFault::NotUtf8),
            (b".pilotlight-upload-1-1", FileNameFault::Temporary),
            (b"a/.pilotlight-upload-1-1/b", FileNameFault::Temporary),
            (long_component.as_bytes(), FileNameFault::ComponentTooLong),
            (long_name.as_bytes(), FileNameFault::TooLong),
            (deep.as_bytes(), FileNameFault::TooDeep),
        ];
        for (name, fault) in table {
            let error = FileName::parse(name).unwrap_err();
            assert_eq!(error.fault, *fault, "{error}");
            let line = error.to_string();
            assert!(
                line.len() < 500 && !line.contains(char::is_control),
                "{line}"
            );
        }
    }

    #[test]
    fn ordinary_names_are_taken_as_they_are() {
        let longest = "c".repeat(255);
        for name in [
            "basic.ks",
            "rack 1/a.sh",
            "...",
            "..x",
            ".hidden",
            "%2e%2e",
            "ü.ks",
            &longest,
        ] {
            assert_eq!(FileName::from_str(name).unwrap().as_str(), name);
        }
    }

    proptest! {
        /// Joined to a directory, no accepted name climbs, restarts at `/`, or loses a component.
        #[test]
        fn an_accepted_name_only_descends(name in "[a./\\\\\0-]{0,12}") {
            if let Ok(accepted) = FileName::from_str(&name) {
                let components = std::path::Path::new(accepted.as_str()).components();
                prop_assert!(components.clone().all(|c| matches!(c, std::path::Component::Normal(_))));
                prop_assert_eq!(components.count(), name.split('/').count());
            }
        }
    }
}
