//! Durations as people write them: `250ms`, `30s`, `10m`, `1h`, `30d`.

use std::time::Duration;

use serde::Serializer;

/// Unit and its milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a whole number with a unit of `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// One line that says what a duration looks like.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let milliseconds = UNITS
        .iter()
        .find(|(name, _)| *name == unit.trim_start())
        .and_then(|(_, scale)| number.parse::<u64>().ok()?.checked_mul(*scale));
    milliseconds.map(Duration::from_millis).ok_or_else(|| {
        format!("{text:?} is not a duration such as \"250ms\", \"30s\", \"10m\", \"1h\" or \"30d\"")
    })
}

/// Writes a duration of whole milliseconds so that [`parse`] reads it again.
pub(crate) fn format(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let (unit, scale) = UNITS
        .into_iter()
        .find(|(_, scale)| milliseconds > 0 && milliseconds.is_multiple_of(u128::from(*scale)))
        .unwrap_or(("s", 1000));
    format!("{}{unit}", milliseconds / u128::from(scale))
}

pub(super) fn serialize<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_unit_is_read() {
        assert_eq!(parse("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse("30s").unwrap(), Duration::from_secs(30));
        assert_eq!(parse("10m").unwrap(), Duration::from_secs(600));
        assert_eq!(parse("1h").unwrap(), Duration::from_secs(3600));
        assert_eq!(parse("30 d").unwrap(), Duration::from_secs(30 * 86400));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1.5h",
            "1h30m",
            "30sec",
            "99999999999999999d",
            "٣s",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(milliseconds in 0..u64::MAX / 2) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&format(duration)).unwrap(), duration);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
