//! [`SyncPeriod`]: how often a git repository is asked for news.

use std::{fmt, ops::RangeInclusive, str::FromStr, time::Duration};

use crate::Invalid;

/// Units and their seconds, longest first.
const UNITS: [(&str, u64); 4] = [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60), ("s", 1)];
/// Five seconds to seven days: neither a flood of questions nor a repository that seems forgotten.
const SECONDS: RangeInclusive<u64> = 5..=7 * 24 * 60 * 60;

/// A time of whole seconds, from `5s` to `7d`. It is written with the largest unit that leaves no fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SyncPeriod {
    seconds: u64,
}

impl SyncPeriod {
    /// The time itself.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl FromStr for SyncPeriod {
    type Err = Invalid;

    /// Reads a whole number with a unit of `s`, `m`, `h` or `d`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
        UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, scale)| number.parse::<u64>().ok()?.checked_mul(*scale))
            .filter(|seconds| SECONDS.contains(seconds))
            .map(|seconds| Self { seconds })
            .ok_or_else(|| Invalid::SyncPeriod(text.to_owned()))
    }
}

impl fmt::Display for SyncPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) = UNITS
            .into_iter()
            .find(|(_, scale)| self.seconds.is_multiple_of(*scale))
            .unwrap_or(("s", 1));
        write!(f, "{}{unit}", self.seconds / scale)
    }
}

impl TryFrom<String> for SyncPeriod {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<SyncPeriod> for String {
    fn from(period: SyncPeriod) -> Self {
        period.to_string()
    }
}

impl schemars::JsonSchema for SyncPeriod {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SyncPeriod".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9]+[smhd]$", "examples": ["5m"],
            "description": "From 5s to 7d; answered with the largest unit that leaves no fraction."})
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_is_read_and_written_as_short_as_can_be() {
        for (text, seconds, written) in [
            ("5s", 5, "5s"),
            ("90s", 90, "90s"),
            ("300s", 300, "5m"),
            ("05m", 300, "5m"),
            ("60m", 3600, "1h"),
            ("168h", 604_800, "7d"),
        ] {
            let period: SyncPeriod = text.parse().unwrap();
            assert_eq!(period.duration(), Duration::from_secs(seconds), "{text}");
            assert_eq!(period.to_string(), written);
        }
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "+5m",
            "-5m",
            "1.5h",
            "1h30m",
            "5 m",
            "5M",
            "5min",
            "500ms",
            "4s",
            "0d",
            "8d",
            "604801s",
            "99999999999999999d",
            "99999999999999999999s",
            "٣m",
        ] {
            let fault = text.parse::<SyncPeriod>().unwrap_err().to_string();
            assert!(
                fault.starts_with(&format!("sync_period: {text:?} is none from")),
                "{fault}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_period_is_read_as_it_is_written(seconds in SECONDS) {
            let period = SyncPeriod { seconds };
            prop_assert_eq!(period.to_string().parse::<SyncPeriod>().unwrap(), period);
        }
    }
}
