//! What is fetched: sources, compressions, hashes, headers, and the proxies on the way.

use super::{Findings, Node, Rule, Version, url};

/// A resource that may have no source.
pub(super) fn check(resource: Node, findings: &mut Findings) {
    let (source, hash) = (
        resource.get("source"),
        resource.get("verification").get("hash"),
    );
    url::check_if_given(source, findings);
    if !matches!(resource.get("compression").text(), "" | "gzip") {
        findings.add(resource.get("compression"), Rule::Compression);
    }
    check_hash(hash, findings);
    if hash.is_present() && !source.is_present() {
        findings.add(hash, Rule::HashWithoutSource);
    }
    check_headers(resource.get("httpHeaders"), source, findings);
}

/// The `ignition` section: configs and certificates that are of no use without a source.
pub(super) fn check_ignition(ignition: Node, findings: &mut Findings) {
    let (config, tls) = (ignition.get("config"), ignition.get("security").get("tls"));
    check_reference(config.get("replace"), findings);
    for merged in config.get("merge").items() {
        check_reference(merged, findings);
        check_required(merged, findings);
    }
    for authority in tls.get("certificateAuthorities").items() {
        check_reference(authority, findings);
        check_required(authority, findings);
        // Before 3.1.0 the source could not be absent: an absent one was an empty URL.
        if findings.version == Version::V3_0 && authority.get("source").text().is_empty() {
            findings.add(authority.get("source"), Rule::UrlScheme);
        }
    }
    check_proxy(ignition.get("proxy"), findings);
}

fn check_reference(reference: Node, findings: &mut Findings) {
    match findings.version {
        Version::V3_0 => {
            url::check_if_given(reference.get("source"), findings);
            check_hash(reference.get("verification").get("hash"), findings);
        }
        _ => check(reference, findings),
    }
}

fn check_required(resource: Node, findings: &mut Findings) {
    match resource.get("source").text() {
        "" => findings.add(resource, Rule::SourceMissing),
        source => {
            // Said of the source already, but the reference says it of the resource too.
            if let Some(rule) =
                url::check(source, findings.version).filter(|_| findings.version > Version::V3_0)
            {
                findings.add(resource, rule);
            }
        }
    }
}

fn check_hash(hash: Node, findings: &mut Findings) {
    /// The functions, since when, and how many digits their hashes have.
    const FUNCTIONS: [(&str, Version, usize); 2] = [
        ("sha512", Version::V3_0, 128),
        ("sha256", Version::V3_1, 64),
    ];
    let Some(text) = hash.text_if_present() else {
        return;
    };
    let Some((function, digits)) = text.split_once('-') else {
        return findings.add(hash, Rule::HashForm);
    };
    match FUNCTIONS
        .iter()
        .find(|(name, since, _)| *name == function && *since <= findings.version)
    {
        None => findings.add_about(hash, Rule::HashFunction, &function),
        Some((_, _, length)) if *length != digits.len() => findings.add(hash, Rule::HashLength),
        Some(_) => {}
    }
}

fn check_headers(headers: Node, source: Node, findings: &mut Findings) {
    let over_http = || {
        url::Url::parse(source.text())
            .is_some_and(|url| matches!(url.scheme.as_str(), "http" | "https"))
    };
    if headers.items().len() > 0 && !over_http() {
        findings.add(headers, Rule::HeadersWithoutHttp);
    }
    for header in headers.items() {
        if header.get("name").text().is_empty() {
            findings.add(header.get("name"), Rule::HeaderName);
        }
        if header.get("value").text_if_present() == Some("") {
            findings.add(header.get("value"), Rule::HeaderValue);
        }
    }
}

fn check_proxy(proxy: Node, findings: &mut Findings) {
    for key in ["httpProxy", "httpsProxy"] {
        let Some(text) = proxy.get(key).text_if_present() else {
            continue;
        };
        match url::Url::parse(text)
            .as_ref()
            .map(|url| url.scheme.as_str())
        {
            Some("https") => {}
            Some("http") if key == "httpProxy" => {}
            Some("http") => findings.add(proxy.get(key), Rule::ProxyInsecure),
            _ => findings.add(proxy.get(key), Rule::Proxy),
        }
    }
}
