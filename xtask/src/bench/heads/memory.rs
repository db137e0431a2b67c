//! A cluster of many nodes.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use serde_json::json;

use super::{cluster::Heads, sizes::Sizes};
use crate::bench::{api::Api, directory::Directory};

/// How many create nodes at the same time.
const AT_ONCE: usize = 8;

/// What many nodes take.
pub(crate) struct Large {
    pub(crate) nodes: usize,
    /// Of a head that was started with them, after another has joined.
    pub(crate) sizes: Sizes,
    /// How long the other took to join, and until it was ready.
    pub(crate) joined: Duration,
    pub(crate) ready: Duration,
    /// How long a head takes to start and be ready.
    pub(crate) started: Duration,
}

/// Measures two heads with so many nodes.
pub(crate) fn measure(binary: &Path, nodes: usize) -> Result<Large> {
    let directory = Directory::new()?;
    let mut heads = Heads::begin(binary, directory.path())?;
    println!("creating {nodes} nodes through the API");
    create(heads.head(0)?.socket(), nodes)?;
    println!("a second head joins");
    let began = Instant::now();
    let joined = heads.join(1)?.whole;
    heads.add()?;
    let ready = began.elapsed();
    // A head that has just read all of it once, as after any restart.
    heads.stop_one(1)?;
    let began = Instant::now();
    heads.start(1)?;
    let started = began.elapsed();
    let sizes = Sizes::of(&heads, 1)?;
    heads.stop()?;
    Ok(Large {
        nodes,
        sizes,
        joined,
        ready,
        started,
    })
}

fn create(socket: &Path, nodes: usize) -> Result<()> {
    thread::scope(|scope| {
        let share = |first: usize| {
            scope.spawn(move || {
                let mut api = Api::connect(socket)?;
                (first..nodes).step_by(AT_ONCE).try_for_each(|node| {
                    let [.., a, b, c] = node.to_be_bytes();
                    let body = json!({
                        "name": format!("n{node}.cluster.example"),
                        "mac": format!("52:54:00:{a:02x}:{b:02x}:{c:02x}"),
                        "ip": format!("10.{a}.{b}.{c}"),
                        "index": node,
                        "attributes": {"rack": format!("r{:04}", node / 40)},
                    });
                    api.send("POST", "/nodes", body.to_string().as_bytes())
                })
            })
        };
        let shares: Vec<_> = (0..AT_ONCE).map(share).collect();
        shares
            .into_iter()
            .try_for_each(|share| share.join().map_err(|_| anyhow!("a client panicked"))?)
    })
}
