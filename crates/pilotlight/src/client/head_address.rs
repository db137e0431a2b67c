//! Where a head is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;

/// The socket of a head that runs as a service.
const SERVICE_SOCKET: &str = "/run/pilotlight/api.sock";

/// The base path of every endpoint.
const BASE_PATH: &str = "/api/v1";

/// The address of a head's management API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeadAddress {
    /// By the network.
    Network {
        /// Whether it is HTTPS.
        tls: bool,
        /// Name or address; an IPv6 address has no brackets.
        host: String,
        /// TCP port.
        port: u16,
        /// Ends with [`BASE_PATH`].
        base_path: String,
    },
    /// By a local socket.
    Socket(PathBuf),
}

impl HeadAddress {
    /// The head that runs on this machine as a service, if one does.
    pub(crate) fn of_service() -> Option<Self> {
        Self::if_there(PathBuf::from(SERVICE_SOCKET))
    }

    /// The head that runs on this machine with the data directory `data`, if one does.
    pub(crate) fn in_data(data: &Path) -> Option<Self> {
        Self::if_there(data.join("api.sock"))
    }

    fn if_there(socket: PathBuf) -> Option<Self> {
        socket.exists().then_some(Self::Socket(socket))
    }

    /// What stands before the path of every endpoint.
    pub(super) fn base_path(&self) -> &str {
        match self {
            Self::Network { base_path, .. } => base_path,
            Self::Socket(_) => BASE_PATH,
        }
    }

    /// The value of the `Host` header.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Network {
                tls, host, port, ..
            } => {
                let host = bracketed(host);
                match (tls, port) {
                    (false, 80) | (true, 443) => host,
                    _ => format!("{host}:{port}"),
                }
            }
            Self::Socket(_) => "localhost".to_owned(),
        }
    }
}

fn bracketed(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    }
}

impl FromStr for HeadAddress {
    type Err = String;

    /// Reads `http://HOST[:PORT]`, `https://HOST[:PORT]` or `HOST[:PORT]`; a path may follow, `/api/v1` is understood.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a head's URL, such as http://10.0.0.1 or https://head.example:8443"
            )
        };
        let with_scheme = match text.contains("://") {
            true => text.to_owned(),
            false => format!("http://{text}"),
        };
        let uri: Uri = with_scheme.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        if host.is_empty() || authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong());
        }
        let port = match authority.as_str().rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => port.parse().map_err(|_| wrong())?,
            _ if tls => 443,
            _ => 80,
        };
        let prefix = uri.path().trim_end_matches('/');
        let prefix = prefix.strip_suffix(BASE_PATH).unwrap_or(prefix);
        Ok(Self::Network {
            tls,
            host: host.to_owned(),
            port,
            base_path: format!("{prefix}{BASE_PATH}"),
        })
    }
}

impl fmt::Display for HeadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { tls, base_path, .. } => {
                let scheme = if *tls { "https" } else { "http" };
                let prefix = base_path.strip_suffix(BASE_PATH).unwrap_or_default();
                write!(f, "{scheme}://{}{prefix}", self.host())
            }
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (text, shown, host, base_path) in [
            ("http://10.0.0.1", "http://10.0.0.1", "10.0.0.1", "/api/v1"),
            (
                "10.0.0.1:8080",
                "http://10.0.0.1:8080",
                "10.0.0.1:8080",
                "/api/v1",
            ),
            ("https://h:443/api/v1/", "https://h", "h", "/api/v1"),
            (
                "http://[fd00::1]:81/",
                "http://[fd00::1]:81",
                "[fd00::1]:81",
                "/api/v1",
            ),
            (
                "https://[fd00::1]",
                "https://[fd00::1]",
                "[fd00::1]",
                "/api/v1",
            ),
            (
                "https://h/cluster1",
                "https://h/cluster1",
                "h",
                "/cluster1/api/v1",
            ),
        ] {
            let head: HeadAddress = text.parse().unwrap();
            assert_eq!(
                (head.to_string().as_str(), head.host().as_str()),
                (shown, host)
            );
            assert_eq!(head.base_path(), base_path);
        }
    }

    #[test]
    fn what_is_no_url_of_a_head_is_refused() {
        for text in [
            "",
            "ftp://h",
            "http://",
            "http://u:p@h",
            "http://h:99999",
            "http://h:",
            "http://h/?x=1",
            "a b",
        ] {
            assert!(
                text.parse::<HeadAddress>().is_err(),
                "{text:?} was accepted"
            );
        }
    }

    #[test]
    fn a_local_head_is_found_by_its_socket() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(HeadAddress::in_data(data.path()), None);
        let socket = data.path().join("api.sock");
        std::fs::write(&socket, "").unwrap();
        assert_eq!(
            HeadAddress::in_data(data.path()),
            Some(HeadAddress::Socket(socket))
        );
    }
}
