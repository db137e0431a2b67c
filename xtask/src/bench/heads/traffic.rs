//! What heads and their etcds send to each other.

use std::{collections::BTreeMap, process::Command, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::cluster::Heads;
use crate::bench::{api::Api, cluster};

/// The ports of an etcd: for clients, and for its like.
const CLIENTS: u16 = 2379;
const PEERS: u16 = 2380;

/// How long nothing is written, to know what is sent all the same.
const QUIET: Duration = Duration::from_secs(5);

/// Bytes that all of three heads and their etcds sent for one change.
pub(crate) struct Traffic {
    /// What etcds sent to heads: the answers to commits, and the change to each watch.
    pub(crate) from_etcd: f64,
    /// What heads sent to etcds.
    pub(crate) to_etcd: f64,
    /// What etcds sent to each other.
    pub(crate) between_etcds: f64,
    /// All together when nothing changes, a second.
    pub(crate) quiet: f64,
}

/// Changes nodes so often, one after the other.
pub(crate) fn measure(heads: &Heads<'_>, changes: usize) -> Result<Traffic> {
    let before = sent()?;
    thread::sleep(QUIET);
    let quiet = since(&before, &sent()?);

    let mut api = Api::connect(heads.head(0)?.socket())?;
    let before = sent()?;
    let began = std::time::Instant::now();
    for change in 0..changes {
        let body = json!({"attributes": {"changed": change.to_string()}}).to_string();
        api.send(
            "PATCH",
            &format!("/node/{}", cluster::name(change)),
            body.as_bytes(),
        )?;
    }
    let quiets = began.elapsed().as_secs_f64() / QUIET.as_secs_f64();
    let busy = since(&before, &sent()?);
    let for_one = |which: fn(&Sent) -> u64| {
        (which(&busy) as f64 - which(&quiet) as f64 * quiets) / changes as f64
    };
    Ok(Traffic {
        from_etcd: for_one(|sent| sent.from_etcd),
        to_etcd: for_one(|sent| sent.to_etcd),
        between_etcds: for_one(|sent| sent.between_etcds),
        quiet: (quiet.from_etcd + quiet.to_etcd + quiet.between_etcds) as f64 / QUIET.as_secs_f64(),
    })
}

/// Bytes sent on some connections.
#[derive(Debug, Default, PartialEq)]
struct Sent {
    from_etcd: u64,
    to_etcd: u64,
    between_etcds: u64,
}

/// What was sent so far on each connection, by its addresses.
fn sent() -> Result<BTreeMap<(String, String), u64>> {
    let output = Command::new("ss")
        .args(["-tinHO", "state", "established"])
        .output()
        .context("cannot run ss (Debian package iproute2)")?;
    ensure!(output.status.success(), "ss failed");
    Ok(read(&String::from_utf8_lossy(&output.stdout)))
}

fn read(text: &str) -> BTreeMap<(String, String), u64> {
    let connection = |line: &str| {
        let mut words = line.split_whitespace().skip(2);
        let ends = (words.next()?.to_owned(), words.next()?.to_owned());
        let sent = words.find_map(|word| word.strip_prefix("bytes_sent:"))?;
        Some((ends, sent.parse().ok()?))
    };
    text.lines().filter_map(connection).collect()
}

/// What was sent between two looks. Connections that ended meanwhile do not count.
fn since(
    before: &BTreeMap<(String, String), u64>,
    after: &BTreeMap<(String, String), u64>,
) -> Sent {
    let mut sent = Sent::default();
    for (ends, bytes) in after {
        let bytes = bytes - before.get(ends).copied().unwrap_or(0);
        let (from, to) = (port(&ends.0), port(&ends.1));
        if [from, to].contains(&Some(PEERS)) {
            sent.between_etcds += bytes;
        } else if from == Some(CLIENTS) {
            sent.from_etcd += bytes;
        } else if to == Some(CLIENTS) {
            sent.to_etcd += bytes;
        }
    }
    sent
}

fn port(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ss_says_is_understood() {
        let line = |from: &str, to: &str, sent: u64| {
            format!(
                "0 0 {from} {to} cubic wscale:7,7 rto:201 bytes_sent:{sent} bytes_acked:{sent}\n"
            )
        };
        let before = read(&line("127.2.0.1:2379", "127.2.0.1:40000", 100));
        let after = [
            line("127.2.0.1:2379", "127.2.0.1:40000", 150),
            line("127.2.0.1:40000", "127.2.0.1:2379", 7),
            line("127.2.0.2:2380", "127.2.0.2:40001", 20),
            line("127.2.0.2:40001", "127.2.0.2:2380", 3),
            line("127.2.0.2:8080", "127.2.0.2:40002", 1000),
            "0 0 127.2.0.2:40003 127.2.0.2:2380 cubic\n".to_owned(),
        ];
        let expected = Sent {
            from_etcd: 50,
            to_etcd: 7,
            between_etcds: 23,
        };
        assert_eq!(since(&before, &read(&after.concat())), expected);
    }
}
