//! [`AttributeGroup`]: attributes that many nodes share.

use serde::{Deserialize, Serialize};

use crate::{
    Attributes, Invalid, Kind, Name, Object, Spec,
    attributes::{validate_attributes, validate_text},
};

/// A group as it stands in the cluster.
pub type AttributeGroup = Object<GroupSpec>;

/// What an administrator says of an attribute group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Its name.
    pub name: Name,
    /// A remark for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The attributes it gives to its nodes.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

impl Spec for GroupSpec {
    const KIND: Kind = Kind::Group;

    fn name(&self) -> &Name {
        &self.name
    }

    fn validate(&self) -> Result<(), Invalid> {
        validate_text(
            "description",
            self.description.as_deref().unwrap_or_default(),
        )?;
        validate_attributes(&self.attributes)
    }
}
