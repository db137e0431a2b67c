//! How soon the other heads serve what one has written.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use serde_json::json;

use super::cluster::Heads;
use crate::bench::{api::Api, cluster::NodeFile, storm};

/// How long a write may take to be seen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Times since a write was sent.
pub(crate) struct Seen {
    /// Until it was acknowledged.
    pub(crate) acknowledged: Vec<Duration>,
    /// Until the last of the other heads rendered it.
    pub(crate) everywhere: Vec<Duration>,
}

/// Writes so often, each time by the next head, and watches a kickstart of the others.
pub(crate) fn measure(heads: &Heads<'_>, writes: usize) -> Result<Seen> {
    let mut seen = Seen {
        acknowledged: Vec::new(),
        everywhere: Vec::new(),
    };
    for write in 0..writes {
        let writer = write % heads.count();
        let value = format!("news-{write}-end");
        let body = json!({"attributes": {"ntp": value}}).to_string();
        let mut api = Api::connect(heads.head(writer)?.socket())?;
        let began = Instant::now();
        let is_served = |head: usize| -> Result<Duration> {
            let port = heads.head(head)?.port();
            loop {
                let kickstart = storm::fetch(port, head, NodeFile::Kickstart)?;
                let is_there = kickstart
                    .windows(value.len())
                    .any(|part| part == value.as_bytes());
                if is_there {
                    return Ok(began.elapsed());
                }
                ensure!(began.elapsed() < PATIENCE, "a write was never seen");
            }
        };
        let everywhere = thread::scope(|scope| {
            let others = (0..heads.count()).filter(|head| *head != writer);
            let others: Vec<_> = others
                .map(|head| scope.spawn(move || is_served(head)))
                .collect();
            api.send("PATCH", "/attrib/site", body.as_bytes())?;
            seen.acknowledged.push(began.elapsed());
            let mut last = Duration::ZERO;
            for other in others {
                last = last.max(other.join().map_err(|_| anyhow!("a client panicked"))??);
            }
            anyhow::Ok(last)
        })?;
        seen.everywhere.push(everywhere);
    }
    seen.acknowledged.sort_unstable();
    seen.everywhere.sort_unstable();
    Ok(seen)
}
