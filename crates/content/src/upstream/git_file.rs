//! A file of a git repository: which repository, which revision, which path.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

use super::source::SourceError;
use super::url::Url;
use crate::FileName;

/// A git repository somewhere else. Shown without secrets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Remote {
    pub(super) transport: Transport,
    /// As `git` takes it: its scheme is without `git+`.
    pub(super) url: Url,
    /// Whether no credentials are sent, even where some are configured for the host.
    pub(super) anonymous: bool,
}

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Transport {
    Https,
    Http,
    Ssh,
    Git,
    File,
}

/// A file of a git repository. Shown without secrets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GitFile {
    pub(super) remote: Remote,
    pub(super) path: FileName,
    /// `None`: what the remote's `HEAD` names.
    pub(super) reference: Option<Reference>,
}

/// A branch, tag or commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Reference {
    /// All digits of an object name.
    Commit(Box<str>),
    /// The name of a branch or tag, or a full one: `refs/heads/main`.
    Named(Box<str>),
}

/// The schemes by which a source names each transport.
const SCHEMES: [(&str, Transport); 9] = [
    ("git+https", Transport::Https),
    ("https", Transport::Https),
    ("git+http", Transport::Http),
    ("http", Transport::Http),
    ("git+ssh", Transport::Ssh),
    ("ssh", Transport::Ssh),
    ("git", Transport::Git),
    ("git+git", Transport::Git),
    ("git+file", Transport::File),
];

impl Transport {
    /// The scheme as [`FetchPolicy`](super::FetchPolicy) lists it.
    pub(super) const fn scheme(self) -> &'static str {
        match self {
            Self::Https => "git+https",
            Self::Http => "git+http",
            Self::Ssh => "git+ssh",
            Self::Git => "git",
            Self::File => "git+file",
        }
    }

    /// The scheme as `git` has it, which is also its name of the protocol.
    pub(super) const fn protocol(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Git => "git",
            Self::File => "file",
        }
    }

    pub(super) const fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
            Self::Ssh => 22,
            Self::Git => 9418,
            // Reaches no network.
            Self::File => 0,
        }
    }
}

impl Remote {
    /// Reads the URL of a repository: `https://host/site.git`, `git+ssh://git@host/site.git`.
    ///
    /// # Errors
    /// Says what is wrong and what is accepted. A password in the URL is not repeated.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let remote = Self::from_url(Url::parse(text.trim())?)?;
        match &remote.url.query {
            Some(query) => Err(SourceError::Parameter(parameter_name(query))),
            None => Ok(remote),
        }
    }

    fn from_url(mut url: Url) -> Result<Self, SourceError> {
        let transport = SCHEMES
            .iter()
            .find_map(|(scheme, transport)| (**scheme == *url.scheme).then_some(*transport));
        let Some(transport) = transport else {
            return Err(if &*url.scheme == "file" {
                SourceError::FileUrl
            } else {
                SourceError::Scheme(url.scheme.into())
            });
        };
        match (transport, &url.host) {
            (Transport::File, Some(_)) => return Err(SourceError::FileHost),
            (Transport::File, None) | (_, Some(_)) => {}
            (_, None) => return Err(SourceError::Host),
        }
        url.scheme = transport.protocol().into();
        Ok(Self {
            transport,
            url,
            anonymous: false,
        })
    }

    /// The same, asked without credentials.
    #[must_use]
    pub fn anonymous(self) -> Self {
        Self {
            anonymous: true,
            ..self
        }
    }
}

impl GitFile {
    pub(super) fn parse(text: &str) -> Result<Self, SourceError> {
        // First, or an unknown scheme would be blamed for having no path.
        let mut remote = Remote::from_url(Url::parse(text)?)?;
        let reference = Self::parse_query(remote.url.query.take().as_deref())?;
        let whole = std::mem::take(&mut remote.url.path);
        let (repository, path) = match whole.find(".git//") {
            Some(at) => (&whole[..at + ".git".len()], &whole[at + ".git//".len()..]),
            None => whole.split_once("//").ok_or(SourceError::NoPath)?,
        };
        remote.url.path = repository.into();
        if repository.trim_matches('/').is_empty() {
            return Err(SourceError::NoPath);
        }
        Ok(Self {
            remote,
            path: Self::parse_path(path)?,
            reference,
        })
    }

    pub(super) fn parse_path(path: &str) -> Result<FileName, SourceError> {
        let decoded = Cow::from(percent_decode_str(path));
        Ok(FileName::parse(&decoded)?)
    }

    pub(super) fn parse_query(query: Option<&str>) -> Result<Option<Reference>, SourceError> {
        let Some(query) = query.filter(|query| !query.is_empty()) else {
            return Ok(None);
        };
        match query.strip_prefix("ref=") {
            Some("") => Ok(None),
            Some(value) if !value.contains('&') => Reference::parse(value).map(Some),
            Some(value) => {
                let next = value.split_once('&').map_or("", |(_, next)| next);
                Err(SourceError::Parameter(parameter_name(next)))
            }
            None => Err(SourceError::Parameter(parameter_name(query))),
        }
    }
}

/// Without its value, which may be a token.
fn parameter_name(query: &str) -> String {
    query
        .split(['=', '&'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

impl Reference {
    fn parse(encoded: &str) -> Result<Self, SourceError> {
        let refuse = || SourceError::Reference(encoded.chars().take(100).collect());
        let name = percent_decode_str(encoded)
            .decode_utf8()
            .map_err(|_| refuse())?;
        if [40, 64].contains(&name.len()) && name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Self::Commit(name.to_ascii_lowercase().into()));
        }
        if is_reference_name(&name) {
            Ok(Self::Named(name.into()))
        } else {
            Err(refuse())
        }
    }

    /// The full names it may have at the remote, in the order they are preferred.
    pub(super) fn full_names(name: &str) -> Vec<String> {
        if name == "HEAD" || name.starts_with("refs/") {
            vec![name.to_owned()]
        } else {
            vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")]
        }
    }
}

/// What `git check-ref-format --allow-onelevel` takes, less what could be an option.
fn is_reference_name(name: &str) -> bool {
    let component_is_sound = |component: &str| {
        !component.is_empty() && !component.starts_with('.') && !component.ends_with(".lock")
    };
    name.len() <= 255
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && name != "@"
        && !name.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c))
        && name.split('/').all(component_is_sound)
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.transport == Transport::Git {
            ""
        } else {
            "git+"
        };
        write!(f, "{prefix}{}", self.url)
    }
}

impl fmt::Display for GitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}//{}", self.remote, self.path)?;
        match &self.reference {
            Some(reference) => write!(f, "?ref={reference}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Commit(text) | Self::Named(text)) = self;
        f.write_str(text)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for GitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
