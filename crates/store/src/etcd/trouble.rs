//! Why a member of etcd is of no use.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use model::{Revision, Uid};
use tonic::Code;

use crate::StoreError;

/// Why a member of etcd is of no use to this head.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{}", said(.0))]
    Etcd(#[from] etcd_client::Error),

    #[error("{}", chain(.0))]
    Connection(#[from] tonic::transport::Error),

    #[error("it does not answer within {} s", .0.as_secs_f32())]
    Silent(Duration),

    #[error("the link to it was lost before it answered")]
    LinkLost,

    #[error("it hangs up, as it does when it does not trust this head's certificate ({0})")]
    NotTrusted(String),

    #[error("it ended the feed of changes: {0}")]
    FeedEnded(String),

    #[error("the settings have certificates, but its address is not https")]
    NotEncrypted,

    #[error("its address is https, but the settings name no authority for its certificate")]
    NoAuthority,

    #[error("there is no cluster under {prefix}")]
    NoCluster { prefix: String },

    #[error("the cluster under {prefix} is still being founded")]
    Founding { prefix: String },

    #[error(
        "the cluster was moved away from this etcd; this head must join it again where it is now"
    )]
    Retired,

    #[error(
        "it keeps another cluster ({found}) than this head's ({own}); to take that one over, move pilotlight.db away"
    )]
    OtherCluster { found: Uid, own: Uid },

    #[error(
        "it is at revision {found}, while this head has seen {seen}: it was restored from an older backup. To go on \
         from there, move pilotlight.db away on every head"
    )]
    Behind { found: Revision, seen: Revision },

    #[error("the key {key} was not written by pilotlight")]
    Foreign { key: String },

    #[error(
        "a newer pilotlight made its layout {found}, this version knows {known}; start the newer version"
    )]
    TooNew { found: u32, known: u32 },

    #[error("its answer makes no sense: {0}")]
    Nonsense(&'static str),

    #[error("it takes no writes: {0}")]
    Alarm(&'static str),

    /// The changes that were asked for are forgotten.
    #[error("its history was compacted meanwhile")]
    Compacted,

    /// It is not etcd's fault.
    #[error("this head cannot take the changes over: {0}")]
    Replica(#[from] StoreError),
}

impl Trouble {
    pub(super) fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Etcd(etcd_client::Error::GRpcStatus(status)) if status.code() == Code::PermissionDenied)
    }

    /// Whether the member closed the connection. With TLS 1.3 a server judges the client's certificate after the client
    /// has judged its own, and what it thinks of it may get lost when it closes.
    pub(super) fn is_hanging_up(&self) -> bool {
        let cause: Option<&(dyn Error + 'static)> = match self {
            Self::Connection(error) | Self::Etcd(etcd_client::Error::TransportError(error)) => {
                Some(error)
            }
            Self::Etcd(etcd_client::Error::GRpcStatus(status)) => status.source(),
            _ => None,
        };
        cause.is_some_and(|cause| {
            matches!(
                io_error(cause).map(io::Error::kind),
                None | Some(
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
                )
            )
        })
    }

    /// Whether a request that ended so was surely not carried out.
    pub(super) fn is_refusal(&self) -> bool {
        let Self::Etcd(etcd_client::Error::GRpcStatus(status)) = self else {
            return false;
        };
        // With a source, it is the connection that says so, and not etcd.
        status.source().is_none()
            && matches!(
                status.code(),
                Code::InvalidArgument
                    | Code::PermissionDenied
                    | Code::Unauthenticated
                    | Code::ResourceExhausted
                    | Code::FailedPrecondition
            )
    }
}

fn said(error: &etcd_client::Error) -> String {
    match error {
        etcd_client::Error::GRpcStatus(status) => refusal(status),
        etcd_client::Error::TransportError(error) => chain(error),
        _ => error.to_string(),
    }
}

/// The failure of the network that an error came from.
fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An error and what it came from, without what is said twice.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    said.join(": ")
}

/// What etcd said in a refusal, with what is to be done where that is known.
fn refusal(status: &tonic::Status) -> String {
    let message = match status.source() {
        // Not etcd said it, but what is between.
        Some(source) => chain(source),
        None => status
            .message()
            .trim_start_matches("etcdserver: ")
            .to_owned(),
    };
    let advice = [
        ("too many operations", " (its --max-txn-ops is too low)"),
        ("too large", " (its --max-request-bytes is too low)"),
        ("larger than max", " (its --max-request-bytes is too low)"),
        (
            "space exceeded",
            " (compact and defragment it, then disarm its alarm)",
        ),
    ];
    let advice = advice
        .iter()
        .find(|(text, _)| message.contains(text))
        .map_or("", |(_, advice)| advice);
    format!("{message}{advice}")
}
