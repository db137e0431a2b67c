//! Validators: how content is told from what it was before (RFC 9110 §8.8).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use httpdate::HttpDate;

/// A strong entity tag (RFC 9110 §8.8.3): equal tags mean equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(HeaderValue);

impl ETag {
    /// The tag of bytes with this SHA-256: its first 32 hex digits. Made of nothing else, it is the same on every head.
    #[must_use]
    pub fn of_sha256(digest: &[u8; 32]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";

        let mut tag = [b'"'; 34];
        for (pair, byte) in tag[1..33].chunks_exact_mut(2).zip(digest) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Self(HeaderValue::from_bytes(&tag).expect("quotes and hex digits are ASCII"))
    }

    /// The tag as it stands in the field, quotes included.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// What stands between the quotes.
    #[must_use]
    pub fn opaque(&self) -> &str {
        // It was made of ASCII between quotes.
        self.0.to_str().unwrap_or_default().trim_matches('"')
    }

    pub(super) fn into_field(self) -> HeaderValue {
        self.0
    }
}

/// When content last changed, in whole seconds (RFC 9110 §8.8.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastModified {
    date: HttpDate,
    // Kept, since writing a date costs more than all the rest of a reply.
    field: HeaderValue,
}

impl LastModified {
    /// The date for a file's modification time. `None` for a time that HTTP cannot write: before 1970 or after 9999.
    #[must_use]
    pub fn of(modified: SystemTime) -> Option<Self> {
        const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);

        let age = modified.duration_since(UNIX_EPOCH).ok()?;
        if age >= YEAR_10000 {
            return None;
        }
        let date = HttpDate::from(modified);
        let field = HeaderValue::try_from(date.to_string()).ok()?;
        Some(Self { date, field })
    }

    /// Whether the date's second is over. Until then the content may change again under the same date, which would
    /// make a download resumed by it a mix of two files (RFC 9110 §8.8.2.2); and a date to come may not be sent at all
    /// (§8.8.2.1).
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        now.duration_since(SystemTime::from(self.date))
            .is_ok_and(|age| age >= Duration::from_secs(1))
    }

    pub(super) fn date(&self) -> HttpDate {
        self.date
    }

    pub(super) fn into_field(self) -> HeaderValue {
        self.field
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_first_half_of_the_digest_in_hex() {
        let mut digest = [0xff; 32];
        digest[..16].copy_from_slice(&[
            0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0, 1, 2, 3, 4, 5, 6, 7,
        ]);
        assert_eq!(
            ETag::of_sha256(&digest).as_bytes(),
            b"\"0123456789abcdef0001020304050607\""
        );
    }

    #[test]
    fn a_date_drops_the_fraction_of_its_second() {
        let date = LastModified::of(UNIX_EPOCH + Duration::new(784_111_777, 999_999_999)).unwrap();
        assert_eq!(date.into_field(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn what_http_cannot_write_is_no_date() {
        let year_10000 = UNIX_EPOCH + Duration::from_secs(253_402_300_800);
        assert_eq!(LastModified::of(UNIX_EPOCH - Duration::from_secs(1)), None);
        assert_eq!(LastModified::of(year_10000), None);
        let last = LastModified::of(year_10000 - Duration::from_nanos(1)).unwrap();
        assert_eq!(last.into_field(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn a_date_is_settled_once_its_second_is_over() {
        let second = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let date = LastModified::of(second + Duration::from_millis(300)).unwrap();
        assert!(!date.is_settled(second - Duration::from_secs(60)));
        assert!(!date.is_settled(second + Duration::from_millis(999)));
        assert!(date.is_settled(second + Duration::from_secs(1)));
    }
}
