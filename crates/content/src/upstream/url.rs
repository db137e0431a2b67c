//! URLs as far as fetching needs them: taken apart, without secrets, and resolved against each other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::source::SourceError;

/// The host of a URL: a name to be resolved, or an address.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Host {
    /// In lower case, without the final dot.
    Name(Box<str>),
    Address(IpAddr),
}

/// `scheme://user@host:port/path?query`, with a path and without a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Url {
    pub(super) scheme: Box<str>,
    pub(super) user: Option<Box<str>>,
    /// `None` only where the scheme needs no host: `git+file:///srv/site.git`.
    pub(super) host: Option<Host>,
    pub(super) port: Option<u16>,
    /// Begins with a slash; percent-encoded as it was given.
    pub(super) path: Box<str>,
    /// May hold a token, and is never shown therefore.
    pub(super) query: Option<Box<str>>,
}

impl Url {
    /// Takes a URL apart. No error repeats any of it but the scheme.
    pub(super) fn parse(text: &str) -> Result<Self, SourceError> {
        if let Some(bad) = text
            .chars()
            .find(|c| !c.is_ascii_graphic() || "\\\"<>^`{|}".contains(*c))
        {
            return Err(SourceError::Character(bad));
        }
        let (scheme, rest) = text.split_once("://").ok_or(SourceError::NotUrl)?;
        let text_of_url = rest.split('#').next().unwrap_or_default();
        let (hierarchy, query) = match text_of_url.split_once('?') {
            Some((hierarchy, query)) => (hierarchy, Some(query.into())),
            None => (text_of_url, None),
        };
        let (authority, path) = match hierarchy.find('/') {
            Some(slash) => hierarchy.split_at(slash),
            None => (hierarchy, "/"),
        };
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(SourceError::Password),
            Some((user, place)) => (Some(user_name(user)?), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place)?;
        Ok(Self {
            scheme: scheme.to_ascii_lowercase().into(),
            user,
            host,
            port,
            path: path.into(),
            query,
        })
    }

    /// The URL that `reference`, from a `Location` header, means in a document at this URL (RFC 3986 §5.2).
    pub(super) fn join(&self, reference: &str) -> Result<Self, SourceError> {
        let reference = reference.split('#').next().unwrap_or_default();
        let before_query = reference.split('?').next().unwrap_or_default();
        if before_query.contains("://") {
            return Self::parse(reference);
        }
        if reference.starts_with("//") {
            return Self::parse(&format!("{}:{reference}", self.scheme));
        }
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (reference, None),
        };
        let path = match path {
            "" => self.path.to_string(),
            _ if path.starts_with('/') => path.to_owned(),
            _ => {
                let directory = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
                format!("{directory}/{path}")
            }
        };
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        let origin = self.origin();
        Self::parse(&format!("{origin}{}{query}", without_dots(&path)))
    }

    /// `scheme://host:port`.
    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    /// `host:port`, as a `Host` header has it.
    pub(super) fn authority(&self) -> String {
        let host = self.host.as_ref().map_or(String::new(), Host::to_string);
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// The whole URL, for comparing and for programs: its query may hold a token.
    pub(super) fn identity(&self) -> String {
        let user = self
            .user
            .as_ref()
            .map_or(String::new(), |user| format!("{user}@"));
        format!(
            "{}://{user}{}{}",
            self.scheme,
            self.authority(),
            self.target()
        )
    }

    /// Path and query, as a request line has them.
    pub(super) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_string(),
        }
    }
}

/// Without the query, which may hold a token.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = if self.query.is_some() { "?…" } else { "" };
        write!(f, "{}{}{hidden}", self.origin(), self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Host {
    pub(super) fn parse(text: &str) -> Result<Self, SourceError> {
        if let Some(bracketed) = text.strip_prefix('[') {
            let address = bracketed
                .strip_suffix(']')
                .and_then(|v6| v6.parse::<Ipv6Addr>().ok())
                .ok_or(SourceError::Host)?;
            return Ok(Self::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let last_label = name.rsplit('.').next().unwrap_or_default();
        if number(last_label).is_some() || last_label.bytes().all(|b| b.is_ascii_digit()) {
            return ipv4(&name)
                .map(|address| Self::Address(address.into()))
                .ok_or(SourceError::Host);
        }
        let label_is_sound = |label: &str| {
            label.starts_with(|c: char| c.is_ascii_alphanumeric())
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() <= 253 && name.split('.').all(label_is_sound) {
            Ok(Self::Name(name.into()))
        } else {
            Err(SourceError::Host)
        }
    }
}

/// One to four numbers, the last of which fills what is left: `127.1`, `0x7f.0.0.1`, `2130706433`. The system's
/// resolver reads all of these as addresses, so they are judged as what they are.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 || leading.iter().any(|part| *part > 255) {
        return None;
    }
    // At most 3, by the line above.
    let count = leading.len() as u32;
    if count > 0 && last.checked_shr(32 - 8 * count)? > 0 {
        return None;
    }
    let high = leading
        .iter()
        .zip([24, 16, 8])
        .map(|(part, shift)| part << shift)
        .sum::<u32>();
    Some(Ipv4Addr::from_bits(high | last))
}

/// Decimal, octal after `0`, hexadecimal after `0x`.
fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    match text.strip_prefix("0x") {
        Some("") => Some(0),
        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

fn host_and_port(place: &str) -> Result<(Option<Host>, Option<u16>), SourceError> {
    let port_at = match place.rfind(':') {
        // A colon inside brackets belongs to the address.
        Some(colon) if !place[colon..].contains(']') => Some(colon),
        _ => None,
    };
    let (host, port) = match port_at {
        Some(colon) => (&place[..colon], Some(&place[colon + 1..])),
        None => (place, None),
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) => match digits.parse() {
            Ok(0) | Err(_) => return Err(SourceError::Port),
            Ok(port) => Some(port),
        },
    };
    match host {
        "" if port.is_none() => Ok((None, None)),
        host => Ok((Some(Host::parse(host)?), port)),
    }
}

fn user_name(user: &str) -> Result<Box<str>, SourceError> {
    let decoded = percent_encoding::percent_decode_str(user)
        .decode_utf8()
        .map_err(|_| SourceError::User)?;
    // `ssh` and `git` take what begins with a hyphen for an option.
    let sound = decoded.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && decoded
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._+-@".contains(&b));
    if decoded.contains(':') {
        Err(SourceError::Password)
    } else if sound {
        Ok(decoded.into())
    } else {
        Err(SourceError::User)
    }
}

/// Removes `.` and `..` from an absolute path.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_known_in_any_spelling() {
        for spelling in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
        ] {
            let host = Host::parse(spelling).unwrap();
            assert_eq!(
                host,
                Host::Address(Ipv4Addr::LOCALHOST.into()),
                "{spelling}"
            );
        }
        for nonsense in [
            "1.2.3.4.5",
            "256.1",
            "1.2.3.256",
            "4294967296",
            "1.2.3.08",
            "1..2",
            "a.1",
            "",
        ] {
            assert!(Host::parse(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_location_is_resolved_as_the_standard_says() {
        let base = Url::parse("http://a/b/c/d?q").unwrap();
        for (reference, expected) in [
            ("http://x:8/y", "http://x:8/y"),
            ("//g", "http://g/"),
            ("/g", "http://a/g"),
            ("g", "http://a/b/c/g"),
            ("./g/", "http://a/b/c/g/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("..", "http://a/b/"),
            ("g#s", "http://a/b/c/g"),
        ] {
            assert_eq!(
                base.join(reference).unwrap().to_string(),
                expected,
                "{reference}"
            );
        }
        assert_eq!(
            base.join("?y=http://z/").unwrap().target(),
            "/b/c/d?y=http://z/"
        );
    }

    proptest! {
        #[test]
        fn any_text_parses_or_errs_and_no_secret_is_shown(
            scheme in "[a-z]{1,4}", user in "([a-z]{0,3}(:hunter2)?@)?", rest in "[a-z0-9.:/@?\\[\\]#-]{0,20}"
        ) {
            let text = format!("{scheme}://{user}{rest}?token=hunter2");
            let shown = match Url::parse(&text) {
                Ok(url) => format!("{url} {url:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            prop_assert!(!shown.contains("hunter2"), "{}", shown);
        }
    }
}
