//! Who is asking: from the connection's address to the node that owns it.
//!
//! The node is the one that owns the source address. What a client says of itself counts only where it cannot hurt: an
//! address forwarded by a proxy we were told to trust, the MAC header of an installer whose address nobody owns, and an
//! administrator's `?node=`, which needs a token and is checked elsewhere.

use std::{net::IpAddr, sync::Arc};

use http::HeaderMap;
use ipnet::IpNet;
use model::{ClusterState, Ip, MacAddr, Node};

use crate::ledger::How;

/// A node that asks, and how it was recognised.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub node: Arc<Node>,
    pub how: How,
}

/// The node that asks from this address, or that an installer's MAC header names.
pub(crate) fn node(state: &ClusterState, address: IpAddr, headers: &HeaderMap) -> Option<Asker> {
    if let Some(node) = state.nodes.of_ip(Ip::of_peer(address)) {
        return Some(Asker {
            node: Arc::clone(node),
            how: How::Address,
        });
    }
    let node = provisioning_macs(headers)
        .into_iter()
        .find_map(|mac| state.nodes.of_mac(mac))?;
    Some(Asker {
        node: Arc::clone(node),
        how: How::MacHeader,
    })
}

/// The MACs of Anaconda's `X-RHN-Provisioning-MAC-<i>: eth0 aa:bb:…` headers, in the order of `<i>`.
fn provisioning_macs(headers: &HeaderMap) -> Vec<MacAddr> {
    let numbered = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let number: u32 = name
            .as_str()
            .strip_prefix("x-rhn-provisioning-mac-")?
            .parse()
            .ok()?;
        let mac = value
            .to_str()
            .ok()?
            .split_ascii_whitespace()
            .last()?
            .parse()
            .ok()?;
        Some((number, mac))
    };
    let mut macs: Vec<(u32, MacAddr)> = headers.iter().filter_map(numbered).collect();
    macs.sort_by_key(|(number, _)| *number);
    macs.into_iter().map(|(_, mac)| mac).collect()
}

/// The address a request comes from: the peer's, unless the peer is a trusted proxy that names another.
///
/// Hops are read from the nearest one back, and the first that is no trusted proxy is the client: whatever it wrote
/// further left is its own claim.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let peer = Ip::of_peer(peer).addr();
    if !is_trusted(&peer) {
        return peer;
    }
    let mut client = peer;
    for hop in forwarded_hops(headers).into_iter().rev() {
        let Some(hop) = hop else { break };
        client = hop;
        if !is_trusted(&hop) {
            break;
        }
    }
    client
}

/// The hops of `X-Forwarded-For`, or else of `Forwarded` (RFC 7239), farthest first; `None` for one that is no address.
fn forwarded_hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lists = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        let text = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        text.flat_map(|value| {
            value
                .split(',')
                .map(|hop| hop.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect()
    };
    let hops = lists("x-forwarded-for");
    if !hops.is_empty() {
        return hops.iter().map(|hop| hop_address(hop)).collect();
    }
    let for_parameter = |element: &String| {
        element.split(';').find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("for")
                .then(|| hop_address(value.trim().trim_matches('"')))?
        })
    };
    lists("forwarded").iter().map(for_parameter).collect()
}

/// `10.0.0.1`, `10.0.0.1:80`, `fe80::1`, `[fe80::1]` or `[fe80::1]:80`.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bracketed = || hop.strip_prefix('[')?.split_once(']')?.0.parse().ok();
    let with_port = || {
        hop.rsplit_once(':')?
            .0
            .parse::<std::net::Ipv4Addr>()
            .ok()
            .map(IpAddr::V4)
    };
    let address: IpAddr = hop.parse().ok().or_else(bracketed).or_else(with_port)?;
    Some(Ip::of_peer(address).addr())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn client(peer: &str, pairs: &[(&'static str, &str)], trusted: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), &headers(pairs), &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_forward() {
        let spoofed = [
            ("x-forwarded-for", "10.0.0.9"),
            ("forwarded", "for=10.0.0.9"),
        ];
        assert_eq!(client("10.0.0.1", &spoofed, &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &spoofed, &["10.1.0.0/16"]), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &[], &[]), "10.0.0.1");
    }

    #[test]
    fn a_trusted_proxy_names_the_client() {
        let proxies = ["10.1.0.0/16"];
        for (pairs, expected) in [
            (&[("x-forwarded-for", "10.0.0.9")][..], "10.0.0.9"),
            (&[("x-forwarded-for", "10.0.0.9:4711")], "10.0.0.9"),
            (&[("x-forwarded-for", "::ffff:10.0.0.9")], "10.0.0.9"),
            (
                &[("x-forwarded-for", "6.6.6.6, 10.0.0.9, 10.1.0.7")],
                "10.0.0.9",
            ),
            (
                &[
                    ("x-forwarded-for", "6.6.6.6"),
                    ("x-forwarded-for", "10.0.0.9"),
                ],
                "10.0.0.9",
            ),
            (
                &[(
                    "forwarded",
                    "for=\"[2001:db8::9]:80\";proto=http, for=10.1.0.7",
                )],
                "2001:db8::9",
            ),
            (&[("Forwarded", "proto=http;For=10.0.0.9")], "10.0.0.9"),
            (&[("x-forwarded-for", "10.0.0.9, unknown")], "10.1.0.1"),
            (
                &[
                    ("x-forwarded-for", "10.0.0.9"),
                    ("forwarded", "for=10.0.0.8"),
                ],
                "10.0.0.9",
            ),
            (&[], "10.1.0.1"),
        ] {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, *value)).collect();
            let lower: Vec<(&'static str, &str)> = pairs
                .iter()
                .map(|(name, value)| {
                    (
                        if *name == "Forwarded" {
                            "forwarded"
                        } else {
                            *name
                        },
                        *value,
                    )
                })
                .collect();
            assert_eq!(client("10.1.0.1", &lower, &proxies), expected, "{lower:?}");
        }
    }

    #[test]
    fn macs_are_read_in_the_order_of_their_numbers() {
        let headers = headers(&[
            ("x-rhn-provisioning-mac-10", "eth9 52:54:00:00:00:0a"),
            ("x-rhn-provisioning-mac-2", "eth1 52-54-00-00-00-02"),
            ("x-rhn-provisioning-mac-x", "eth1 52-54-00-00-00-03"),
            ("x-rhn-provisioning-mac-3", "no mac at all"),
            ("x-rhn-provisioning-mac-4", ""),
        ]);
        let macs: Vec<_> = provisioning_macs(&headers)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(macs, ["52:54:00:00:00:02", "52:54:00:00:00:0a"]);
    }
}
