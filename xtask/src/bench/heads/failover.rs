//! How soon writes go on when a head and its etcd have died.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::cluster::{Heads, wait_until};
use crate::bench::api::Api;

/// Kills one head after the other, so often in all, and lets each come back. The times until another has written, sorted.
pub(crate) fn measure(heads: &mut Heads<'_>, kills: usize) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for kill in 0..kills {
        let victim = kill % heads.count();
        for head in 0..heads.count() {
            wait_until("all are back", || is_whole(heads, head).unwrap_or(false))?;
        }
        heads.kill(victim)?;
        let died = Instant::now();
        let body = json!({"attributes": {"ntp": format!("kill-{kill}")}}).to_string();
        let mut next = victim;
        wait_until("writes go on", || {
            next = (next + 1) % heads.count();
            next != victim && write(heads, next, body.as_bytes()).is_ok()
        })?;
        times.push(died.elapsed());
        println!("  {:.2?}", died.elapsed());
        heads.start(victim)?;
    }
    ensure!(!times.is_empty(), "no head was killed");
    times.sort_unstable();
    Ok(times)
}

/// Whether this head reaches every etcd.
fn is_whole(heads: &Heads<'_>, head: usize) -> Result<bool> {
    let mut api = Api::connect(heads.head(head)?.socket())?;
    let status = api.data("GET", "/cluster/status")?;
    Ok(status["etcd"]["healthy"] == heads.count())
}

fn write(heads: &Heads<'_>, by: usize, body: &[u8]) -> Result<()> {
    Api::connect(heads.head(by)?.socket())?.send("PATCH", "/attrib/site", body)
}
