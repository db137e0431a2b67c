//! Networks, hosts and URLs.

use std::{fmt, str::FromStr};

use ipnet::IpNet;
use serde::Serialize;

use super::listen::is_host;

/// A network in CIDR notation; an address alone is a network of one.
pub(super) struct Network(pub(super) IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .or_else(|_| {
                text.parse()
                    .map(|address: std::net::IpAddr| IpNet::from(address))
            })
            .map(Self)
            .map_err(|_| {
                format!("{text:?} is not a network such as \"10.0.0.0/8\" or \"fd00::/8\"")
            })
    }
}

/// An absolute URL without a slash at its end.
pub(super) struct BaseUrl(pub(super) String);

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = text.trim_end_matches('/');
        // It is written into shell scripts, so nothing a shell would read otherwise.
        let is_plain = url
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&byte));
        let is_absolute = url.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        if is_plain && is_absolute {
            Ok(Self(url.to_owned()))
        } else {
            Err(format!(
                "{text:?} is not a plain URL such as \"http://10.0.0.1/api/v1\""
            ))
        }
    }
}

/// Where the head may fetch from.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum AllowedSource {
    /// Any host with such an address.
    Network(IpNet),
    /// The host with this name.
    Host(String),
}

impl fmt::Display for AllowedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Host(name) => name.fmt(f),
        }
    }
}

impl FromStr for AllowedSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(Network(network)) = text.parse() {
            Ok(Self::Network(network))
        } else if is_host(text) {
            Ok(Self::Host(text.to_ascii_lowercase()))
        } else {
            Err(format!(
                "{text:?} is neither a network such as \"10.0.0.0/8\" nor a host name"
            ))
        }
    }
}
