//! Where a node's config is kept, and what stands there now.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use content::{
    FileName, Sha256Digest,
    upstream::{FaultClass, Remote, Source, SourceError, Upstream, UpstreamError},
};
use model::{ClusterState, Node, SetBy, SyncPeriod};

use crate::{Error, boot::boot_file, head::Head};

/// Where a config is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the kickstarts directory.
    File(FileName),
    /// Somewhere else.
    Upstream {
        upstream: Upstream,
        /// How long what was fetched is good.
        refresh: Option<Duration>,
    },
}

/// The language of a config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Language {
    Ignition,
    Butane,
}

/// A config as it is written.
pub(crate) struct Document {
    pub bytes: Bytes,
    pub sha256: Sha256Digest,
    pub language: Language,
    /// The file of the kickstarts directory that it is, if it is one.
    pub file: Option<FileName>,
    /// What it is called in messages.
    pub name: Box<str>,
    /// What its keeper calls its present state.
    pub revision: Box<str>,
    /// Why it may be out of date.
    pub stale: Option<Box<str>>,
}

impl Place {
    /// What a node's effective `_ignition` says. An empty one keeps a node from the config that its groups have.
    ///
    /// # Errors
    /// It names no place.
    pub(crate) fn of(state: &ClusterState, node: &Node) -> Result<Option<Self>, Error> {
        match state.attribute(node, "_ignition") {
            Some((value, from)) if !value.is_empty() => {
                Self::parse(state, node, value, from).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The same of a node that must have one.
    ///
    /// # Errors
    /// It has none, or one that names no place.
    pub(crate) fn required(state: &ClusterState, node: &Node) -> Result<Self, Error> {
        let why = |said| Error::NotFound(format!("node {} has no {said}", node.name));
        Self::of(state, node)?.ok_or_else(|| match state.attribute(node, "_ignition") {
            None => why("attribute \"_ignition\"".to_owned()),
            Some((_, from)) => why(format!(
                "Ignition config: its _ignition (set by {from}) is empty"
            )),
        })
    }

    fn parse(
        state: &ClusterState,
        node: &Node,
        value: &str,
        from: SetBy<'_>,
    ) -> Result<Self, Error> {
        // The value itself may hold a password, so it is not repeated.
        let unusable =
            |why: String| format!("node {} has an _ignition (set by {from}): {why}", node.name);
        let wrong = |error: SourceError| match error {
            SourceError::FileUrl => Error::Forbidden(unusable(error.to_string())),
            error => Error::Unprocessable(unusable(error.to_string())),
        };
        match Source::parse(value).map_err(wrong)? {
            Source::File(name) => Ok(Self::File(name)),
            Source::Upstream(upstream) => Ok(Self::Upstream {
                upstream,
                refresh: None,
            }),
            Source::Registered(file) => {
                let Some(repository) = state.git_repos.named(&file.repository) else {
                    return Err(Error::NotFound(unusable(format!(
                        "no git repository is registered as {:?}",
                        file.repository
                    ))));
                };
                let remote = Remote::parse(repository.url.as_str()).map_err(wrong)?;
                let remote = match repository.public {
                    true => remote.anonymous(),
                    false => remote,
                };
                Ok(Self::Upstream {
                    upstream: file.at(remote),
                    refresh: repository.sync_period.map(SyncPeriod::duration),
                })
            }
        }
    }

    /// What it is called in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(name) => name.to_string(),
            Self::Upstream { upstream, .. } => upstream.to_string(),
        }
    }

    fn language(&self) -> Result<Language, Error> {
        let path = match self {
            Self::File(name) => name.as_str(),
            Self::Upstream { upstream, .. } => upstream.path(),
        };
        match (Language::of(path), self) {
            (Some(language), _) => Ok(language),
            (None, Self::Upstream { .. }) => Ok(Language::Ignition),
            (None, Self::File(name)) => Err(Error::Unprocessable(format!(
                "{name}: an Ignition config is called .ign or .json, a Butane config .bu or .butane"
            ))),
        }
    }
}

impl Language {
    /// By the end of a name.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path.rsplit_once('.')?.1 {
            "ign" | "json" => Some(Self::Ignition),
            "bu" | "butane" => Some(Self::Butane),
            _ => None,
        }
    }
}

impl Document {
    /// The content of a file of the kickstarts directory.
    pub(crate) fn of_file(
        name: &FileName,
        bytes: Bytes,
        sha256: Sha256Digest,
        language: Language,
    ) -> Self {
        Self {
            bytes,
            sha256,
            language,
            name: name.as_str().into(),
            revision: sha256.revision().into(),
            file: Some(name.clone()),
            stale: None,
        }
    }

    /// What stands at a place now; from memory where that is known to be current.
    pub(crate) async fn at(place: &Place, head: &Arc<Head>) -> Result<Self, Error> {
        let language = place.language()?;
        match place {
            Place::File(name) => {
                let file = boot_file(head, name).await?;
                Ok(Self::of_file(
                    name,
                    file.bytes.clone(),
                    file.sha256,
                    language,
                ))
            }
            Place::Upstream { upstream, refresh } => {
                let refresh = refresh.unwrap_or(head.settings.ignition_refresh);
                let answer = match head.upstreams.try_cached(upstream, refresh) {
                    Some(known) => known?,
                    None => head.upstreams.get(upstream, refresh).await?,
                };
                let stale = answer.stale.map(|stale| {
                    let age = SystemTime::now().duration_since(stale.since);
                    let seconds = age.unwrap_or_default().as_secs();
                    format!("stale, confirmed {seconds} s ago: {}", stale.reason).into()
                });
                Ok(Self {
                    bytes: answer.fetched.bytes.clone(),
                    sha256: answer.fetched.sha256,
                    language,
                    file: None,
                    name: upstream.to_string().into(),
                    revision: answer.fetched.revision.as_str().into(),
                    stale,
                })
            }
        }
    }
}

impl From<UpstreamError> for Error {
    fn from(error: UpstreamError) -> Self {
        let said = error.to_string();
        match error.class() {
            FaultClass::Forbidden => Self::Forbidden(said),
            FaultClass::Invalid => Self::Unprocessable(said),
            FaultClass::Absent => Self::NotFound(said),
            FaultClass::NotYet => Self::Unavailable(said),
            FaultClass::TooSlow => Self::GatewayTimeout(said),
            FaultClass::Failed => Self::BadGateway(said),
        }
    }
}
