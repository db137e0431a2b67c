//! `/gitrepos` and `/gitrepo/<UID>`: the git repositories that attributes name as `gitrepo:NAME//PATH`.

use content::upstream::Remote;
use model::{ClusterState, Collection, GitRepoSpec, GitUrl};
use serde_json::{Map, Value};

use super::objects::Resource;
use crate::Error;

impl Resource for GitRepoSpec {
    const FILTERS: &'static [&'static str] =
        &["name", "description", "url", "public", "sync_period"];

    fn all(state: &ClusterState) -> &Collection<Self> {
        &state.git_repos
    }

    /// What cannot be fetched from is refused here rather than when a node boots.
    fn accept(_state: &ClusterState, body: &mut Map<String, Value>) -> Result<(), Error> {
        if let Some(Value::String(url)) = body.get("url") {
            let url: GitUrl = url.parse()?;
            Remote::parse(url.as_str())
                .map_err(|fault| Error::Malformed(format!("url: {fault}")))?;
        }
        Ok(())
    }
}
