//! The `Range` field: which part of the content a client asks for (RFC 9110 §14.2).

use std::ops::Range;

use http::HeaderMap;
use http::header::RANGE;

use super::conditional::only;

/// The part of some content that a reply carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of it.
    Whole,
    /// The bytes at these positions: at least one, all inside the content.
    Part(Range<u64>),
    /// Nothing: the range lies outside the content.
    Unsatisfiable,
}

/// Selects from content of `length` bytes.
///
/// A field that is malformed, given twice, or in a unit other than bytes is ignored, as RFC 9110 §14.2 allows. So is
/// one with several ranges: no boot client asks for them, and a multipart body helps nobody else. Empty content has no
/// part to give, and is given whole.
pub(super) fn select(headers: &HeaderMap, length: u64) -> Selection {
    match only(headers, RANGE).and_then(|field| RangeSpec::parse(field.as_bytes())) {
        Some(spec) if length > 0 => spec.select(length),
        _ => Selection::Whole,
    }
}

/// One range, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RangeSpec {
    /// `first-last` or `first-`; `last` is included.
    Int { first: u64, last: Option<u64> },
    /// `-length`: that many bytes from the end.
    Suffix { length: u64 },
}

impl RangeSpec {
    fn parse(field: &[u8]) -> Option<Self> {
        let (unit, set) = field.split_at_checked(b"bytes=".len())?;
        if !unit.eq_ignore_ascii_case(b"bytes=") {
            return None;
        }
        let spec = set.trim_ascii();
        let dash = memchr::memchr(b'-', spec)?;
        match (&spec[..dash], &spec[dash + 1..]) {
            ([], length) => Some(Self::Suffix {
                length: position(length)?,
            }),
            (first, []) => Some(Self::Int {
                first: position(first)?,
                last: None,
            }),
            (first, last) => {
                let (first, last) = (position(first)?, position(last)?);
                (first <= last).then_some(Self::Int {
                    first,
                    last: Some(last),
                })
            }
        }
    }

    fn select(self, length: u64) -> Selection {
        let (start, end) = match self {
            Self::Int { first, last: None } => (first, length),
            Self::Int {
                first,
                last: Some(last),
            } => (first, last.saturating_add(1).min(length)),
            Self::Suffix { length: suffix } => (length.saturating_sub(suffix), length),
        };
        if start < end {
            Selection::Part(start..end)
        } else {
            Selection::Unsatisfiable
        }
    }
}

/// A decimal number; one too big for 64 bits is beyond the end of any content, and so is the biggest there is.
fn position(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::Selection::{Part, Unsatisfiable, Whole};
    use super::*;

    fn of_ten(range: &str) -> Selection {
        of(range, 10)
    }

    fn of(range: &str, length: u64) -> Selection {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_str(range).unwrap())]);
        select(&headers, length)
    }

    #[test]
    fn no_field_is_whole() {
        assert_eq!(select(&HeaderMap::new(), 10), Whole);
    }

    #[test]
    fn first_and_last_are_both_included() {
        assert_eq!(of_ten("bytes=0-0"), Part(0..1));
        assert_eq!(of_ten("bytes=2-4"), Part(2..5));
        assert_eq!(of_ten("bytes=0-9"), Part(0..10));
        assert_eq!(of_ten("bytes=9-9"), Part(9..10));
    }

    #[test]
    fn an_open_end_is_the_end() {
        assert_eq!(of_ten("bytes=0-"), Part(0..10));
        assert_eq!(of_ten("bytes=9-"), Part(9..10));
    }

    #[test]
    fn a_last_beyond_the_end_is_the_end() {
        assert_eq!(of_ten("bytes=8-10"), Part(8..10));
        assert_eq!(of_ten("bytes=8-18446744073709551615"), Part(8..10));
        assert_eq!(of_ten("bytes=8-99999999999999999999999999"), Part(8..10));
    }

    #[test]
    fn a_suffix_counts_from_the_end() {
        assert_eq!(of_ten("bytes=-1"), Part(9..10));
        assert_eq!(of_ten("bytes=-10"), Part(0..10));
    }

    #[test]
    fn a_suffix_longer_than_the_content_is_all_of_it() {
        assert_eq!(of_ten("bytes=-11"), Part(0..10));
        assert_eq!(of_ten("bytes=-99999999999999999999999999"), Part(0..10));
    }

    #[test]
    fn a_first_beyond_the_end_is_unsatisfiable() {
        assert_eq!(of_ten("bytes=10-"), Unsatisfiable);
        assert_eq!(of_ten("bytes=10-20"), Unsatisfiable);
        assert_eq!(of_ten("bytes=18446744073709551615-"), Unsatisfiable);
        assert_eq!(of_ten("bytes=99999999999999999999999999-"), Unsatisfiable);
        assert_eq!(of("bytes=18446744073709551615-", u64::MAX), Unsatisfiable);
    }

    #[test]
    fn a_suffix_of_nothing_is_unsatisfiable() {
        assert_eq!(of_ten("bytes=-0"), Unsatisfiable);
        assert_eq!(of_ten("bytes=-000"), Unsatisfiable);
    }

    #[test]
    fn empty_content_is_whole() {
        for range in ["bytes=0-", "bytes=0-0", "bytes=5-", "bytes=-1", "bytes=-0"] {
            assert_eq!(of(range, 0), Whole, "{range}");
        }
    }

    #[test]
    fn the_unit_has_no_case() {
        assert_eq!(of_ten("Bytes=2-4"), Part(2..5));
        assert_eq!(of_ten("BYTES=-1"), Part(9..10));
    }

    #[test]
    fn space_around_the_range_is_nothing() {
        assert_eq!(of_ten("bytes= 2-4"), Part(2..5));
        assert_eq!(of_ten("bytes=\t2-4 "), Part(2..5));
    }

    #[test]
    fn another_unit_is_ignored() {
        assert_eq!(of_ten("lines=2-4"), Whole);
        assert_eq!(of_ten("bytes2-4"), Whole);
        assert_eq!(of_ten("byte"), Whole);
    }

    #[test]
    fn malformed_is_ignored() {
        for range in [
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=a-b",
            "bytes=2-b",
            "bytes=--5",
            "bytes=2--4",
            "bytes=+2-4",
            "bytes=2-+4",
            "bytes=2 - 4",
            "bytes=0x2-4",
            "bytes =2-4",
            "bytes=2-4;",
            "",
        ] {
            assert_eq!(of_ten(range), Whole, "{range}");
        }
    }

    #[test]
    fn last_before_first_is_ignored() {
        assert_eq!(of_ten("bytes=5-2"), Whole);
        assert_eq!(of_ten("bytes=50-20"), Whole);
    }

    #[test]
    fn several_ranges_are_ignored() {
        assert_eq!(of_ten("bytes=0-1,4-5"), Whole);
        assert_eq!(of_ten("bytes=0-1, -1"), Whole);
        assert_eq!(of_ten("bytes=0-1,"), Whole);
    }

    #[test]
    fn a_field_given_twice_is_ignored() {
        let value = HeaderValue::from_static("bytes=0-1");
        let mut headers = HeaderMap::from_iter([(RANGE, value.clone())]);
        headers.append(RANGE, value);
        assert_eq!(select(&headers, 10), Whole);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_outside(
            range in prop_oneof!["[\t -~]{0,24}", "bytes=[0-9]{0,24}-[0-9]{0,24}"],
            length: u64,
        ) {
            if let Part(range) = of(&range, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }

        #[test]
        fn a_range_inside_is_selected_as_asked(first: u64, more: u64, length in 1_u64..) {
            let first = first % length;
            let last = first + more % (length - first);
            prop_assert_eq!(of(&format!("bytes={first}-{last}"), length), Part(first..last + 1));
            prop_assert_eq!(of(&format!("bytes=-{}", length - first), length), Part(first..length));
        }
    }
}
