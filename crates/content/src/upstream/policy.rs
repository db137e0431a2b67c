//! Which schemes and addresses this head may be made to fetch from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::IpNet;

use super::error::{Fault, UpstreamSetupError};
use super::url::Host;

/// All that can be fetched.
pub(super) const SCHEMES: [&str; 7] = [
    "http",
    "https",
    "git",
    "git+http",
    "git+https",
    "git+ssh",
    "git+file",
];

/// Which schemes and addresses may be fetched from: `fetch.schemes` and `fetch.allow`.
///
/// Addresses are judged after resolution, and the one that was judged is the one connected to: neither a name that
/// resolves differently the next time nor an unusual spelling of an address gets past.
#[derive(Debug, Clone)]
pub struct FetchPolicy {
    schemes: Vec<String>,
    networks: Vec<IpNet>,
    hosts: Vec<Host>,
}

impl FetchPolicy {
    /// The schemes that are fetched unless configured otherwise. `git+file` would read the head's own disk.
    pub const DEFAULT_SCHEMES: [&str; 6] =
        ["http", "https", "git", "git+http", "git+https", "git+ssh"];

    /// Takes `fetch.allow` and `fetch.schemes`.
    ///
    /// When `allow` is empty, any address is allowed but loopback, link-local, multicast, broadcast, unspecified
    /// and this head's own. Otherwise only what it lists: networks, and hosts by name. A listed name does not make
    /// one of those special addresses allowed, since whoever answers for the name chooses the address.
    ///
    /// # Errors
    /// Names the entry that is none.
    pub fn new<A: AsRef<str>, S: AsRef<str>>(
        allow: &[A],
        schemes: &[S],
    ) -> Result<Self, UpstreamSetupError> {
        let mut policy = Self {
            schemes: Vec::new(),
            networks: Vec::new(),
            hosts: Vec::new(),
        };
        for scheme in schemes.iter().map(AsRef::as_ref) {
            if !SCHEMES.contains(&scheme) {
                return Err(UpstreamSetupError::Scheme(scheme.to_owned()));
            }
            policy.schemes.push(scheme.to_owned());
        }
        for entry in allow.iter().map(AsRef::as_ref) {
            if let Ok(network) = entry.parse() {
                policy.networks.push(network);
                continue;
            }
            match entry
                .parse()
                .map(Host::Address)
                .or_else(|_| Host::parse(entry))
            {
                Ok(Host::Address(address)) => policy.networks.push(address.into()),
                Ok(name) => policy.hosts.push(name),
                Err(_) => return Err(UpstreamSetupError::Allow(entry.to_owned())),
            }
        }
        Ok(policy)
    }

    pub(super) fn check_scheme(&self, scheme: &str) -> Result<(), Fault> {
        if self.schemes.iter().any(|listed| listed == scheme) {
            Ok(())
        } else {
            Err(Fault::Scheme(scheme.into()))
        }
    }

    /// The addresses of `host` that may be connected to, at least one.
    pub(super) async fn addresses(&self, host: &Host, port: u16) -> Result<Vec<SocketAddr>, Fault> {
        let found: Vec<SocketAddr> = match host {
            Host::Address(address) => vec![(*address, port).into()],
            Host::Name(name) => {
                let cannot = |reason: String| Fault::Resolve {
                    host: name.to_string(),
                    reason,
                };
                let found = tokio::net::lookup_host((&**name, port))
                    .await
                    .map_err(|error| cannot(error.to_string()))?
                    .collect::<Vec<_>>();
                if found.is_empty() {
                    return Err(cannot("it has none".to_owned()));
                }
                found
            }
        };
        let mut refusal = None;
        let mut allowed = Vec::new();
        for address in found {
            // To an IPv4 address in IPv6 notation, connect as what it is.
            let ip = address.ip().to_canonical();
            match self.judge(host, ip, is_own) {
                Ok(()) => allowed.push(SocketAddr::new(ip, port)),
                Err(why) => refusal = refusal.or(Some((ip, why))),
            }
        }
        match refusal {
            Some((ip, why)) if allowed.is_empty() => Err(Fault::Forbidden {
                address: match host {
                    Host::Address(_) => ip.to_string(),
                    Host::Name(name) => format!("{name} ({ip})"),
                },
                why,
            }),
            _ => Ok(allowed),
        }
    }

    /// Whether `address`, one that `host` resolves to, may be connected to.
    fn judge(
        &self,
        host: &Host,
        address: IpAddr,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Result<(), &'static str> {
        let reached = reached_by(address);
        let listed = |network: &IpNet| network.contains(&address) || network.contains(&reached);
        if self.networks.iter().any(listed) {
            return Ok(());
        }
        let anywhere = self.networks.is_empty() && self.hosts.is_empty();
        if !anywhere && !self.hosts.contains(host) {
            return Err("fetch.allow lists neither the address nor the host");
        }
        if let Some(why) = special(reached).or_else(|| special(address)) {
            return Err(why);
        }
        if is_own(reached) || is_own(address) {
            return Err("it is this head's own address, which only fetch.allow can allow");
        }
        Ok(())
    }
}

/// The IPv4 address that an IPv6 address stands for, where it is one of a translation or tunnel.
fn reached_by(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let embedded =
        |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into();
    match v6.segments() {
        // `::` and `::1` are themselves, although within the range of IPv4-compatible addresses.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        // IPv4-mapped, IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo (RFC 4380): inverted.
        [0x2001, 0, .., high, low] => embedded(!high, !low),
        _ => address,
    }
}

/// Why an address is no ordinary one to fetch from.
fn special(address: IpAddr) -> Option<&'static str> {
    let (loopback, link_local, multicast, unspecified) = match address {
        IpAddr::V4(v4) => (
            v4.is_loopback(),
            v4.is_link_local(),
            v4.is_multicast(),
            // The whole of 0.0.0.0/8 is "this host" (RFC 1122).
            v4.octets()[0] == 0,
        ),
        IpAddr::V6(v6) => (
            v6.is_loopback(),
            v6.is_unicast_link_local(),
            v6.is_multicast(),
            v6.is_unspecified(),
        ),
    };
    if loopback {
        Some("it is a loopback address, which only fetch.allow can allow")
    } else if link_local {
        Some("it is a link-local address, which only fetch.allow can allow")
    } else if multicast {
        Some("it is a multicast address")
    } else if unspecified {
        Some("it is the unspecified address")
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("it is the broadcast address")
    } else if is_local_nat64(address) {
        Some("it is an address of a local translator, which only fetch.allow can allow")
    } else {
        None
    }
}

/// `64:ff9b:1::/48` (RFC 8215): where in the address the IPv4 one is, only the network knows.
fn is_local_nat64(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if matches!(v6.segments(), [0x64, 0xff9b, 1, ..]))
}

/// Whether the kernel would deliver to this very machine: it then answers from the address itself.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Connecting a datagram socket chooses a route and sends nothing.
    UdpSocket::bind((any, 0))
        .and_then(|socket| {
            socket
                .connect((address, 9))
                .and_then(|()| socket.local_addr())
        })
        .is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn policy(allow: &[&str]) -> FetchPolicy {
        FetchPolicy::new(allow, &FetchPolicy::DEFAULT_SCHEMES).unwrap()
    }

    fn allows(allow: &[&str], host: &str, address: &str) -> bool {
        let host = Host::parse(host).unwrap();
        policy(allow)
            .judge(&host, address.parse().unwrap(), |_| false)
            .is_ok()
    }

    #[test]
    fn by_default_ordinary_addresses_are_allowed_and_special_ones_are_not() {
        for ordinary in [
            "10.1.2.3",
            "192.168.0.1",
            "93.184.216.34",
            "fd00::1",
            "2001:db8::1",
            "64:ff9b::a01:203",
        ] {
            assert!(allows(&[], "h", ordinary), "{ordinary}");
        }
        for special in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:1:2:3:4:80ff:fffe",
        ] {
            assert!(!allows(&[], "h", special), "{special}");
        }
    }

    #[test]
    fn a_list_allows_what_it_lists_and_nothing_else() {
        let list = ["10.0.0.0/8", "git.example.org", "127.0.0.1"];
        assert!(allows(&list, "h", "10.1.2.3"));
        assert!(allows(&list, "h", "64:ff9b::10.1.2.3"));
        assert!(allows(&list, "h", "127.0.0.1"));
        assert!(!allows(&list, "h", "127.0.0.2"));
        assert!(!allows(&list, "h", "192.168.0.1"));
        assert!(allows(&list, "GIT.example.org.", "192.168.0.1"));
        assert!(!allows(&list, "git.example.org", "169.254.169.254"));
        assert!(!allows(&list, "evil.git.example.org", "192.168.0.1"));
    }

    #[test]
    fn the_own_addresses_are_known() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("192.0.2.1".parse().unwrap()));
        let own = |_: IpAddr| true;
        let judged = |allow: &[&str]| {
            policy(allow).judge(&Host::parse("h").unwrap(), "10.0.0.1".parse().unwrap(), own)
        };
        assert_eq!(
            judged(&[]),
            Err("it is this head's own address, which only fetch.allow can allow")
        );
        assert_eq!(judged(&["10.0.0.1"]), Ok(()));
    }

    #[test]
    fn what_is_neither_network_nor_host_is_named() {
        let error = FetchPolicy::new(&["10.0.0.0/8", "a b"], &["http"]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("fetch.allow: \"a b\" is neither"),
            "{error}"
        );
        let error = FetchPolicy::new::<&str, _>(&[], &["gopher"]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("fetch.schemes: unknown scheme \"gopher\""),
            "{error}"
        );
    }
}
