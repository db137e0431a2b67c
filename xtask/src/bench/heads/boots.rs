//! Nodes that boot while a head does other things.

use std::{
    ops::Range,
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

/// Nodes that got their kickstarts, the one that waited longest last.
pub(crate) struct Boots(Vec<Boot>);

#[derive(Clone, Copy)]
struct Boot {
    began: Instant,
    took: Duration,
}

impl Boots {
    /// Has nodes ask `head` while something is done.
    pub(crate) fn during<T>(head: &Head, work: impl FnOnce() -> Result<T>) -> Result<(T, Self)> {
        let is_over = AtomicBool::new(false);
        let ask = |node: usize| {
            let mut boots = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                storm::fetch(head.port(), node, NodeFile::Kickstart)?;
                let took = began.elapsed();
                boots.push(Boot { began, took });
                thread::sleep(PAUSE);
            }
            Ok(boots)
        };
        let (done, boots) = thread::scope(|scope| {
            let nodes: Vec<_> = (0..AT_ONCE)
                .map(|node| scope.spawn(move || ask(node)))
                .collect();
            let done = work();
            is_over.store(true, Ordering::Relaxed);
            let boots = nodes.into_iter().map(|node| {
                node.join()
                    .map_err(|_| anyhow!("a client panicked"))
                    .flatten()
            });
            (done, boots.collect::<Result<Vec<_>>>())
        });
        Ok((done?, Self::of(boots?.concat())?))
    }

    fn of(mut boots: Vec<Boot>) -> Result<Self> {
        ensure!(!boots.is_empty(), "no node was served");
        boots.sort_unstable_by_key(|boot| boot.took);
        Ok(Self(boots))
    }

    /// Those that began within this time.
    pub(crate) fn within(&self, time: &Range<Instant>) -> Result<Self> {
        let boots = self.0.iter().filter(|boot| time.contains(&boot.began));
        Self::of(boots.copied().collect())
    }

    /// The time that 99 of 100 waited at most.
    pub(crate) fn p99(&self) -> Duration {
        self.0[self.0.len() * 99 / 100].took
    }

    /// How many were served.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}
