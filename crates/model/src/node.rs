//! [`Node`]: a machine or switch that boots from the cluster.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    Attributes, Facts, Invalid, Ip, Key, Kind, MacAddr, Name, Object, Spec, Uid,
    attributes::{validate_attributes, validate_text},
};

/// A node as it stands in the cluster.
pub type Node = Object<NodeSpec>;

/// What an administrator says of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Its name. The part up to the first dot is its host name.
    pub name: Name,
    /// The MAC of the interface it boots from.
    pub mac: MacAddr,
    /// The address of the interface it boots from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ip>,
    /// Its other interfaces; the boot interface may stand here too, to give it a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// Its number, for names and addresses that count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// What it is for: `compute`, `switch`, `head`, or a word of the site's own.
    #[serde(rename = "type", default = "compute")]
    pub node_type: String,
    /// A remark for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its attribute groups, by UID; a later one wins over an earlier one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        with = "Vec<String>",
        description = "Attribute groups, by name or UID; a later one wins."
    )]
    pub groups: Vec<Uid>,
    /// Its own attributes, which win over every group's.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    /// What it reported of its hardware.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub hardware: Facts,
    /// Records of earlier versions hold what the node reported of its state.
    #[serde(default, rename = "status", skip_serializing)]
    #[schemars(skip)]
    once_kept: IgnoredAny,
}

fn compute() -> String {
    "compute".into()
}

/// A network interface of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// What the node calls it, such as `eth1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its MAC.
    pub mac: MacAddr,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ip>,
}

impl NodeSpec {
    /// The address of the boot interface, said of the node itself or among its interfaces.
    pub fn boot_ip(&self) -> Option<Ip> {
        self.ip.or_else(|| {
            self.interfaces
                .iter()
                .find(|interface| interface.mac == self.mac)?
                .ip
        })
    }

    /// Every MAC of the node with its address, the boot interface first.
    pub fn addresses(&self) -> impl Iterator<Item = (MacAddr, Option<Ip>)> {
        let others = self
            .interfaces
            .iter()
            .filter(|interface| interface.mac != self.mac);
        std::iter::once((self.mac, self.boot_ip()))
            .chain(others.map(|interface| (interface.mac, interface.ip)))
    }

    /// The name up to its first dot.
    pub fn hostname(&self) -> &str {
        self.name
            .as_str()
            .split_once('.')
            .map_or(self.name.as_str(), |(host, _)| host)
    }

    /// The name after its first dot, if it has one.
    pub fn own_domain(&self) -> Option<&str> {
        self.name.as_str().split_once('.').map(|(_, domain)| domain)
    }
}

impl Node {
    /// A field as boot files name it in `<n[NAME]>`; `None` where the node has no such field.
    pub fn field<'a>(
        &'a self,
        name: &str,
        cluster_domain: Option<&'a str>,
    ) -> Option<Cow<'a, str>> {
        Some(match name {
            "uid" => self.uid.to_string().into(),
            "name" => self.name.as_str().into(),
            "ip" => self.boot_ip()?.to_string().into(),
            "mac" => self.mac.to_string().into(),
            "index" => self.index?.to_string().into(),
            "hostname" => self.hostname().into(),
            "domain" => self.own_domain().or(cluster_domain)?.into(),
            "type" => self.node_type.as_str().into(),
            "description" => self.description.as_deref()?.into(),
            _ => return None,
        })
    }

    /// A key as boot files name it in `<h[NAME]>`. The boot MAC is known even before the node has reported anything.
    pub fn hardware_key(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.hardware.0.get(name) {
            Some(value) => Some(value.as_str().into()),
            None if name == "mac" => Some(self.mac.to_string().into()),
            None => None,
        }
    }
}

impl Spec for NodeSpec {
    const KIND: Kind = Kind::Node;

    fn name(&self) -> &Name {
        &self.name
    }

    fn validate(&self) -> Result<(), Invalid> {
        let mut of_mac = BTreeMap::from([(self.mac, self.ip)]);
        for interface in &self.interfaces {
            let known = of_mac.entry(interface.mac).or_insert(interface.ip);
            match (*known, interface.ip) {
                (Some(one), Some(other)) if one != other => {
                    return Err(Invalid::InterfaceTwice {
                        mac: interface.mac,
                        one,
                        other,
                    });
                }
                (None, ip) => *known = ip,
                _ => {}
            }
            validate_text(
                "interfaces.name",
                interface.name.as_deref().unwrap_or_default(),
            )?;
        }
        let mut ips: Vec<_> = of_mac.values().flatten().collect();
        ips.sort();
        if let Some(twice) = ips.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Invalid::AddressTwice(*twice[0]));
        }
        validate_text("type", &self.node_type)?;
        validate_text(
            "description",
            self.description.as_deref().unwrap_or_default(),
        )?;
        self.hardware.validate("hardware")?;
        validate_attributes(&self.attributes)
    }

    fn claims(&self) -> Vec<Key> {
        let mut keys: Vec<_> = self
            .addresses()
            .flat_map(|(mac, ip)| [Some(mac_key(mac)), ip.map(ip_key)])
            .flatten()
            .collect();
        keys.sort();
        keys.dedup();
        keys
    }

    fn references(&self) -> Vec<Key> {
        self.groups
            .iter()
            .map(|uid| Kind::Group.key(*uid))
            .collect()
    }
}

fn mac_key(mac: MacAddr) -> Key {
    Key::new(format!("mac/{mac}"))
}

fn ip_key(ip: Ip) -> Key {
    Key::new(format!("ip/{ip}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> Result<NodeSpec, String> {
        let spec: NodeSpec = serde_json::from_value(json).map_err(|error| error.to_string())?;
        spec.validate().map_err(|error| error.to_string())?;
        Ok(spec)
    }

    #[test]
    fn the_least_a_node_needs() {
        let node =
            spec(serde_json::json!({"name": "n4.example.org", "mac": "525400AA0001"})).unwrap();
        assert_eq!(
            (node.hostname(), node.own_domain()),
            ("n4", Some("example.org"))
        );
        assert_eq!(node.node_type, "compute");
    }

    #[test]
    fn claims_every_address_once() {
        let node = spec(serde_json::json!({
            "name": "n4", "mac": "52:54:00:aa:00:01", "ip": "10.0.0.4",
            "interfaces": [
                {"name": "eth0", "mac": "52:54:00:aa:00:01"},
                {"name": "ib0", "mac": "52:54:00:aa:00:02", "ip": "10.1.0.4"},
            ],
        }))
        .unwrap();
        let keys: Vec<_> = node
            .claims()
            .iter()
            .map(|key| key.as_str().to_owned())
            .collect();
        assert_eq!(
            keys,
            [
                "ip/10.0.0.4",
                "ip/10.1.0.4",
                "mac/52:54:00:aa:00:01",
                "mac/52:54:00:aa:00:02"
            ]
        );
    }

    #[test]
    fn the_boot_address_may_stand_among_the_interfaces_alone() {
        let node = spec(serde_json::json!({
            "name": "n4", "mac": "52:54:00:aa:00:01",
            "interfaces": [{"mac": "52:54:00:aa:00:01", "ip": "10.0.0.4"}],
        }))
        .unwrap();
        assert!(node.claims().contains(&Key::new("ip/10.0.0.4")));
    }

    #[test]
    fn contradictions_are_refused() {
        let node = |interfaces| {
            spec(serde_json::json!({
                "name": "n4", "mac": "52:54:00:aa:00:01", "ip": "10.0.0.4", "interfaces": interfaces,
            }))
        };
        let two_ips = serde_json::json!([{"mac": "52:54:00:aa:00:01", "ip": "10.0.0.5"}]);
        assert!(
            node(two_ips)
                .unwrap_err()
                .contains("both 10.0.0.4 and 10.0.0.5")
        );
        let shared_ip = serde_json::json!([{"mac": "52:54:00:aa:00:02", "ip": "10.0.0.4"}]);
        assert!(node(shared_ip).unwrap_err().contains("two interfaces"));
    }

    #[test]
    fn unknown_fields_are_named() {
        let error =
            spec(serde_json::json!({"name": "n4", "mac": "525400AA0001", "ipaddr": "10.0.0.4"}))
                .unwrap_err();
        assert!(error.contains("`ipaddr`"), "{error}");
    }

    #[test]
    fn a_record_with_a_status_is_read_and_written_without() {
        let fields =
            serde_json::json!({"name": "n4", "mac": "525400AA0001", "status": {"install": "done"}});
        let node = spec(fields).unwrap();
        let written = serde_json::to_value(&node).unwrap();
        assert_eq!(written.get("status"), None);
        assert_eq!(spec(written).unwrap(), node);
    }

    #[test]
    fn facts_are_text() {
        let node = spec(serde_json::json!({
            "name": "n4", "mac": "525400AA0001", "hardware": {"cpus": 64, "gpu": true, "vendor": "Acme"},
        }))
        .unwrap();
        assert_eq!(node.hardware.0["cpus"], "64");
        assert_eq!(node.hardware.0["gpu"], "true");
    }
}
