//! [`Files`]: what a document may refer to.

/// The files directory of a document. Names are relative to it, in their simplest form; the directory itself is `""`.
///
/// Symlinks are followed, but never out of the directory.
pub trait Files {
    /// The contents of a file.
    fn read(&self, name: &str) -> Result<Vec<u8>, LocalError>;

    /// What is beneath a directory, in any order. Symlinks beneath it are not followed; one in the place of the directory
    /// itself, that leads to a directory, is the only entry, with an empty name.
    fn tree(&self, name: &str) -> Result<Vec<TreeEntry>, LocalError>;
}

/// Something beneath a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Relative to the directory.
    pub name: String,
    /// What it is.
    pub kind: TreeEntryKind,
}

/// What something beneath a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeEntryKind {
    /// A file.
    File {
        /// By anyone.
        executable: bool,
    },
    /// A directory, whose entries are listed as well.
    Directory,
    /// A symlink.
    Symlink {
        /// As it is written.
        target: String,
    },
    /// Something that a config cannot carry.
    Other,
}

/// Why something local cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalError {
    /// Nothing local can.
    #[error("there is no files directory to find local files in")]
    NoFiles,
    /// The name, or a symlink on the way, leads out of the files directory.
    #[error("{0} is outside of the files directory")]
    Outside(String),
    /// Something was wrong with it itself.
    #[error("cannot read {name}: {reason}")]
    Unreadable {
        /// Relative to the files directory.
        name: String,
        /// Why.
        reason: String,
    },
    /// All contents taken together are more than a config may carry.
    #[error("with {0}, the config would become too large")]
    TooLarge(String),
}

/// The name of a local file as [`Files`] wants it. A leading slash means the files directory.
pub(super) fn name(written: &str) -> Result<String, LocalError> {
    let mut name = Vec::new();
    for part in written.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                name.pop()
                    .ok_or_else(|| LocalError::Outside(written.into()))?;
            }
            part => name.push(part),
        }
    }
    Ok(name.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        for (written, expected) in [
            ("motd.txt", "motd.txt"),
            ("/motd.txt", "motd.txt"),
            ("./a/../b//c/", "b/c"),
            ("", ""),
            ("a/..", ""),
        ] {
            assert_eq!(name(written).as_deref(), Ok(expected), "{written}");
        }
        for written in ["..", "a/../..", "../files/a", "/../a"] {
            assert_eq!(name(written), Err(LocalError::Outside(written.into())));
        }
    }
}
