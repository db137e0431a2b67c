//! [`GitUrl`]: where a git repository is.

use std::{fmt, str::FromStr};

use crate::Invalid;

const SCHEMES: [&str; 8] = [
    "https",
    "http",
    "git",
    "ssh",
    "git+https",
    "git+http",
    "git+ssh",
    "git+file",
];

/// The URL of a git repository, without a password: whoever may see the cluster may see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitUrl(Box<str>);

impl GitUrl {
    /// The URL as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GitUrl {
    type Err = Invalid;

    /// Reads a URL. No error repeats any of it, since it may hold a password.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match fault(text) {
            Some(why) => Err(Invalid::GitUrl(why)),
            None => Ok(Self(text.into())),
        }
    }
}

fn fault(url: &str) -> Option<&'static str> {
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some("it holds a blank or a control character");
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Some(
            "it has no scheme; write https://HOST/REPOSITORY.git, \
             or git+ssh://USER@HOST/REPOSITORY.git for USER@HOST:REPOSITORY.git",
        );
    };
    if !SCHEMES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme))
    {
        return Some(
            "its scheme is none of https, http, git, ssh, git+https, git+http, git+ssh and git+file",
        );
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    if user.is_some_and(|user| user.contains(':') || user.to_ascii_lowercase().contains("%3a")) {
        return Some(
            "it holds a password, for all to see who see the cluster; \
             put it into the file that fetch.credentials names",
        );
    }
    if url.contains(['?', '#']) || url.contains(".git//") {
        return Some(
            "it must name the repository alone; what names a file of it also names the branch: \
             gitrepo:NAME//PATH?ref=BRANCH",
        );
    }
    None
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for GitUrl {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<GitUrl> for String {
    fn from(url: GitUrl) -> Self {
        url.0.into()
    }
}

impl schemars::JsonSchema for GitUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GitUrl".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "examples": ["https://git.example/site.git"],
            "description": "The URL of a git repository, without a password."})
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_repository_is_named_by_any_transport() {
        for scheme in SCHEMES {
            for rest in ["://git.example/site.git", "://me@git.example:8022/~me/site"] {
                let url = format!("{scheme}{rest}");
                assert_eq!(url.parse::<GitUrl>().unwrap().to_string(), url);
            }
        }
        assert!("HTTPS://git.example/site.git".parse::<GitUrl>().is_ok());
        assert!("git+file:///srv/site.git".parse::<GitUrl>().is_ok());
    }

    #[test]
    fn what_is_no_repository_is_refused_with_advice() {
        for (url, advice) in [
            ("", "write https://"),
            (
                "git@git.example:site.git",
                "git+ssh://USER@HOST/REPOSITORY.git",
            ),
            ("/srv/site.git", "it has no scheme"),
            ("ftp://git.example/site.git", "its scheme is none of https"),
            ("file:///srv/site.git", "git+file"),
            ("ext::sh -c x", "it holds a blank"),
            ("https://git.example/a\tb", "it holds a blank or a control"),
            ("https://git.example/a\0", "it holds a blank or a control"),
            ("https://me:secret@git.example/x", "fetch.credentials"),
            ("https://me%3Asecret@git.example/x", "fetch.credentials"),
            ("git+ssh://:@git.example/x", "fetch.credentials"),
            ("https://git.example/x?ref=main", "gitrepo:NAME//PATH?ref="),
            ("https://git.example/x#main", "gitrepo:NAME//PATH?ref="),
            ("https://git.example/x.git//a.bu", "gitrepo:NAME//PATH?ref="),
        ] {
            let fault = url.parse::<GitUrl>().unwrap_err().to_string();
            assert!(
                fault.starts_with("url: ") && fault.contains(advice),
                "{url}: {fault}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_password_is_kept_or_told(
            scheme in "(git\\+)?(https?|ssh|git)", user in "[a-z0-9]{0,5}", rest in "(/[a-z/?#@:.]{0,10})?"
        ) {
            let url = format!("{scheme}://{user}:hunter2@git.example{rest}");
            let fault = url.parse::<GitUrl>().unwrap_err();
            prop_assert!(!format!("{fault} {fault:?}").contains("hunter2"), "{fault}");
        }
    }
}
