//! This head's `/api/v1` URL as the client used it.

use std::net::SocketAddr;

use http::{header, request::Parts};

/// The base path of every endpoint.
pub(crate) const BASE_PATH: &str = "/api/v1";

/// The URL from the `Host` the client used where that is a plain `host[:port]`, else from the socket's own address.
///
/// The result ends up in scripts, so nothing but host names, addresses and port numbers gets through.
pub(crate) fn as_used(parts: &Parts, local: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = || parts.headers.get(header::HOST)?.to_str().ok();
    match authority.or_else(host).filter(|host| is_plain(host)) {
        Some(host) => [scheme, "://", host, BASE_PATH].concat(),
        None => format!("{scheme}://{local}{BASE_PATH}"),
    }
}

/// The URL at one of this head's addresses.
pub(crate) fn of_address(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) if v4.port() == 80 => format!("http://{}{BASE_PATH}", v4.ip()),
        address => format!("http://{address}{BASE_PATH}"),
    }
}

/// Whether this is `host[:port]`, `v4[:port]` or `[v6][:port]` and nothing else.
pub(crate) fn is_plain(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, rest)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => {
            match rest.strip_prefix(':') {
                Some(port) => ("v6", Some(port)),
                None if rest.is_empty() => ("v6", None),
                None => return false,
            }
        }
        Some(_) => return false,
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let plain_name = !name.is_empty()
        && name.len() <= 253
        && !name.starts_with(['-', '.'])
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'));
    plain_name
        && port.is_none_or(|port| {
            port.parse::<u16>()
                .is_ok_and(|_| port.bytes().all(|c| c.is_ascii_digit()))
        })
}

/// A path that a boot file names, made absolute: as it stands if it is a URL, else under the base URL.
pub(crate) fn absolute(base_url: &str, url_or_path: &str) -> String {
    let is_scheme = |text: &str| {
        text.bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c))
    };
    match url_or_path.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => url_or_path.to_owned(),
        _ => [base_url, "/", url_or_path.trim_start_matches('/')].concat(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_hosts_are_repeated() {
        for plain in [
            "head1",
            "head1.cluster.local:8080",
            "10.0.0.1",
            "10.0.0.1:80",
            "[::1]",
            "[fd00::1]:80",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for odd in [
            "", ":80", "a b", "a;reboot", "$(id)", "a/b", "a@b", "a:b", "a:80:90", "a:", "a:99999",
            "a:+80", "[::1", "[::1]x", "[zz]:80", "-rf", ".", "a\"b", "a'b", "a`b`",
        ] {
            assert!(!is_plain(odd), "{odd}");
        }
    }

    #[test]
    fn the_host_the_client_used_or_else_the_socket() {
        let url = |host: &str| {
            let request = http::Request::get("/x")
                .header("host", host)
                .body(())
                .unwrap();
            as_used(
                &request.into_parts().0,
                "10.0.0.1:80".parse().unwrap(),
                false,
            )
        };
        assert_eq!(url("head1:8080"), "http://head1:8080/api/v1");
        assert_eq!(url("head1;reboot"), "http://10.0.0.1:80/api/v1");
    }

    #[test]
    fn paths_are_under_the_base_and_urls_stay() {
        assert_eq!(
            absolute("http://h/api/v1", "/repo/el9"),
            "http://h/api/v1/repo/el9"
        );
        assert_eq!(
            absolute("http://h/api/v1", "http://mirror/el9/"),
            "http://mirror/el9/"
        );
    }
}
