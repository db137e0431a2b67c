//! What can go wrong between heads, told to a person.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use content::ContentError;
use model::{FilePath, Sha256Digest, Uid};

use super::Peer;

/// Why another head did not answer as it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The certificate or key of this head is of no use.
    #[error("this head's own certificate cannot be used: {0}")]
    Identity(String),

    /// Nobody answers there.
    #[error("{peer} cannot be reached: {source}")]
    Unreachable {
        /// Who was asked.
        peer: Peer,
        /// What the kernel said.
        source: io::Error,
    },

    /// The TLS handshake failed: it is no head of this cluster, or does not take this one for one.
    #[error("no TLS connection to {peer}: {source}")]
    Handshake {
        /// Who was asked.
        peer: Peer,
        /// What rustls said.
        source: io::Error,
    },

    /// Another head of this cluster answers there.
    #[error("not {peer} answers there, but {}", found.map_or("nobody's certificate".into(), |uid| format!("the head with UID {uid}")))]
    OtherHead {
        /// Who was asked.
        peer: Peer,
        /// Who answered, if its certificate tells.
        found: Option<Uid>,
    },

    /// It does not know this head.
    #[error("{peer} refuses this head: it was removed from the cluster, or never joined it")]
    Refused {
        /// Who was asked.
        peer: Peer,
    },

    /// It does not have the file.
    #[error("{peer} does not have it")]
    Absent {
        /// Who was asked.
        peer: Peer,
    },

    /// It has the file in another version.
    #[error("{peer} has another version of it")]
    OtherVersion {
        /// Who was asked.
        peer: Peer,
    },

    /// Its answer is none that was asked for.
    #[error("{peer} gave a wrong answer: {reason}")]
    Answer {
        /// Who was asked.
        peer: Peer,
        /// What is wrong.
        reason: String,
    },

    /// The connection broke.
    #[error("the connection to {peer} broke: {reason}")]
    Broken {
        /// Who was asked.
        peer: Peer,
        /// Why.
        reason: String,
    },

    /// It took too long.
    #[error("{peer} did not answer for {} s", limit.as_secs())]
    TimedOut {
        /// Who was asked.
        peer: Peer,
        /// How long it may take.
        limit: Duration,
    },

    /// What was sent cannot be kept.
    #[error("cannot store what {peer} sent: {source}")]
    Store {
        /// Who was asked.
        peer: Peer,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Why a file was not pulled. Cheap to clone, since all who waited get it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    /// There is no other head.
    #[error("cannot pull \"{path}\": there is no other head")]
    Alone {
        /// The file.
        path: FilePath,
    },

    /// No head gave it.
    #[error("cannot pull \"{path}\" (sha256 {sha256}): {}", reasons.join("; "))]
    NoSource {
        /// The file.
        path: FilePath,
        /// The version that was asked for.
        sha256: Sha256Digest,
        /// What each head said.
        reasons: Vec<String>,
        /// When to try again.
        retry_after: Duration,
    },

    /// The disk does not take it.
    #[error("cannot store what was pulled: {0}")]
    Store(Arc<ContentError>),

    /// It is there, but whoever wanted it does not take it.
    #[error("\"{path}\" was pulled and not put in its place: {reason}")]
    Publish {
        /// The file.
        path: FilePath,
        /// Why.
        reason: Arc<str>,
    },

    /// The head stops.
    #[error("the head stops")]
    Stopping,
}

impl PullError {
    /// How long to wait before another try can go better.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::NoSource { retry_after, .. } => *retry_after,
            Self::Alone { .. } | Self::Publish { .. } | Self::Stopping => Duration::from_secs(1),
            Self::Store(error) => match **error {
                ContentError::NoSpace { .. } => Duration::from_secs(30),
                _ => Duration::from_secs(5),
            },
        }
    }
}
