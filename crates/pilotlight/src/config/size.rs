//! Sizes as people write them: `512KB` (powers of 1000) and `4MiB` (powers of 1024).

use serde::Serializer;

/// Unit and its bytes; for writing, the first that divides wins.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads a whole number of bytes with a unit.
///
/// # Errors
/// One line that says what a size looks like.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    UNITS
        .iter()
        .find(|(name, _)| *name == unit.trim_start())
        .and_then(|(_, scale)| number.parse::<u64>().ok()?.checked_mul(*scale))
        .ok_or_else(|| format!("{text:?} is not a size such as \"512KB\", \"4MiB\" or \"1GiB\""))
}

/// Writes a size exactly, so that [`parse`] reads it again.
pub(crate) fn format(bytes: u64) -> String {
    let (unit, scale) = UNITS
        .into_iter()
        .find(|(_, scale)| bytes > 0 && bytes.is_multiple_of(*scale))
        .unwrap_or(("B", 1));
    format!("{}{unit}", bytes / scale)
}

// Serde hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(super) fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*bytes))
}

pub(super) fn serialize_option<S: Serializer>(
    bytes: &Option<u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => serializer.serialize_some(&format(*bytes)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimal_and_binary_units_differ() {
        assert_eq!(parse("512KB").unwrap(), 512_000);
        assert_eq!(parse("4MiB").unwrap(), 4 << 20);
        assert_eq!(parse("1 GiB").unwrap(), 1 << 30);
        assert_eq!(parse("17B").unwrap(), 17);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "4",
            "MiB",
            "4M",
            "-4MiB",
            "1.5GiB",
            "4mib",
            "99999999TiB",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(bytes: u64) {
            prop_assert_eq!(parse(&format(bytes)).unwrap(), bytes);
        }
    }
}
