//! Why an rpm cannot be used.

use std::io;

use super::Algorithm;

/// Why this is no rpm that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpmError {
    /// The file is shorter than its headers promise, as one that is still being copied.
    #[error("cut short, or still being written: {length} bytes, expected {expected}")]
    Truncated {
        /// Bytes that are there.
        length: u64,
        /// Bytes that there must be at least; how many more is not known where the headers themselves are cut.
        expected: u64,
    },
    /// The file is longer than its headers promise.
    #[error("{length} bytes, but the package ends after {expected}")]
    Trailing {
        /// Bytes that are there.
        length: u64,
        /// Bytes of the package.
        expected: u64,
    },
    /// It does not begin as an rpm does.
    #[error("not an rpm")]
    NotRpm,
    /// A source package: nothing in it is for a node.
    #[error("a source package, which holds nothing to install")]
    SourcePackage,
    /// One of the two headers is not what it must be.
    #[error("its {section} is damaged: {fault}")]
    Damaged {
        /// `signature`, `header`, or `payload`.
        section: &'static str,
        /// What is wrong.
        fault: String,
    },
    /// Something is not what it was when the package was made.
    #[error("{what} does not match its {algorithm} digest: copy the package again")]
    Mismatch {
        /// The header, the payload or a file.
        what: String,
        /// By what kind of digest.
        algorithm: Algorithm,
    },
    /// It would unpack to more than is allowed.
    #[error("{0}")]
    TooLarge(#[from] Excess),
    /// A file that has no place in a tar, or a hostile name.
    #[error("{name:?}: {reason}")]
    Refused {
        /// The file, by its name in the package.
        name: String,
        /// Why.
        reason: Refusal,
    },
    /// The package cannot be read.
    #[error("cannot read the package: {0}")]
    Read(#[source] io::Error),
    /// The tar cannot be written.
    #[error("cannot write the tar: {0}")]
    Write(#[source] io::Error),
}

/// Which limit a package is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Excess {
    /// Bytes of content.
    #[error("unpacks to {unpacked} bytes, more than the {limit} allowed")]
    Unpacked {
        /// What the header declares, or what there was until then.
        unpacked: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Files, directories and all else.
    #[error("holds {members} files, more than the {limit} allowed")]
    Members {
        /// What the header declares.
        members: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Times its own size.
    #[error("unpacks from {packed} bytes to {unpacked}, more than the {limit}-fold allowed")]
    Ratio {
        /// Bytes of the package.
        packed: u64,
        /// What the header declares, or what there was until then.
        unpacked: u64,
        /// What is allowed.
        limit: u64,
    },
}

/// Why a file is not put into a tar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No name, or nothing between two slashes.
    #[error("an empty name, or an empty part of one")]
    EmptyName,
    /// A directory and a name in it that begins at the root again.
    #[error("an absolute name within a directory")]
    AbsoluteName,
    /// `.` or `..` in a name.
    #[error("a name that goes by way of \".\" or \"..\"")]
    DotName,
    /// Something below what is no directory.
    #[error("lies below {0:?}, which is no directory but a symlink or file of the same package")]
    ThroughFile(String),
    /// Two files of one name.
    #[error("comes twice")]
    Duplicate,
    /// Two files of one name once `bin`, `sbin`, `lib` and `lib64` are in `usr`.
    #[error(
        "would be the same file as {0:?} where /bin, /sbin, /lib and /lib64 are links into /usr"
    )]
    SameInUsr(String),
    /// It would replace what programs and libraries are found by.
    #[error("would replace a directory that every system needs")]
    ReplacesSystemDirectory,
    /// Neither tar nor rpm knows what that would be.
    #[error("file type {0:#o} cannot be in a tar")]
    FileType(u16),
    /// A symlink that points nowhere.
    #[error("a symlink without a target")]
    NoTarget,
    /// Names of one file that differ in what the file is.
    #[error("a hard link to {0:?}, but of another size or content")]
    UnlikeHardLink(String),
    /// Capabilities that cannot be read.
    #[error("capabilities that cannot be read: {0:?}")]
    Capabilities(String),
}
