//! [`BootConfig`]: what a node boots.

use serde::{Deserialize, Serialize};

use crate::{Invalid, Kind, Name, Object, Spec, attributes::validate_text};

/// A boot configuration as it stands in the cluster.
pub type BootConfig = Object<BootConfigSpec>;

/// What an administrator says of a boot configuration. A node boots the one its `_boot_config` attribute names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BootConfigSpec {
    /// Its name.
    pub name: Name,
    /// A remark for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The kernel to boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The initial RAM file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initramfs: Option<String>,
    /// The kernel's command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// The kickstart file its nodes install from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kickstart: Option<String>,
    /// The install tree: a URL, or a path under the head's base URL. Boot files name it `<root_url()>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// How the root file system is had: `rwram`, `roram`, `disked`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_style: Option<String>,
}

impl Spec for BootConfigSpec {
    const KIND: Kind = Kind::BootConfig;

    fn name(&self) -> &Name {
        &self.name
    }

    fn validate(&self) -> Result<(), Invalid> {
        let fields = [
            ("description", &self.description),
            ("kernel", &self.kernel),
            ("initramfs", &self.initramfs),
            ("cmdline", &self.cmdline),
            ("kickstart", &self.kickstart),
            ("repo", &self.repo),
            ("boot_style", &self.boot_style),
        ];
        fields.into_iter().try_for_each(|(field, value)| {
            validate_text(field, value.as_deref().unwrap_or_default())
        })
    }
}
