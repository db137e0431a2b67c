//! `pilotlight ledger`

use std::time::{Duration, SystemTime};

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::Session;
use crate::client::{Ask, escaped};
use crate::config::parse_duration;
use crate::error::Error;
use crate::table::{Table, cell, printable};

/// How often a followed ledger is asked for more.
const PAUSE: Duration = Duration::from_secs(1);

/// Fetches shown before following, unless `--limit` says otherwise.
const BEFORE_FOLLOWING: usize = 10;

/// Show who fetched what, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pilotlight ledger --node n4 --since 1h
  pilotlight ledger --status 4xx --limit 20
  pilotlight ledger --follow")]
pub(crate) struct Ledger {
    /// Only what this node fetched
    #[arg(long)]
    node: Option<String>,
    /// Only from this time on: 2026-11-22T10:00:00Z, 2026-11-22, or ago: 10m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only until this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Only with this status: 404, or 4xx for a class
    #[arg(long)]
    status: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Go on showing fetches as they happen, oldest first
    #[arg(short, long, conflicts_with = "until")]
    follow: bool,
}

impl Ledger {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        if self.follow {
            return self.follow(session).await;
        }
        let page = session
            .client
            .ask(Ask::get(self.path(self.limit, None)))
            .await?;
        session.output.show(&page.data, table)?;
        report(&page.gaps);
        Ok(())
    }

    async fn follow(&self, session: &mut Session) -> Result<(), Error> {
        let limit = self.limit.unwrap_or(BEFORE_FOLLOWING);
        let mut page = session
            .client
            .ask(Ask::get(self.path(Some(limit), None)))
            .await?;
        if let Value::Array(newest_first) = &mut page.data {
            newest_first.reverse();
        }
        let mut last = 0;
        loop {
            for fetch in page.data.as_array().into_iter().flatten() {
                match session.output.is_json() {
                    true => session.output.bytes(format!("{fetch}\n").as_bytes())?,
                    false => session.output.bytes(line(fetch).as_bytes())?,
                }
            }
            report(&page.gaps);
            let fetches = page.data.as_array().into_iter().flatten();
            let ids = fetches
                .chain(&page.gaps)
                .filter_map(|entry| entry["id"].as_i64());
            last = ids.fold(last, i64::max);
            tokio::time::sleep(PAUSE).await;
            page = session
                .client
                .ask(Ask::get(self.path(None, Some(last))))
                .await?;
        }
    }

    fn path(&self, limit: Option<usize>, after: Option<i64>) -> String {
        let parameters = [
            ("node", self.node.clone()),
            ("since", self.since.map(|time| time.to_string())),
            ("until", self.until.map(|time| time.to_string())),
            ("status", self.status.clone()),
            ("limit", limit.map(|limit| limit.to_string())),
            ("after", after.map(|id| id.to_string())),
        ];
        let given: Vec<String> = parameters
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", escaped(&value?))))
            .collect();
        match given.is_empty() {
            true => "/ledger".to_owned(),
            false => format!("/ledger?{}", given.join("&")),
        }
    }
}

/// Says on standard error where the ledger has gaps.
fn report(gaps: &[Value]) {
    for gap in gaps {
        let [count, since, until] =
            ["count", "since", "until"].map(|field| printable(&cell(&gap[field])));
        eprintln!("pilotlight: {count} fetches between {since} and {until} were not recorded");
    }
}

fn table(fetches: &Value) -> Table {
    let mut table = Table::new([
        "time", "node", "address", "path", "status", "sent", "ms", "reason",
    ]);
    for fetch in fetches.as_array().into_iter().flatten() {
        table.row(cells(fetch));
    }
    table
}

fn cells(fetch: &Value) -> [String; 8] {
    let (bytes, sent) = (cell(&fetch["bytes"]), cell(&fetch["sent"]));
    let sent = match fetch["complete"] {
        Value::Bool(false) => format!("{sent} of {bytes}"),
        _ => sent,
    };
    [
        cell(&fetch["time"]),
        cell(&fetch["node"]),
        cell(&fetch["address"]),
        cell(&fetch["path"]),
        cell(&fetch["status"]),
        sent,
        cell(&fetch["ms"]),
        cell(&fetch["reason"]),
    ]
}

/// One fetch in a line, with the widths that most need.
fn line(fetch: &Value) -> String {
    let [time, node, address, path, status, sent, ms, reason] =
        cells(fetch).map(|cell| printable(&cell));
    let node = if node.is_empty() { "-" } else { &node };
    let line =
        format!("{time}  {node:12} {address:15} {status} {sent:>7} {ms:>8} ms  {path}  {reason}");
    format!("{}\n", line.trim_end())
}

/// Reads a time: RFC 3339, a day (from its beginning, UTC), or how long ago.
fn time(text: &str) -> Result<Timestamp, String> {
    let wrong = || {
        format!(
            "{text:?} is not a time such as 2026-11-22T10:00:00Z, 2026-11-22, or 10m for ten minutes ago"
        )
    };
    if let Ok(ago) = parse_duration(text) {
        let time = SystemTime::now().checked_sub(ago).ok_or_else(wrong)?;
        return Timestamp::try_from(time).map_err(|_| wrong());
    }
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| wrong())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_read() {
        assert_eq!(
            time("2026-11-22T10:00:00+01:00").unwrap().to_string(),
            "2026-11-22T09:00:00Z"
        );
        assert_eq!(
            time("2026-11-22").unwrap().to_string(),
            "2026-11-22T00:00:00Z"
        );
        let ago = Timestamp::now().as_second() - time("10m").unwrap().as_second();
        assert!((600..=660).contains(&ago), "{ago}");
        for text in ["", "yesterday", "10", "2026-13-01", "99999999d"] {
            assert!(time(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn only_what_was_given_is_asked() {
        let mut ledger = Ledger {
            node: None,
            since: None,
            until: None,
            status: None,
            limit: None,
            follow: false,
        };
        assert_eq!(ledger.path(None, None), "/ledger");
        ledger.node = Some("n 4".to_owned());
        ledger.since = Some("2026-11-22T00:00:00Z".parse().unwrap());
        assert_eq!(
            ledger.path(Some(3), Some(17)),
            "/ledger?node=n%204&since=2026-11-22T00%3A00%3A00Z&limit=3&after=17"
        );
    }

    #[test]
    fn a_followed_fetch_is_one_line() {
        let fetch = json!({"time": "2026-11-22T10:00:00.000Z", "node": null, "address": "10.0.0.9", "path": "/kickstart/a\n.ks",
            "status": 404, "bytes": 100, "sent": 40, "complete": false, "ms": 0.2, "reason": "no node has address 10.0.0.9"});
        assert_eq!(
            line(&fetch),
            "2026-11-22T10:00:00.000Z  -            10.0.0.9        404 40 of 100      0.2 ms  /kickstart/a\\n.ks  \
             no node has address 10.0.0.9\n"
        );
    }
}
