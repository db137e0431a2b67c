//! [`GitRepo`]: a git repository that attributes name as `gitrepo:NAME//PATH`.

use serde::{Deserialize, Serialize};

use crate::{GitUrl, Invalid, Kind, Name, Object, Spec, SyncPeriod, attributes::validate_text};

/// A registered git repository as it stands in the cluster.
pub type GitRepo = Object<GitRepoSpec>;

/// What an administrator says of a git repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GitRepoSpec {
    /// Its name.
    pub name: Name,
    /// A remark for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it is.
    pub url: GitUrl,
    /// Whether it may be read without credentials. Then none are sent.
    #[serde(default)]
    pub public: bool,
    /// How long what was fetched is served before the repository is asked again; if not given, `ignition.refresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_period: Option<SyncPeriod>,
}

impl Spec for GitRepoSpec {
    const KIND: Kind = Kind::GitRepo;

    fn name(&self) -> &Name {
        &self.name
    }

    fn validate(&self) -> Result<(), Invalid> {
        validate_text("url", self.url.as_str())?;
        validate_text(
            "description",
            self.description.as_deref().unwrap_or_default(),
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_and_a_url_are_enough() {
        let least = json!({"name": "site", "url": "https://git.example/site.git"});
        let repo: GitRepoSpec = serde_json::from_value(least).unwrap();
        assert!(repo.validate().is_ok());
        assert_eq!((repo.public, repo.sync_period), (false, None));
    }

    #[test]
    fn texts_have_a_limit() {
        let long = "x".repeat(64 * 1024);
        for (field, repo) in [
            (
                "url",
                json!({"name": "site", "url": format!("https://git.example/{long}")}),
            ),
            (
                "description",
                json!({"name": "site", "url": "https://git.example/x", "description": format!("{long}x")}),
            ),
        ] {
            let repo: GitRepoSpec = serde_json::from_value(repo).unwrap();
            let fault = repo.validate().unwrap_err().to_string();
            assert!(fault.starts_with(&format!("{field}: ")), "{fault}");
        }
    }
}
