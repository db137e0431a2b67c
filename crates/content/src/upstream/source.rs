//! Where a config comes from, as the attribute `_ignition` says.

use std::fmt;
use std::str::FromStr;

use super::git_file::{GitFile, Reference, Remote};
use super::url::Url;
use crate::{FileName, FileNameError};

/// What a source may look like, for errors.
const ACCEPTED: &str = "a file of the kickstarts directory, http://…, https://…, \
    git+https://HOST/REPOSITORY.git//PATH?ref=… (or git+http, git+ssh, git+file, git), gitrepo:NAME//PATH?ref=…";

/// Where a config comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file of the kickstarts directory.
    File(FileName),
    /// A file somewhere else, to be fetched.
    Upstream(Upstream),
    /// A file of a repository that is registered under a name.
    Registered(RegisteredFile),
}

/// A file that [`Upstreams`](super::Upstreams) can fetch. Shown without what may be secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// By HTTP.
    Http(HttpUrl),
    /// From a git repository.
    Git(GitFile),
}

/// An `http` or `https` URL.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl(pub(super) Url);

/// A file of a registered repository: `gitrepo:NAME//PATH?ref=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredFile {
    /// The name of the repository.
    pub repository: String,
    path: FileName,
    reference: Option<Reference>,
}

impl Source {
    /// Reads the value of the attribute `_ignition`.
    ///
    /// # Errors
    /// Says what is wrong and what is accepted. A password in the value is not repeated.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SourceError::Empty);
        }
        let Some(scheme) = scheme_of(text) else {
            return Ok(Self::File(FileName::from_str(text)?));
        };
        match scheme.as_str() {
            "file" => Err(SourceError::FileUrl),
            "gitrepo" => RegisteredFile::parse(&text["gitrepo:".len()..]).map(Self::Registered),
            "http" | "https" if !path_of(text).contains(".git//") => {
                let url = Url::parse(text)?;
                if url.host.is_none() {
                    return Err(SourceError::Host);
                }
                Ok(Self::Upstream(Upstream::Http(HttpUrl(url))))
            }
            _ => GitFile::parse(text).map(|file| Self::Upstream(Upstream::Git(file))),
        }
    }
}

impl Upstream {
    /// The path of the file, without query: what its name says of its format.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Http(url) => &url.0.path,
            Self::Git(file) => file.path.as_str(),
        }
    }

    /// All that tells it from others, with its query and user: not to be shown.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Http(HttpUrl(url)) => url.identity(),
            Self::Git(file) => {
                let reference = file.reference.as_ref().map(ToString::to_string);
                format!(
                    "git+{}//{}?ref={}",
                    file.remote.url.identity(),
                    file.path,
                    reference.unwrap_or_default()
                )
            }
        }
    }
}

impl RegisteredFile {
    fn parse(text: &str) -> Result<Self, SourceError> {
        let (location, query) = match text.split_once('?') {
            Some((location, query)) => (location, Some(query)),
            None => (text, None),
        };
        let (repository, path) = location.split_once("//").ok_or(SourceError::NoPath)?;
        if repository.is_empty() || repository.contains('/') {
            return Err(SourceError::RepositoryName);
        }
        Ok(Self {
            repository: repository.to_owned(),
            path: GitFile::parse_path(path)?,
            reference: GitFile::parse_query(query)?,
        })
    }

    /// The file to fetch, once the name of the repository is looked up.
    #[must_use]
    pub fn at(&self, remote: Remote) -> Upstream {
        Upstream::Git(GitFile {
            remote,
            path: self.path.clone(),
            reference: self.reference.clone(),
        })
    }

    /// The path of the file in the repository.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.as_str()
    }
}

/// The scheme in lower case, of what is meant as a URL. A file name may hold a colon too.
fn scheme_of(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    let known = scheme.eq_ignore_ascii_case("file") || scheme.eq_ignore_ascii_case("gitrepo");
    let spelled = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    (spelled && (known || rest.starts_with("//"))).then(|| scheme.to_ascii_lowercase())
}

fn path_of(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => url.0.fmt(f),
            Self::Git(file) => file.fmt(f),
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no text.
    #[error("it is empty; accepted: {ACCEPTED}")]
    Empty,
    /// `file:` would read the head's own disk.
    #[error("file: URLs are refused; put the file into the kickstarts directory and give its name")]
    FileUrl,
    /// A scheme nobody knows.
    #[error("unknown scheme \"{0}:\"; accepted: {ACCEPTED}")]
    Scheme(String),
    /// Not `scheme://…`.
    #[error("it is not a URL; accepted: {ACCEPTED}")]
    NotUrl,
    /// A character that no URL has.
    #[error("a URL cannot hold the character {0:?}; percent-encode it")]
    Character(char),
    /// A password, where everybody who sees the node could read it.
    #[error(
        "it holds a password, for all to see who see the attribute; put it into the file fetch.credentials"
    )]
    Password,
    /// A user that cannot be one.
    #[error("its user name is malformed")]
    User,
    /// No host, or one that cannot be.
    #[error("its host is missing or malformed")]
    Host,
    /// A port that cannot be.
    #[error("its port is malformed")]
    Port,
    /// `git+file` with a host.
    #[error("git+file takes no host; write git+file:///DIRECTORY//PATH")]
    FileHost,
    /// Nothing says which part is the repository and which the file.
    #[error(
        "nothing tells the repository from the file; write `//` between: git+https://HOST/REPOSITORY.git//PATH"
    )]
    NoPath,
    /// A registered repository without a name.
    #[error("the name of the repository is missing or malformed; write gitrepo:NAME//PATH")]
    RepositoryName,
    /// Something else than `ref` after the question mark.
    #[error(
        "unknown parameter \"{0}\"; only ref=BRANCH, TAG or COMMIT may follow the question mark"
    )]
    Parameter(String),
    /// Not a name that git takes for a branch or tag.
    #[error("\"{0}\" cannot be the name of a branch or tag, nor a commit")]
    Reference(String),
    /// Not a file name.
    #[error(transparent)]
    Name(#[from] FileNameError),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_a_source_is_understood() {
        for (text, shown, path) in [
            ("http://h/a.ign", "http://h/a.ign", "/a.ign"),
            (
                " HTTPS://H:8443/a.bu?token=x#y ",
                "https://h:8443/a.bu?…",
                "/a.bu",
            ),
            ("http://alice@h/a", "http://h/a", "/a"),
            ("http://h//a//b", "http://h//a//b", "//a//b"),
            (
                "git+https://h/r.git//a/b.bu?ref=v1",
                "git+https://h/r.git//a/b.bu?ref=v1",
                "a/b.bu",
            ),
            ("git+https://h/r//b", "git+https://h/r//b", "b"),
            ("git+http://h/d//r.git//b", "git+http://h/d//r.git//b", "b"),
            ("https://h/r.git//b", "git+https://h/r.git//b", "b"),
            ("ssh://git@h:22/r.git//b", "git+ssh://h:22/r.git//b", "b"),
            ("git+ssh://git@h/~u/r//b", "git+ssh://h/~u/r//b", "b"),
            ("git://h/r.git//b?ref=", "git://h/r.git//b", "b"),
            ("git+file:///srv/r.git//b", "git+file:///srv/r.git//b", "b"),
        ] {
            match Source::parse(text).unwrap() {
                Source::Upstream(upstream) => {
                    assert_eq!(
                        (upstream.to_string().as_str(), upstream.path()),
                        (shown, path),
                        "{text}"
                    );
                }
                other => panic!("{text} is {other:?}"),
            }
        }
        for name in ["site.ign", "rack1/a:b.bu", "C:x"] {
            assert_eq!(
                Source::parse(name).unwrap(),
                Source::File(name.parse().unwrap())
            );
        }
        let Source::Registered(file) = Source::parse("gitrepo:site//a.bu?ref=main").unwrap() else {
            panic!("not registered");
        };
        assert_eq!((file.repository.as_str(), file.path()), ("site", "a.bu"));
        let remote = Remote::parse("https://h/r.git").unwrap();
        assert_eq!(
            file.at(remote).to_string(),
            "git+https://h/r.git//a.bu?ref=main"
        );
    }

    #[test]
    fn what_is_no_source_is_refused_with_its_fault() {
        for (text, reason) in [
            (
                "",
                "it is empty; accepted: a file of the kickstarts directory, http://…",
            ),
            ("file:///etc/passwd", "file: URLs are refused"),
            ("file:x", "file: URLs are refused"),
            ("ftp://h/x//y", "unknown scheme \"ftp:\"; accepted: "),
            ("file://h/r.git//x", "file: URLs are refused"),
            ("http:///x", "its host is missing"),
            ("http://a..b/x", "its host is missing or malformed"),
            ("http://h:99999/x", "its port is malformed"),
            ("http://h:0/x", "its port is malformed"),
            ("http://-o@h/x", "its user name is malformed"),
            ("http://h/ü", "a URL cannot hold the character 'ü'"),
            (
                "git+ssh://-oProxyCommand=x/r.git//b",
                "its host is missing or malformed",
            ),
            (
                "git+https://h/r.git",
                "nothing tells the repository from the file",
            ),
            (
                "git+https://h//b",
                "nothing tells the repository from the file",
            ),
            ("git+file://h/r.git//b", "git+file takes no host"),
            ("git+https://h/r.git//../b", "it has a component `..`"),
            ("git+https://h/r.git//%2e%2e/b", "it has a component `..`"),
            ("git+https://h/r.git//", "it is empty"),
            ("git+https://h/r.git//b?rev=x", "unknown parameter \"rev\""),
            (
                "git+https://h/r.git//b?ref=x&token=y",
                "unknown parameter \"token\"",
            ),
            (
                "git+https://h/r.git//b?ref=--upload-pack=x",
                "cannot be the name of a branch",
            ),
            (
                "git+https://h/r.git//b?ref=a..b",
                "cannot be the name of a branch",
            ),
            (
                "git+https://h/r.git//b?ref=a%20b",
                "cannot be the name of a branch",
            ),
            (
                "git+https://h/r.git//b?ref=x.lock",
                "cannot be the name of a branch",
            ),
            ("gitrepo:site", "nothing tells the repository from the file"),
            ("gitrepo://b", "the name of the repository is missing"),
            ("../x", "it has a component `..`"),
        ] {
            let error = Source::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_of_an_upstream_names_it_again(
            text in "(git\\+)?(https?|ssh|git|file)://(u@)?[a-z0-9.]{0,4}(:[0-9]{1,2})?\
                (/[a-z.~]{0,4}){0,3}(//[a-z/.]{0,4})?(\\?ref=[a-z/.@{-]{0,5})?"
        ) {
            if let Ok(Source::Upstream(upstream)) = Source::parse(&text) {
                let again = Source::parse(&upstream.to_string());
                match again {
                    Ok(Source::Upstream(again)) => prop_assert_eq!(again.to_string(), upstream.to_string()),
                    // The question mark alone remains of a query that may be secret.
                    again => prop_assert!(upstream.to_string().ends_with("?…"), "{again:?}"),
                }
            }
        }
    }
}
