//! The cluster that asks: its nodes, and the files they ask for.

use std::{fmt, net::Ipv4Addr, path::Path};

use anyhow::Result;
use serde_json::json;

use super::{api::Api, packages};

/// How many nodes there are.
pub(crate) const NODES: usize = 10_000;

const KICKSTART: &[u8] = include_bytes!("../../../bench/boot.ks");

/// The Butane document that every node's Ignition config is made from.
pub(crate) const BUTANE: &[u8] = include_bytes!("../../../bench/compute.bu");

/// What the nodes ask for.
#[derive(Clone, Copy)]
pub(crate) enum NodeFile {
    Kickstart,
    Ignition,
    /// That of 4 KiB.
    Package,
}

impl NodeFile {
    /// Where a node finds it.
    pub(crate) fn path(self, node: usize) -> String {
        match self {
            Self::Kickstart => "/api/v1/kickstart/boot.ks".to_owned(),
            Self::Ignition => format!("/api/v1/ignition/{}", address(node)),
            Self::Package => packages::SMALL.path(),
        }
    }
}

impl fmt::Display for NodeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kickstart => "kickstart",
            Self::Ignition => "config",
            Self::Package => "package",
        })
    }
}

/// The address of a node.
pub(crate) fn address(node: usize) -> Ipv4Addr {
    let [.., high, low] = node.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// So many nodes from `first` on, where after the last comes the first again.
pub(crate) fn nodes(first: usize, count: usize) -> Vec<usize> {
    (first..first + count).map(|node| node % NODES).collect()
}

/// The name of a node, which its kickstart begins with.
pub(crate) fn name(node: usize) -> String {
    format!("n{node:05}.cluster.example")
}

/// Creates the cluster.
pub(crate) fn create(socket: &Path) -> Result<()> {
    let mut api = Api::connect(socket)?;
    let mut post = |path: &str, object: serde_json::Value| {
        api.send("POST", path, object.to_string().as_bytes())
    };
    post(
        "/bootconfigs",
        json!({"name": "rocky9", "kickstart": "boot.ks", "repo": "http://mirror.example/rocky/9/BaseOS/x86_64/os/"}),
    )?;
    post(
        "/attribs",
        json!({"name": "site", "attributes": {
            "netmask": "255.255.0.0", "gateway": "10.1.0.1", "nameserver": "10.1.0.2", "ntp": "10.1.0.3",
            "rootpw": "$6$rounds=4096$0123456789abcdef$0123456789012345678901234567890123456789012345678901234567890123456789012345678901234",
        }}),
    )?;
    post(
        "/attribs",
        json!({"name": "compute", "attributes": {
            "_boot_config": "rocky9", "cmdline": "console=ttyS0,115200 iommu=pt", "disk": "nvme0n1",
        }}),
    )?;
    for node in 0..NODES {
        let [.., high, low] = node.to_be_bytes();
        post(
            "/nodes",
            json!({
                "name": name(node), "mac": format!("52:54:00:00:{high:02x}:{low:02x}"), "ip": address(node), "index": node,
                "groups": ["site", "compute"], "attributes": {"rack": format!("r{:03}", node / 40)},
            }),
        )?;
    }
    api.send("PUT", "/files/boot.ks", KICKSTART)
}

/// Gives all nodes the one Ignition config.
pub(crate) fn configure(socket: &Path) -> Result<()> {
    let mut api = Api::connect(socket)?;
    api.send("PUT", "/files/compute.bu", BUTANE)?;
    let compute = json!({"attributes": {"_ignition": "compute.bu"}});
    api.send("PATCH", "/attrib/compute", compute.to_string().as_bytes())
}

/// Changes something that every rendering depends on.
pub(crate) fn touch(socket: &Path, round: usize) -> Result<()> {
    let site = json!({"attributes": {"ntp": format!("10.1.0.{}", 3 + round)}});
    Api::connect(socket)?.send("PATCH", "/attrib/site", site.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kickstart_has_twenty_forms() {
        let forms = KICKSTART
            .windows(2)
            .filter(|pair| matches!(*pair, b"]>" | b")>" | b"]|"))
            .count();
        assert_eq!(forms, 20);
    }

    #[test]
    fn the_butane_document_has_twelve_forms() {
        let forms = BUTANE.windows(2).filter(|pair| pair == b"]>").count();
        assert_eq!(forms, 12);
    }

    #[test]
    fn every_node_has_an_address_of_its_own() {
        assert_eq!(address(0), Ipv4Addr::new(127, 1, 0, 0));
        assert_eq!(address(NODES - 1), Ipv4Addr::new(127, 1, 39, 15));
        assert_eq!(nodes(NODES - 1, 2), [NODES - 1, 0]);
    }
}
