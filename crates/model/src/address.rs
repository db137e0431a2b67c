//! The addresses a machine is recognised by: [`MacAddr`] and [`Ip`].

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use crate::{Invalid, uid::hex_pair};

/// The hardware address of one network interface. Any common spelling is read; it is written `aa:bb:cc:dd:ee:ff`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddr([u8; 6]);

impl FromStr for MacAddr {
    type Err = Invalid;

    /// Reads `aa:bb:cc:dd:ee:ff`, `aa-bb-cc-dd-ee-ff` or `aabbccddeeff`, in any case. Group addresses and zero, which
    /// no interface owns, are refused.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Invalid::Mac {
            value: text.to_owned(),
            why,
        };
        let bytes =
            read_mac(text).ok_or_else(|| bad("six hex pairs, joined by ':' or '-' or nothing"))?;
        if bytes[0] & 1 != 0 {
            return Err(bad("it is a group (multicast) address"));
        }
        if bytes == [0; 6] {
            return Err(bad("it is all zeros"));
        }
        Ok(Self(bytes))
    }
}

/// Whether this text would be taken for a MAC address, usable or not.
pub(crate) fn reads_as_mac(text: &str) -> bool {
    read_mac(text).is_some()
}

fn read_mac(text: &str) -> Option<[u8; 6]> {
    let text = text.as_bytes();
    let step = match text.len() {
        12 => 2,
        17 if matches!(text[2], b':' | b'-') => 3,
        _ => return None,
    };
    let mut bytes = [0; 6];
    for (i, byte) in bytes.iter_mut().enumerate() {
        let at = i * step;
        if step == 3 && i > 0 && text[at - 1] != text[2] {
            return None;
        }
        let digit = |c: u8| (c as char).to_digit(16);
        *byte = (digit(text[at])? << 4 | digit(text[at + 1])?) as u8;
    }
    Some(bytes)
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b':'; 17];
        for (triple, byte) in text.chunks_mut(3).zip(self.0) {
            triple[..2].copy_from_slice(&hex_pair(byte));
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacAddr({self})")
    }
}

impl TryFrom<String> for MacAddr {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<MacAddr> for String {
    fn from(mac: MacAddr) -> Self {
        mac.to_string()
    }
}

impl schemars::JsonSchema for MacAddr {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MacAddr".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "examples": ["52:54:00:aa:00:01"],
            "description": "Six hex pairs, joined by ':' or '-' or nothing; answered with ':'."})
    }
}

/// An IP address one machine can own. An IPv4 address mapped into IPv6 is that IPv4 address.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Ip(IpAddr);

impl Ip {
    /// The address a connection comes from, with IPv4-mapped IPv6 folded to IPv4.
    pub const fn of_peer(address: IpAddr) -> Self {
        Self(fold(address))
    }

    /// The address itself.
    pub const fn addr(self) -> IpAddr {
        self.0
    }
}

const fn fold(address: IpAddr) -> IpAddr {
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return IpAddr::V4(v4);
    }
    address
}

impl FromStr for Ip {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Invalid::Ip {
            value: text.to_owned(),
            why,
        };
        let address = fold(
            text.parse::<IpAddr>()
                .map_err(|_| bad("four numbers joined by '.', or IPv6"))?,
        );
        if address.is_unspecified() || address.is_multicast() || address == IpAddr::from([255; 4]) {
            return Err(bad("no single machine can own it"));
        }
        Ok(Self(address))
    }
}

/// Whether this text would be taken for an IP address.
pub(crate) fn reads_as_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || text.parse::<Ipv6Addr>().is_ok()
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ip({self})")
    }
}

impl TryFrom<String> for Ip {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Ip> for String {
    fn from(ip: Ip) -> Self {
        ip.to_string()
    }
}

impl schemars::JsonSchema for Ip {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ip".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "IPv4 or IPv6 address."})
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_a_mac_is_the_same_mac() {
        let mac: MacAddr = "52:54:00:aa:bb:0c".parse().unwrap();
        for spelling in ["52:54:00:AA:BB:0C", "52-54-00-aa-bb-0c", "525400AABB0c"] {
            assert_eq!(spelling.parse::<MacAddr>().unwrap(), mac);
        }
        assert_eq!(mac.to_string(), "52:54:00:aa:bb:0c");
    }

    #[test]
    fn what_is_no_mac_is_refused() {
        for bad in [
            "",
            "52:54:00:aa:bb",
            "52:54:00-aa:bb:0c",
            "52:54:00:aa:bb:0g",
            "525400aabb0cc",
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
            "é254:00:aa:bb:0c",
        ] {
            assert!(bad.parse::<MacAddr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_v4_address() {
        let plain: Ip = "10.1.2.3".parse().unwrap();
        assert_eq!("::ffff:10.1.2.3".parse::<Ip>().unwrap(), plain);
        assert_eq!(Ip::of_peer("::ffff:10.1.2.3".parse().unwrap()), plain);
    }

    #[test]
    fn addresses_of_nobody_are_refused() {
        for bad in [
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "10.1.2",
            "n4",
            "::ffff:0.0.0.0",
        ] {
            assert!(bad.parse::<Ip>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn reading_a_mac_never_panics_and_round_trips(text in ".{0,20}") {
            if let Ok(mac) = text.parse::<MacAddr>() {
                prop_assert_eq!(mac.to_string().parse::<MacAddr>().unwrap(), mac);
            }
        }
    }
}
