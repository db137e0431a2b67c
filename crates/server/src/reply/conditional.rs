//! Preconditions: whether the client's copy, or the state it wants to change, is the current one (RFC 9110 §13).

use std::iter;

use http::header::{
    AsHeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use httpdate::HttpDate;

use super::validator::{ETag, LastModified};

/// What a request's preconditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Do what the method says.
    Proceed,
    /// The client has the current content: 304.
    NotModified,
    /// The client means another state than the current one: 412, and change nothing.
    Failed,
}

/// Evaluates `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since` against what the target is
/// now, in the order of RFC 9110 §13.2.2. A date that is malformed or given twice is ignored, as is any date where the
/// target's own is unknown.
#[must_use]
pub fn preconditions(
    method: &Method,
    headers: &HeaderMap,
    etag: &ETag,
    last_modified: Option<&LastModified>,
) -> Verdict {
    let unmodified_since = |name: HeaderName| {
        let given = only(headers, name)?
            .to_str()
            .ok()?
            .parse::<HttpDate>()
            .ok()?;
        Some(last_modified?.date() <= given)
    };

    let is_meant = if headers.contains_key(IF_MATCH) {
        lists(headers, IF_MATCH, |tag| tag.is_strongly(etag))
    } else {
        unmodified_since(IF_UNMODIFIED_SINCE).unwrap_or(true)
    };
    if !is_meant {
        return Verdict::Failed;
    }

    let is_read = method == Method::GET || method == Method::HEAD;
    let client_has_it = if headers.contains_key(IF_NONE_MATCH) {
        lists(headers, IF_NONE_MATCH, |tag| tag.is_weakly(etag))
    } else {
        is_read && unmodified_since(IF_MODIFIED_SINCE).unwrap_or(false)
    };
    match (client_has_it, is_read) {
        (false, _) => Verdict::Proceed,
        (true, true) => Verdict::NotModified,
        (true, false) => Verdict::Failed,
    }
}

/// Whether a `Range` counts: there is no `If-Range`, or it names the current content by its strong tag or by its exact
/// date (RFC 9110 §13.1.5).
pub(super) fn range_counts(
    headers: &HeaderMap,
    etag: &ETag,
    last_modified: Option<&LastModified>,
) -> bool {
    if !headers.contains_key(IF_RANGE) {
        return true;
    }
    let Some(given) = only(headers, IF_RANGE) else {
        return false;
    };
    match EntityTag::parse(given.as_bytes()) {
        Some((tag, rest)) => rest.is_empty() && tag.is_strongly(etag),
        None => {
            let date = given.to_str().ok().and_then(|date| date.parse().ok());
            date.is_some() && date == last_modified.map(LastModified::date)
        }
    }
}

/// The field's value, where the request has exactly one.
pub(super) fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// Whether a field that lists entity tags has one that `is_current`, or is `*`: anything that exists.
fn lists(
    headers: &HeaderMap,
    name: HeaderName,
    is_current: impl Fn(EntityTag<'_>) -> bool,
) -> bool {
    headers.get_all(name).iter().any(|value| {
        let value = value.as_bytes();
        value == b"*" || entity_tags(value).any(&is_current)
    })
}

/// The tags of a list, up to the first thing that is none.
fn entity_tags(list: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = list;
    iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (tag, after) = EntityTag::parse(rest)?;
        rest = after.trim_ascii_start();
        matches!(rest, [] | [b',', ..]).then_some(tag)
    })
}

/// An entity tag that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EntityTag<'a> {
    weak: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// The tag that `text` begins with, and what follows it. A tag may hold a comma.
    fn parse(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, text) = match text.strip_prefix(b"W/") {
            Some(text) => (true, text),
            None => (false, text),
        };
        let inner = text.strip_prefix(b"\"")?;
        let length = memchr::memchr(b'"', inner)?;
        let (opaque, rest) = text.split_at(length + 2);
        Some((Self { weak, opaque }, rest))
    }

    fn is_strongly(self, etag: &ETag) -> bool {
        !self.weak && self.is_weakly(etag)
    }

    fn is_weakly(self, etag: &ETag) -> bool {
        self.opaque == etag.as_bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const TAG: &str = "\"abababababababababababababababab\"";

    fn etag() -> ETag {
        ETag::of_sha256(&[0xab; 32])
    }

    fn last_modified() -> LastModified {
        LastModified::of(UNIX_EPOCH + Duration::from_secs(784_111_777)).unwrap()
    }

    /// Header fields from lines; `TAG` in them stands for the current tag.
    fn asking(lines: &str) -> HeaderMap {
        lines
            .lines()
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (
                    name.parse::<HeaderName>().unwrap(),
                    value.replace("TAG", TAG).parse().unwrap(),
                )
            })
            .collect()
    }

    fn verdict(method: &Method, lines: &str) -> Verdict {
        preconditions(method, &asking(lines), &etag(), Some(&last_modified()))
    }

    fn verdict_without_date(method: &Method, lines: &str) -> Verdict {
        preconditions(method, &asking(lines), &etag(), None)
    }

    fn counts(if_range: &str, last_modified: Option<&LastModified>) -> bool {
        range_counts(
            &asking(&format!("if-range: {if_range}")),
            &etag(),
            last_modified,
        )
    }

    #[test]
    fn no_precondition_proceeds() {
        assert_eq!(verdict(&Method::GET, "host: head"), Verdict::Proceed);
        assert_eq!(verdict(&Method::PUT, "host: head"), Verdict::Proceed);
    }

    #[test]
    fn if_match_compares_strongly() {
        for (value, expected) in [
            ("TAG", Verdict::Proceed),
            ("*", Verdict::Proceed),
            ("\"other\", TAG", Verdict::Proceed),
            ("\"a,b\",,\t TAG , \"c\"", Verdict::Proceed),
            ("\"other\"\nif-match: TAG", Verdict::Proceed),
            ("W/TAG", Verdict::Failed),
            ("\"other\"", Verdict::Failed),
            ("abababababababababababababababab", Verdict::Failed),
            ("\"abababababababababababababababab", Verdict::Failed),
            ("\"\"", Verdict::Failed),
            ("TAGTAG", Verdict::Failed),
        ] {
            let lines = format!("if-match: {value}");
            assert_eq!(verdict(&Method::GET, &lines), expected, "{lines}");
            assert_eq!(verdict(&Method::PATCH, &lines), expected, "{lines}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (value, is_current) in [
            ("TAG", true),
            ("W/TAG", true),
            ("*", true),
            ("\"other\", W/TAG", true),
            ("\"other\"\nif-none-match: TAG", true),
            ("\"other\"", false),
            ("w/TAG", false),
            ("nonsense", false),
        ] {
            let lines = format!("if-none-match: {value}");
            let (read, written) = match is_current {
                true => (Verdict::NotModified, Verdict::Failed),
                false => (Verdict::Proceed, Verdict::Proceed),
            };
            assert_eq!(verdict(&Method::GET, &lines), read, "{lines}");
            assert_eq!(verdict(&Method::HEAD, &lines), read, "{lines}");
            assert_eq!(verdict(&Method::PUT, &lines), written, "{lines}");
        }
    }

    #[test]
    fn if_unmodified_since_fails_once_the_content_is_newer() {
        for (date, expected) in [
            (BEFORE, Verdict::Failed),
            (SAME, Verdict::Proceed),
            (AFTER, Verdict::Proceed),
            ("yesterday", Verdict::Proceed),
        ] {
            let lines = format!("if-unmodified-since: {date}");
            assert_eq!(verdict(&Method::GET, &lines), expected, "{date}");
            assert_eq!(verdict(&Method::PUT, &lines), expected, "{date}");
        }
    }

    #[test]
    fn if_modified_since_spares_a_read_of_what_is_not_newer() {
        for (date, expected) in [
            (BEFORE, Verdict::Proceed),
            (SAME, Verdict::NotModified),
            (AFTER, Verdict::NotModified),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Verdict::NotModified),
            ("Sun Nov  6 08:49:37 1994", Verdict::NotModified),
            ("Sun, 06 Nov 1994 08:49:37 CET", Verdict::Proceed),
            ("784111777", Verdict::Proceed),
        ] {
            let lines = format!("if-modified-since: {date}");
            assert_eq!(verdict(&Method::GET, &lines), expected, "{date}");
            assert_eq!(verdict(&Method::HEAD, &lines), expected, "{date}");
            assert_eq!(verdict(&Method::POST, &lines), Verdict::Proceed, "{date}");
        }
    }

    #[test]
    fn a_date_given_twice_is_ignored() {
        let since = format!("if-modified-since: {SAME}\nif-modified-since: {SAME}");
        assert_eq!(verdict(&Method::GET, &since), Verdict::Proceed);
        let unmodified = format!("if-unmodified-since: {BEFORE}\nif-unmodified-since: {BEFORE}");
        assert_eq!(verdict(&Method::GET, &unmodified), Verdict::Proceed);
    }

    #[test]
    fn dates_are_ignored_where_the_own_date_is_unknown() {
        for name in ["if-modified-since", "if-unmodified-since"] {
            for date in [BEFORE, SAME, AFTER] {
                let lines = format!("{name}: {date}");
                assert_eq!(
                    verdict_without_date(&Method::GET, &lines),
                    Verdict::Proceed,
                    "{lines}"
                );
            }
        }
    }

    #[test]
    fn tags_outrank_dates() {
        for (lines, expected) in [
            (
                format!("if-match: TAG\nif-unmodified-since: {BEFORE}"),
                Verdict::Proceed,
            ),
            (
                format!("if-match: \"other\"\nif-unmodified-since: {AFTER}"),
                Verdict::Failed,
            ),
            (
                format!("if-none-match: TAG\nif-modified-since: {BEFORE}"),
                Verdict::NotModified,
            ),
            (
                format!("if-none-match: \"other\"\nif-modified-since: {AFTER}"),
                Verdict::Proceed,
            ),
        ] {
            assert_eq!(verdict(&Method::GET, &lines), expected, "{lines}");
        }
    }

    #[test]
    fn failing_outranks_not_modified() {
        for failing in [
            "if-match: \"other\"",
            &format!("if-unmodified-since: {BEFORE}"),
        ] {
            for unmodified in ["if-none-match: TAG", &format!("if-modified-since: {AFTER}")] {
                let lines = format!("{failing}\n{unmodified}");
                assert_eq!(verdict(&Method::GET, &lines), Verdict::Failed, "{lines}");
            }
        }
        let both = "if-match: TAG\nif-none-match: TAG";
        assert_eq!(verdict(&Method::GET, both), Verdict::NotModified);
    }

    #[test]
    fn without_if_range_a_range_counts() {
        assert!(range_counts(&HeaderMap::new(), &etag(), None));
    }

    #[test]
    fn if_range_takes_the_strong_tag_alone() {
        let date = last_modified();
        assert!(counts("TAG", Some(&date)));
        for not_it in [
            "W/TAG",
            "\"other\"",
            "*",
            "TAG, \"other\"",
            "TAG x",
            "\"",
            "x",
        ] {
            assert!(!counts(not_it, Some(&date)), "{not_it}");
        }
    }

    #[test]
    fn if_range_takes_the_exact_date_alone() {
        let date = last_modified();
        assert!(counts(SAME, Some(&date)));
        assert!(!counts(BEFORE, Some(&date)));
        assert!(!counts(AFTER, Some(&date)));
        assert!(!counts(SAME, None));
        assert!(!counts("yesterday", None));
    }

    #[test]
    fn if_range_given_twice_never_holds() {
        let headers = asking("if-range: TAG\nif-range: TAG");
        assert!(!range_counts(&headers, &etag(), None));
    }

    proptest! {
        #[test]
        fn a_list_of_tags_is_read_back(
            tags in proptest::collection::vec(("(W/)?", "\"[!#-~]{0,8}\""), 0..6),
            separator in "[ \t]{0,2},[ \t,]{0,3}",
        ) {
            let texts: Vec<_> = tags.iter().map(|(weak, opaque)| format!("{weak}{opaque}")).collect();
            let list = texts.join(&separator);
            let read: Vec<_> = entity_tags(list.as_bytes())
                .map(|tag| (if tag.weak { "W/" } else { "" }.to_owned(), String::from_utf8(tag.opaque.to_vec()).unwrap()))
                .collect();
            prop_assert_eq!(read, tags);
        }

        #[test]
        fn any_field_has_a_verdict(
            name in "if-(none-)?match|if-(un)?modified-since|if-range",
            value in prop_oneof!["[\t -~]{0,40}", "(W/|\"|,| |a){0,20}"],
        ) {
            let headers = HeaderMap::from_iter([(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(&value).unwrap(),
            )]);
            // Nothing so short names the current tag; only `*` is true of everything.
            let verdict = preconditions(&Method::PUT, &headers, &etag(), None);
            let expected = match (name.as_str(), value == "*") {
                ("if-match", false) | ("if-none-match", true) => Verdict::Failed,
                _ => Verdict::Proceed,
            };
            prop_assert_eq!(verdict, expected);
            prop_assert_eq!(range_counts(&headers, &etag(), None), name != "if-range");
        }
    }
}
