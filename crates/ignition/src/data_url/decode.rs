//! From a `data:` URL back to what it holds. As strict as the client, which reads less than the standard allows.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// The client does not mind bits that the padding cuts off.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// It is no `data:` URL, or none that the client can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotDataUrl;

/// What a `data:` URL holds.
pub(crate) fn decode(url: &str) -> Result<Cow<'_, [u8]>, NotDataUrl> {
    read(url, may_be_in_data)
}

/// The same of a URL in which characters stand as they are that should have been escaped.
pub(crate) fn decode_unescaped(url: &str) -> Result<Cow<'_, [u8]>, NotDataUrl> {
    read(url, |_| true)
}

fn read(url: &str, allowed: fn(u8) -> bool) -> Result<Cow<'_, [u8]>, NotDataUrl> {
    let rest = url.strip_prefix("data:").ok_or(NotDataUrl)?;
    let rest = after_media_type(rest).ok_or(NotDataUrl)?;
    match after_parameters(rest).ok_or(NotDataUrl)? {
        (data, Encoding::Base64) => BASE64.decode(data).map(Cow::Owned).map_err(|_| NotDataUrl),
        (data, Encoding::Escaped) if data.bytes().all(allowed) => unescape(data).ok_or(NotDataUrl),
        _ => Err(NotDataUrl),
    }
}

/// Without its `%XX`; nothing if one of them is broken.
pub(crate) fn unescape(text: &str) -> Option<Cow<'_, [u8]>> {
    let mut parts = text.split('%');
    let first = parts.next()?.as_bytes();
    if first.len() == text.len() {
        return Some(Cow::Borrowed(first));
    }
    let mut bytes = first.to_vec();
    for part in parts {
        let (digits, rest) = part.as_bytes().split_at_checked(2)?;
        let digit = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        bytes.push(digit(digits[0])? << 4 | digit(digits[1])?);
        bytes.extend_from_slice(rest);
    }
    Some(Cow::Owned(bytes))
}

enum Encoding {
    Base64,
    Escaped,
}

/// What follows `TYPE/SUBTYPE`, if that stands there.
fn after_media_type(text: &str) -> Option<&str> {
    const TYPES: [&str; 7] = [
        "text",
        "image",
        "audio",
        "video",
        "application",
        "message",
        "multipart",
    ];
    if text.starts_with([';', ',']) {
        return Some(text);
    }
    let (kind, rest) = text.split_once('/')?;
    let known = TYPES.iter().any(|known| kind.starts_with(known))
        || kind.starts_with("x-")
        || kind.starts_with("X-");
    let (subtype, rest) = rest.split_at(rest.find([';', ','])?);
    (known && is_token(kind) && is_token(subtype)).then_some(rest)
}

/// What follows `;NAME=VALUE;NAME="VALUE";base64,`.
fn after_parameters(mut text: &str) -> Option<(&str, Encoding)> {
    loop {
        if let Some(data) = text.strip_prefix(',') {
            return Some((data, Encoding::Escaped));
        }
        let parameter = text.strip_prefix(';')?;
        if let Some(data) = parameter.strip_prefix("base64,") {
            return Some((data, Encoding::Base64));
        }
        let (name, value) = parameter.split_once('=')?;
        if name.is_empty() || !is_token(name) {
            return None;
        }
        text = match value.strip_prefix('"') {
            Some(quoted) => after_quoted(quoted)?,
            None => {
                let (value, rest) = value.split_at(value.find([';', ','])?);
                unescape(value).filter(|_| !value.is_empty() && is_token(value))?;
                rest
            }
        };
    }
}

fn after_quoted(text: &str) -> Option<&str> {
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some(&text[at + 1..]),
            // The client reads what stands between the quotes as a string of Go, in which few characters are escaped.
            '\\' => {
                chars
                    .next()
                    .filter(|(_, escaped)| r#"abfnrtv\""#.contains(*escaped))?;
            }
            '\n' => return None,
            _ if char.is_ascii() => {}
            _ => return None,
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte))
}

fn may_be_in_data(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"<>#\"{}|\\^[]`".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(url: &str) -> Option<String> {
        decode(url)
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn what_the_client_reads() {
        for (url, contents) in [
            ("data:,", ""),
            ("data:,a%0Ab", "a\nb"),
            ("data:,a,b;c=d", "a,b;c=d"),
            ("data:;base64,", ""),
            ("data:;base64,YQ==", "a"),
            ("data:;base64,YR==", "a"),
            ("data:text/plain,x", "x"),
            ("data:text/,x", "x"),
            ("data:textual/x,x", "x"),
            ("data:x-a/b,x", "x"),
            ("data:text/plain;charset=utf-8;base64,YQ==", "a"),
            (r#"data:;a="b\"",x"#, "x"),
        ] {
            assert_eq!(decoded(url).as_deref(), Some(contents), "{url}");
        }
    }

    #[test]
    fn what_it_does_not() {
        for url in [
            "",
            "data:",
            "data:x",
            "DATA:,x",
            "data:;base64,YQ=",
            "data:;base64,YQ",
            "data:;base64,YQ==YQ==",
            "data:,%zz",
            "data:,%2",
            "data:,a b",
            "data:,ä",
            "data:,a#b",
            "data:,{}",
            "data:,\u{1}",
            "data:text,x",
            "data:foo/bar,x",
            "data:/x,x",
            "data:;a=,x",
            "data:;a=b;,x",
            "data:;base64;a=b,x",
            "data:;a=%zz,x",
            "data:;BASE64,YQ==",
            "data:;,x",
            "data:;a=\"é\",x",
            "data:;base64,YQ\n==",
            "data:;base64,%59%51==",
            "data:;base64,YQ-_",
            "data:text/plain",
            "data:;a=b",
            "data:text/plain;a,x",
        ] {
            assert_eq!(decoded(url), None, "{url}");
        }
    }
}
