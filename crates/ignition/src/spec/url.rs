//! URLs as the client reads them: with `net/url` of Go, which forgives more than the standard in some places and less in
//! others.

use super::{Findings, Node, Rule, Version};
use crate::data_url::{self, unescape};

/// What a URL is made of, as far as anyone here asks.
pub(super) struct Url<'t> {
    /// In lower case; empty if there is none.
    pub(super) scheme: String,
    /// What follows the scheme where that is not a path.
    opaque: &'t str,
    query: &'t str,
}

impl<'t> Url<'t> {
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return None;
        }
        let (scheme, rest) = scheme(text)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = Self {
            scheme: scheme.to_ascii_lowercase(),
            opaque: "",
            query,
        };
        if !rest.starts_with('/') && !scheme.is_empty() {
            url.opaque = rest;
            return unescape(fragment).map(|_| url);
        }
        let path = match rest
            .strip_prefix("//")
            .filter(|_| !scheme.is_empty() || !rest.starts_with("///"))
        {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                check_authority(authority)?;
                path
            }
            None => rest,
        };
        unescape(path)?;
        unescape(fragment)?;
        Some(url)
    }

    /// The first value of a key in the query.
    fn query(&self, key: &str) -> Option<Vec<u8>> {
        // A pair that cannot be read is passed over.
        let pairs = self
            .query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.contains(';'));
        pairs
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((unescape(name)?, unescape(value)?))
            })
            .find_map(|(name, value)| (*name == *key.as_bytes()).then_some(value.into_owned()))
    }
}

/// Both empty are no error: the text then is a path.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let end =
        text.find(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.')));
    let Some((scheme, rest)) = end.and_then(|end| {
        text.split_at(end)
            .1
            .strip_prefix(':')
            .map(|rest| (&text[..end], rest))
    }) else {
        return Some(("", text));
    };
    match scheme.as_bytes().first() {
        None => None,
        Some(first) if first.is_ascii_alphabetic() => Some((scheme, rest)),
        Some(_) => Some(("", text)),
    }
}

fn check_authority(authority: &str) -> Option<()> {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let may_be_in_user =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !user.bytes().all(may_be_in_user) {
        return None;
    }
    unescape(user)?;
    let (name, port) = match host.starts_with('[') {
        true => host.split_at(host.rfind(']')? + 1),
        false => host.split_at(host.rfind(':').unwrap_or(host.len())),
    };
    let port_is_number = port.is_empty()
        || port
            .strip_prefix(':')?
            .bytes()
            .all(|byte| byte.is_ascii_digit());
    (port_is_number && host_is_readable(name)).then_some(())
}

fn host_is_readable(host: &str) -> bool {
    // The zone of an IPv6 address: `%25` and what may follow it.
    let (host, zone) = match host.split_once("%25").filter(|_| host.starts_with('[')) {
        Some((host, zone)) => (host, zone),
        None => (host, ""),
    };
    let allowed = |byte: u8| {
        !byte.is_ascii()
            || byte.is_ascii_alphanumeric()
            || b"!$&'()*+,;=:[]<>\"-_.~%".contains(&byte)
    };
    let escapes_no_ascii = |host: &str| {
        let mut escapes = host.split('%').skip(1);
        escapes.all(|escape| {
            escape.starts_with("25")
                || !escape.starts_with(['0', '1', '2', '3', '4', '5', '6', '7'])
        })
    };
    [host, zone]
        .iter()
        .all(|part| part.bytes().all(allowed) && unescape(part).is_some())
        && escapes_no_ascii(host)
}

/// From which version on which schemes can be fetched.
const SCHEMES: &[(&str, Version)] = &[
    ("data", Version::V3_0),
    ("http", Version::V3_0),
    ("https", Version::V3_0),
    ("tftp", Version::V3_0),
    ("s3", Version::V3_0),
    ("gs", Version::V3_2),
    ("arn", Version::V3_4),
];

/// What is wrong with a URL that something is to be fetched from.
pub(super) fn check(text: &str, version: Version) -> Option<Rule> {
    let Some(url) = Url::parse(text) else {
        return Some(Rule::UrlUnreadable);
    };
    if !SCHEMES
        .iter()
        .any(|(scheme, since)| *scheme == url.scheme && *since <= version)
    {
        return Some(Rule::UrlScheme);
    }
    let empty_version = url
        .query("versionId")
        .is_some_and(|version| version.is_empty());
    match url.scheme.as_str() {
        "data" => data_url::decode(text).is_err().then_some(Rule::UrlData),
        "s3" | "arn" if empty_version => Some(Rule::UrlS3Version),
        "arn" if !is_s3_object(url.opaque) => Some(Rule::UrlArn),
        _ => None,
    }
}

/// Reports what is wrong with a URL, if there is one.
pub(super) fn check_if_given(url: Node, findings: &mut Findings) {
    if let Some(rule) = url
        .text_if_present()
        .filter(|text| !text.is_empty())
        .and_then(|text| check(text, findings.version))
    {
        findings.add(url, rule);
    }
}

/// Whether what follows `arn:` is `PARTITION:s3:REGION:ACCOUNT:BUCKET/KEY` or `…:accesspoint/NAME/KEY`.
fn is_s3_object(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(5, ':').collect();
    let [_, "s3", _, _, resource] = parts[..] else {
        return false;
    };
    let slashes = arn.matches('/').count();
    slashes
        >= if resource.starts_with("accesspoint/") {
            2
        } else {
            1
        }
}
