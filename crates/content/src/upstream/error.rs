//! Why a file could not be had from its upstream, told to a person.

use std::path::PathBuf;
use std::time::Duration;

use super::source::Upstream;

/// A fetch that failed. It holds no password and no query of a URL.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{upstream}: {fault}")]
pub struct UpstreamError {
    /// What was to be fetched, as it may be shown.
    pub upstream: Box<str>,
    /// Why it was not.
    pub fault: Fault,
}

/// What a fault means to the one who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultClass {
    /// This head's configuration forbids the fetch.
    Forbidden,
    /// The upstream says that there is no such file: a decision, not a failure.
    Absent,
    /// The fetch goes on; ask again in a few seconds.
    NotYet,
    /// The upstream took too long.
    TooSlow,
    /// What the upstream has is not what was wanted.
    Invalid,
    /// The upstream is down, refuses, or answers what cannot be used.
    Failed,
}

/// Why a fetch failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The scheme is not among `fetch.schemes`.
    #[error("fetch.schemes does not list \"{0}\"")]
    Scheme(Box<str>),
    /// The address may not be connected to.
    #[error("connecting to {address} is forbidden: {why}")]
    Forbidden {
        /// The address, after the name of the host, if it has one.
        address: String,
        /// Which rule forbids it, and how to allow it.
        why: &'static str,
    },
    /// The host name has no address.
    #[error("cannot find the address of \"{host}\": {reason}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No connection came about.
    #[error("cannot connect to {place}: {reason}")]
    Connect {
        /// Host or address with port.
        place: String,
        /// What the system said.
        reason: String,
    },
    /// No trusted and encrypted connection came about.
    #[error("TLS with {host} failed: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong, most often with its certificate.
        reason: String,
    },
    /// The time for the whole fetch was over.
    #[error("the {} s that a fetch may take were over while {stage}", limit.as_secs_f32())]
    TimedOut {
        /// What was under way.
        stage: &'static str,
        /// `fetch.timeout`.
        limit: Duration,
    },
    /// The connection ended early, or what came is no HTTP.
    #[error("the connection failed while {stage}: {reason}")]
    Broken {
        /// What was under way.
        stage: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// More than may be fetched.
    #[error("it is larger than {limit} bytes, which is fetch.max_size")]
    TooLarge {
        /// `fetch.max_size`.
        limit: u64,
    },
    /// No bytes: clients take an empty answer for "nothing to do".
    #[error("it is empty")]
    Empty,
    /// Compressed, although nobody asked for that.
    #[error("it comes with Content-Encoding \"{0}\", which was not asked for")]
    Encoded(String),
    /// More redirects than `fetch.redirects`.
    #[error("more than {limit} redirects, which is fetch.redirects")]
    TooManyRedirects {
        /// `fetch.redirects`.
        limit: usize,
    },
    /// A redirect back to where it came from.
    #[error("the redirects form a loop")]
    RedirectLoop,
    /// A redirect to nowhere.
    #[error("status {status} with an unusable Location: {reason}")]
    Location {
        /// The status.
        status: u16,
        /// What is wrong with it.
        reason: String,
    },
    /// A redirect where none is followed.
    #[error(
        "the server redirects (status {status}), which is not followed for git; give the repository's final URL"
    )]
    GitRedirect {
        /// The status.
        status: String,
    },
    /// Behind a redirect, something failed.
    #[error("redirected to {to}: {fault}")]
    Redirected {
        /// Where to, without its query.
        to: String,
        /// What failed there.
        fault: Box<Self>,
    },
    /// The server says that there is none.
    #[error("the server has no such file (status {status})")]
    Absent {
        /// 404 or 410.
        status: u16,
    },
    /// The server wants other credentials, or any.
    #[error(
        "the server refuses access (status {status}); logins for {host} belong into the file fetch.credentials"
    )]
    AccessRefused {
        /// 401 or 403.
        status: u16,
        /// The host.
        host: String,
    },
    /// Any other status than 200.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The credentials file cannot be used.
    #[error("cannot use the credentials file {}: {reason}", path.display())]
    Credentials {
        /// `fetch.credentials`.
        path: PathBuf,
        /// Why, without any of its content.
        reason: String,
    },
    /// The program `git` cannot be started.
    #[error("cannot start the program git: {0}; is it installed?")]
    GitMissing(String),
    /// No such branch or tag.
    #[error("the repository has no branch or tag \"{wanted}\"{}", listed(known))]
    NoReference {
        /// What was looked for.
        wanted: String,
        /// Some that it has.
        known: Vec<String>,
    },
    /// No such commit, or the server does not give single commits.
    #[error("the server does not give commit {wanted}: {reason}")]
    NoCommit {
        /// What was looked for.
        wanted: String,
        /// What git said.
        reason: String,
    },
    /// No such file in that commit.
    #[error("commit {commit} has no file \"{path}\"")]
    NoPath {
        /// What was looked for.
        path: String,
        /// Where.
        commit: String,
    },
    /// Something else than a file has that path.
    #[error("\"{path}\" is {kind} in commit {commit}, not a file")]
    NotFile {
        /// What was looked for.
        path: String,
        /// Where.
        commit: String,
        /// What it is.
        kind: &'static str,
    },
    /// The repository wants credentials.
    #[error("the repository refuses access: {0}")]
    GitAccessRefused(String),
    /// The server's ssh key is not the one known, or none is known.
    #[error("the ssh key of {host} is not a known one; add it to {file}")]
    HostKey {
        /// The host.
        host: String,
        /// The file of known keys.
        file: String,
    },
    /// There is a server, but no repository.
    #[error("there is no repository: {0}")]
    NotRepository(String),
    /// `git` failed in another way.
    #[error("git failed: {0}")]
    Git(String),
    /// This head's own disk failed.
    #[error("cannot {action} {}: {reason}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The fetch goes on.
    #[error("the upstream has not answered yet; the fetch goes on")]
    NotYet,
    /// [`UpstreamSettings::check`](super::UpstreamSettings::check) refuses it.
    #[error("{0}")]
    Content(String),
    /// This head is about to end.
    #[error("this head is shutting down")]
    Closing,
    /// The code that fetches it failed unexpectedly.
    #[error("the fetch was abandoned")]
    Abandoned,
}

impl UpstreamError {
    pub(super) fn new(upstream: &Upstream, fault: Fault) -> Self {
        Self {
            upstream: upstream.to_string().into(),
            fault,
        }
    }

    /// What the failure means to the one who asked.
    #[must_use]
    pub fn class(&self) -> FaultClass {
        self.fault.class()
    }
}

impl Fault {
    /// What the fault means to the one who asked.
    #[must_use]
    pub fn class(&self) -> FaultClass {
        match self {
            Self::Redirected { fault, .. } => fault.class(),
            Self::Scheme(_) | Self::Forbidden { .. } => FaultClass::Forbidden,
            Self::Absent { .. }
            | Self::NoReference { .. }
            | Self::NoPath { .. }
            | Self::NotFile { .. } => FaultClass::Absent,
            Self::NotYet | Self::Closing | Self::Abandoned => FaultClass::NotYet,
            Self::Content(_) => FaultClass::Invalid,
            Self::TimedOut { .. } => FaultClass::TooSlow,
            _ => FaultClass::Failed,
        }
    }

    pub(super) fn disk(
        action: &'static str,
        path: impl Into<PathBuf>,
        reason: &dyn std::fmt::Display,
    ) -> Self {
        Self::Disk {
            action,
            path: path.into(),
            reason: reason.to_string(),
        }
    }
}

fn listed(known: &[String]) -> String {
    match known {
        [] => "; it is empty".to_owned(),
        known => format!("; it has {}", known.join(", ")),
    }
}

/// Why fetching cannot even begin: a fault of the configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamSetupError {
    /// A scheme that cannot be fetched.
    #[error("fetch.schemes: unknown scheme \"{0}\"; accepted: {known}", known = super::policy::SCHEMES.join(", "))]
    Scheme(String),
    /// Neither a network nor a host name.
    #[error("fetch.allow: \"{0}\" is neither an address, a network (10.0.0.0/8) nor a host name")]
    Allow(String),
    /// The CA file is unusable.
    #[error("fetch.ca_file: cannot use {}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The TLS library refuses to work.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The directory for copies cannot be used.
    #[error("cannot use the directory {} for copies of what was fetched: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
