//! An address to listen on.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// `HOST:PORT`: an IPv4 address, an IPv6 address in brackets, or a host name; port 0 takes a free one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub(crate) struct ListenAddress {
    host: String,
    port: u16,
}

impl ListenAddress {
    /// An address from parts known to be right.
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not HOST:PORT, such as \"0.0.0.0:80\", \"[::]:80\" or \"localhost:8080\""
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = match port.bytes().all(|byte| byte.is_ascii_digit()) {
            true => port.parse().map_err(|_| wrong())?,
            false => return Err(wrong()),
        };
        let host = match host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(address) if address.parse::<std::net::Ipv6Addr>().is_ok() => address,
            None if is_host(host) => host,
            _ => return Err(wrong()),
        };
        Ok(Self::new(host, port))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl From<ListenAddress> for String {
    fn from(address: ListenAddress) -> Self {
        address.to_string()
    }
}

/// Whether `text` can be a host name or an IPv4 address (RFC 1123 section 2.1).
pub(super) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_write_the_same() {
        for text in [
            "0.0.0.0:80",
            "[::]:0",
            "[fe80::1]:8080",
            "head-1.cluster.example:443",
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "80",
            ":80",
            "localhost",
            "::1:80",
            "[::1]",
            "a:b",
            "a:99999",
            "a:+80",
            "[a]:80",
            "a b:80",
        ] {
            assert!(
                text.parse::<ListenAddress>().is_err(),
                "{text:?} was accepted"
            );
        }
    }
}
