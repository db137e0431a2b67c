//! `/attribs` and `/attrib/<UID>`: attribute groups.

use model::{Cluster, ClusterState, Collection, Expect, GroupSpec, Object, Transaction};

use super::objects::Resource;
use crate::{Error, glob, head::Head};

/// This many nodes are named when a group cannot be deleted for their sake.
const NAMED: usize = 5;

impl Resource for GroupSpec {
    const FILTERS: &'static [&'static str] = &["name", "description", "attr.*"];

    fn all(state: &ClusterState) -> &Collection<Self> {
        &state.groups
    }

    fn passes(
        _: &Head,
        _: &ClusterState,
        group: &Object<Self>,
        field: &str,
        pattern: &str,
    ) -> Option<bool> {
        let value = match field {
            "name" => group.name.as_str(),
            "description" => group.description.as_deref()?,
            field => group.attributes.get(field.strip_prefix("attr.")?)?,
        };
        Some(glob::matches(pattern, value))
    }

    fn consequences(
        state: &ClusterState,
        old: &Object<Self>,
        new: Option<&Self>,
        transaction: &mut Transaction,
    ) -> Result<(), Error> {
        if new.is_some() {
            return Ok(());
        }
        // So that it cannot become the default group in the same moment.
        transaction.expect(Cluster::key(), Expect::At(state.cluster_revision()));
        if state.cluster().default_group == old.uid {
            return Err(Error::Conflict(format!(
                "{} is the cluster's default group",
                old.name
            )));
        }
        let members: Vec<_> = state
            .nodes
            .iter()
            .filter(|node| node.groups.contains(&old.uid))
            .collect();
        if members.is_empty() {
            return Ok(());
        }
        let mut names = members
            .iter()
            .take(NAMED)
            .map(|node| node.name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        if members.len() > NAMED {
            names.push_str(", …");
        }
        Err(Error::Conflict(format!(
            "{} nodes are in group {} ({names}); they must leave it first",
            members.len(),
            old.name
        )))
    }
}
