//! A [`Fetch`] as a row of the `fetch` table.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use model::Uid;
use rusqlite::{
    Row, Statement, ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};

use super::record::{Fetch, How, Recognised};

/// Every column of `fetch`, in the order of [`insert`] and [`read`].
pub(super) const COLUMNS: &str = "id, time, node_uid, node, how, address, path, status, bytes, sent, complete, sha256, elapsed, \
                       reason, file_revision, node_revision";

/// The statement of [`insert`].
pub(super) fn insertion() -> String {
    format!(
        "INSERT INTO fetch ({COLUMNS}) VALUES (?{})",
        ", ?".repeat(COLUMNS.matches(',').count())
    )
}

pub(super) fn insert(
    insertion: &mut Statement<'_>,
    id: i64,
    fetch: &Fetch,
) -> rusqlite::Result<()> {
    let node = fetch.node.as_ref();
    let address = match fetch.address {
        IpAddr::V4(v4) => Octets::V4(v4.octets()),
        IpAddr::V6(v6) => Octets::V6(v6.octets()),
    };
    insertion.execute(rusqlite::params![
        id,
        fetch.time.as_microsecond(),
        node.map(|node| node.uid.as_bytes()),
        node.map(|node| &*node.name),
        node.map(|node| node.how),
        address,
        fetch.path,
        fetch.status,
        integer(fetch.bytes),
        integer(fetch.sent),
        fetch.complete,
        fetch.sha256,
        i64::try_from(fetch.elapsed.as_micros()).unwrap_or(i64::MAX),
        fetch.reason,
        fetch.file_revision,
        fetch.node_revision.map(integer),
    ])?;
    Ok(())
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<(i64, Fetch)> {
    let node = match row.get::<_, Option<[u8; 16]>>(2)? {
        Some(uid) => Some(Recognised {
            uid: Uid::from_bytes(uid),
            name: row.get(3)?,
            how: row.get(4)?,
        }),
        None => None,
    };
    let fetch = Fetch {
        time: time(row, 1)?,
        node,
        address: row.get::<_, Octets>(5)?.into(),
        path: row.get(6)?,
        status: row.get(7)?,
        bytes: natural(row, 8)?,
        sent: natural(row, 9)?,
        complete: row.get(10)?,
        sha256: row.get(11)?,
        elapsed: Duration::from_micros(natural(row, 12)?),
        reason: row.get(13)?,
        file_revision: row.get(14)?,
        node_revision: row.get::<_, Option<i64>>(15)?.map(i64::unsigned_abs),
    };
    Ok((row.get(0)?, fetch))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let microseconds = row.get(column)?;
    Timestamp::from_microsecond(microseconds)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, microseconds))
}

/// SQLite's integers are signed; lengths and revisions never come near the limit.
pub(super) fn integer(natural: u64) -> i64 {
    i64::try_from(natural).unwrap_or(i64::MAX)
}

pub(super) fn natural(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let integer: i64 = row.get(column)?;
    u64::try_from(integer).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, integer))
}

/// An IP address as a blob of 4 or 16 bytes.
enum Octets {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl From<Octets> for IpAddr {
    fn from(octets: Octets) -> Self {
        match octets {
            Octets::V4(v4) => v4.into(),
            Octets::V6(v6) => v6.into(),
        }
    }
}

impl ToSql for Octets {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::V4(v4) => v4.to_sql(),
            Self::V6(v6) => v6.to_sql(),
        }
    }
}

impl FromSql for Octets {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 4]>::column_result(value)
            .map(Self::V4)
            .or_else(|_| <[u8; 16]>::column_result(value).map(Self::V6))
    }
}

impl ToSql for How {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let code: i64 = match self {
            Self::Address => 1,
            Self::MacHeader => 2,
            Self::Token => 3,
        };
        Ok(code.into())
    }
}

impl FromSql for How {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            1 => Ok(Self::Address),
            2 => Ok(Self::MacHeader),
            3 => Ok(Self::Token),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}
