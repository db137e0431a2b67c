//! Nodes that boot while a head does other things.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};

use crate::bench::{cluster::NodeFile, pilotlight::Head, storm};

/// How many ask at any time.
pub(crate) const AT_ONCE: usize = 4;
/// How long each pauses before it asks again.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

/// How long nodes waited for their kickstarts, sorted.
pub(crate) struct Boots(Vec<Duration>);

impl Boots {
    /// Has nodes ask `head` while something is done.
    pub(crate) fn during<T>(head: &Head, work: impl FnOnce() -> Result<T>) -> Result<(T, Self)> {
        let is_over = AtomicBool::new(false);
        let ask = |node: usize| {
            let mut times = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                storm::fetch(head.port(), node, NodeFile::Kickstart)?;
                times.push(began.elapsed());
                thread::sleep(PAUSE);
            }
            Ok(times)
        };
        let (done, times) = thread::scope(|scope| {
            let nodes: Vec<_> = (0..AT_ONCE)
                .map(|node| scope.spawn(move || ask(node)))
                .collect();
            let done = work();
            is_over.store(true, Ordering::Relaxed);
            let times = nodes.into_iter().map(|node| {
                node.join()
                    .map_err(|_| anyhow!("a client panicked"))
                    .flatten()
            });
            (done, times.collect::<Result<Vec<_>>>())
        });
        let mut times = times?.concat();
        times.sort_unstable();
        ensure!(!times.is_empty(), "no node was served");
        Ok((done?, Self(times)))
    }

    /// The time that 99 of 100 waited at most.
    pub(crate) fn p99(&self) -> Duration {
        self.0[self.0.len() * 99 / 100]
    }

    /// How many were served.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}
