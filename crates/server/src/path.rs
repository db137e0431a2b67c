//! Request paths: decoded once, and without the noise that firmware and package tools put into them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::Error;

/// The path with percent escapes decoded, doubled slashes and `/./` folded.
///
/// # Errors
/// It holds `..`, a NUL, or bytes that are not UTF-8.
pub(crate) fn normalise(path: &str) -> Result<Cow<'_, str>, Error> {
    let bytes = path.as_bytes();
    let is_clean = !bytes.iter().any(|c| matches!(c, b'%' | b'\0'))
        && !bytes.windows(2).any(|pair| matches!(pair, b"//" | b"/."));
    if is_clean {
        return Ok(path.into());
    }
    let decoded = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| Error::Malformed("the path is not UTF-8".into()))?;
    if decoded.contains('\0') {
        return Err(Error::Malformed("the path holds a NUL".into()));
    }
    let mut folded = String::with_capacity(decoded.len());
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => return Err(Error::Malformed("the path holds '..'".into())),
            segment => {
                folded.push('/');
                folded.push_str(segment);
            }
        }
    }
    if folded.is_empty() || (decoded.ends_with('/')) {
        folded.push('/');
    }
    Ok(folded.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn noise_is_folded() {
        for (raw, clean) in [
            ("/api/v1/nodes", "/api/v1/nodes"),
            ("//api///v1/./kickstart/x", "/api/v1/kickstart/x"),
            ("/a/%2e/b", "/a/b"),
            ("/f%20sp.txt", "/f sp.txt"),
            ("/a%2Fb", "/a/b"),
            ("/a/", "/a/"),
            ("/a/.", "/a"),
            ("/.hidden", "/.hidden"),
            ("/a/..b", "/a/..b"),
            ("/100%", "/100%"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(normalise(raw).unwrap(), clean, "{raw}");
        }
    }

    #[test]
    fn climbing_is_refused_however_it_is_spelt() {
        for raw in [
            "/a/../b",
            "/..",
            "/%2e%2e/b",
            "/%2E./b",
            "/.%2e",
            "/a%2f..%2fb",
            "/a/%2e%2e",
            "/a%00b",
            "/%ff",
        ] {
            assert!(normalise(raw).is_err(), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn no_path_holds_dots_or_doubled_slashes(raw in "(/|\\.|%2e|%2F|a|%|//){0,12}") {
            if let Ok(path) = normalise(&format!("/{raw}")) {
                prop_assert!(!path.split('/').any(|segment| segment == ".." || segment == "."), "{path}");
                prop_assert!(!path.contains("//"), "{path}");
            }
        }
    }
}
