//! `/bootconfigs` and `/bootconfig/<UID>`: what nodes boot.

use model::{BootConfigSpec, ClusterState, Collection};

use super::objects::Resource;

impl Resource for BootConfigSpec {
    const FILTERS: &'static [&'static str] = &[
        "name",
        "description",
        "kernel",
        "initramfs",
        "cmdline",
        "kickstart",
        "repo",
        "boot_style",
    ];

    fn all(state: &ClusterState) -> &Collection<Self> {
        &state.boot_configs
    }
}
