//! What may be asked of the ledger, and what comes back.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use model::Uid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::{Entry, milliseconds};

/// Which fetches are asked for.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Only fetches by this node.
    pub node: Option<Uid>,
    /// Only fetches that ended at this time or later.
    pub since: Option<Timestamp>,
    /// Only fetches that ended before this time.
    pub until: Option<Timestamp>,
    /// Only fetches answered so.
    pub status: Option<StatusFilter>,
    /// At most so many; more than [`Filter::MOST`] are never given.
    pub limit: usize,
    /// From where.
    pub position: Position,
}

impl Filter {
    /// The largest [`limit`](Self::limit).
    pub const MOST: usize = 10_000;
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            node: None,
            since: None,
            until: None,
            status: None,
            limit: 100,
            position: Position::Newest,
        }
    }
}

/// Where a page starts, and which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The newest fetch first.
    Newest,
    /// Newest first, after the page that gave this cursor.
    Before(Cursor),
    /// Oldest first, after the entry (or gap) of this id: follows the ledger as it grows.
    After(i64),
}

/// Where the next page begins. Opaque text outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Microseconds since 1970 of the last entry given.
    pub(super) time: i64,
    /// Its id.
    pub(super) id: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time, self.id)
    }
}

/// A text is not a [`Cursor`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a cursor of the ledger")]
pub struct NotACursor(String);

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        text.split_once('.')
            .and_then(|(time, id)| {
                Some(Self {
                    time: time.parse().ok()?,
                    id: id.parse().ok()?,
                })
            })
            .ok_or_else(|| NotACursor(text.to_owned()))
    }
}

/// One HTTP status, as in `404`, or a class of them, as in `4xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusFilter {
    /// The lowest status that passes.
    pub(super) from: u16,
    /// The highest.
    pub(super) to: u16,
}

/// A text is not a [`StatusFilter`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a status such as 404 nor a class such as 4xx")]
pub struct NotAStatus(String);

impl FromStr for StatusFilter {
    type Err = NotAStatus;

    fn from_str(text: &str) -> Result<Self, NotAStatus> {
        let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
        let range = match *text.as_bytes() {
            [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => {
                digit(class).map(|class| (class * 100, class * 100 + 99))
            }
            [b'1'..=b'5', ten, one] if digit(ten).and(digit(one)).is_some() => {
                text.parse().ok().map(|code| (code, code))
            }
            _ => None,
        };
        range
            .map(|(from, to)| Self { from, to })
            .ok_or_else(|| NotAStatus(text.to_owned()))
    }
}

/// What the ledger answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The fetches, in the order of the [`Position`].
    pub entries: Vec<Entry>,
    /// Where fetches are missing in the stretch of time that the page covers, in the same order.
    pub gaps: Vec<Gap>,
    /// Where the next page begins, when newest first and there may be more.
    pub next: Option<Cursor>,
}

/// Fetches that were served but not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// Grows together with the ids of entries.
    pub id: i64,
    /// None is missing before: RFC 3339, UTC, milliseconds.
    #[serde(serialize_with = "milliseconds")]
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// None of these is missing after.
    #[serde(serialize_with = "milliseconds")]
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// How many.
    pub count: u64,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        assert_eq!("404".parse(), Ok(StatusFilter { from: 404, to: 404 }));
        assert_eq!("4xx".parse(), Ok(StatusFilter { from: 400, to: 499 }));
        for bad in [
            "", "4", "4x", "xxx", "40x", "600", "0xx", "4xxx", "+04", "4é",
        ] {
            assert_eq!(bad.parse::<StatusFilter>(), Err(NotAStatus(bad.to_owned())));
        }
    }

    #[test]
    fn a_cursor_is_its_text() {
        let cursor = Cursor {
            time: 1_795_000_000_000_000,
            id: 12,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "12", "1.", ".1", "1.2.3", "a.b"] {
            assert_eq!(bad.parse::<Cursor>(), Err(NotACursor(bad.to_owned())));
        }
    }
}
