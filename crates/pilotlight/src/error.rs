//! Everything that ends the command with a failure.

use std::io;
use std::path::{Path, PathBuf};

use crate::client::HeadAddress;
use crate::config::Fault;

/// Why the command failed. What it prints follows `pilotlight: `.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The head answered that it will not.
    #[error("{reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The head's reason.
        reason: String,
    },
    /// The command did its work, and what it found is not in order.
    #[error("{0}")]
    Found(String),
    /// The words of the command line do not do.
    #[error("{0}")]
    Usage(String),
    /// No connection, or no answer in time.
    #[error("cannot reach {head}: {reason}")]
    Unreachable {
        /// The head that was asked.
        head: HeadAddress,
        /// What went wrong.
        reason: String,
    },
    /// Neither flag nor environment names a head, and none runs here.
    #[error(
        "no head named, and none runs here: give --head URL or --socket PATH, \
         or set PILOTLIGHT_HEAD or PILOTLIGHT_SOCKET"
    )]
    NoHead,
    /// The answer is not what a head would say.
    #[error("{head} answered something unexpected: {reason}")]
    Answer {
        /// The head that was asked.
        head: HeadAddress,
        /// What is wrong with it.
        reason: String,
    },
    /// No login is stored for the head.
    #[error("not logged in to {0}: run `pilotlight login`")]
    NotLoggedIn(HeadAddress),
    /// The configuration is faulty.
    #[error("{}", in_lines(.0))]
    Settings(Vec<Fault>),
    /// A local file.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard input or output, or the terminal.
    #[error("cannot {action}: {source}")]
    Terminal {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The head could not start, or ended with a failure.
    #[error("{}", server::with_causes(.0.as_ref()))]
    Serve(#[from] anyhow::Error),
}

impl Error {
    /// A local file that could not be read or written.
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// The exit code: 1 the head refused or something is not in order, 2 usage, 3 no head was reached.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Unreachable { .. } | Self::NoHead => 3,
            Self::Refused { .. }
            | Self::Found(_)
            | Self::Answer { .. }
            | Self::NotLoggedIn(_)
            | Self::Settings(_)
            | Self::File { .. }
            | Self::Terminal { .. }
            | Self::Serve(_) => 1,
        }
    }

    /// Whether whoever read our output has gone (`pilotlight node list | head`), which is no failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Terminal { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn in_lines(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    lines.join("\npilotlight: ")
}
