//! Effective attributes: what holds for a node once its groups and the default group are counted in.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{AttributeGroup, AttributeName, Attributes, ClusterState, Name, Node};

/// Which level set an effective attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetBy<'a> {
    /// The node itself.
    Node,
    /// One of the node's groups.
    Group(&'a Name),
    /// The cluster's default group.
    Default(&'a Name),
}

impl fmt::Display for SetBy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("node"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Default(name) => write!(f, "default:{name}"),
        }
    }
}

impl ClusterState {
    /// One effective attribute of a node: the node's own, else that of its last group that has it, else the default group's.
    pub fn attribute<'a>(&'a self, node: &'a Node, name: &str) -> Option<(&'a str, SetBy<'a>)> {
        self.levels(node)
            .find_map(|(attributes, set_by)| Some((attributes.get(name)?.as_str(), set_by)))
    }

    /// All effective attributes of a node.
    pub fn effective<'a>(
        &'a self,
        node: &'a Node,
    ) -> BTreeMap<&'a AttributeName, (&'a str, SetBy<'a>)> {
        let mut effective = BTreeMap::new();
        for (attributes, set_by) in self.levels(node) {
            for (name, value) in attributes {
                effective.entry(name).or_insert((value.as_str(), set_by));
            }
        }
        effective
    }

    /// Strongest level first. A group that was deleted under the node counts for nothing.
    fn levels<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = (&'a Attributes, SetBy<'a>)> {
        fn named(group: &Arc<AttributeGroup>) -> (&Attributes, &Name) {
            (&group.attributes, &group.name)
        }
        let groups = node
            .groups
            .iter()
            .rev()
            .filter_map(|uid| self.groups.get(*uid))
            .map(named);
        let default = self.groups.get(self.cluster().default_group).map(named);
        std::iter::once((&node.attributes, SetBy::Node))
            .chain(groups.map(|(attributes, name)| (attributes, SetBy::Group(name))))
            .chain(default.map(|(attributes, name)| (attributes, SetBy::Default(name))))
    }
}
