//! Nodes that boot all the while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::asking::boot;
use crate::cluster::Cluster;
use crate::head::{Head, mac_of};

/// How many nodes ask each head at any time.
const AT_ONCE: usize = 2;

const FILE: &str = "boots.ks";

/// Requests for a rendered kickstart, without pause, to each of some heads.
pub(crate) struct Boots {
    of_heads: Vec<Option<BootsOf>>,
}

struct BootsOf {
    end: Arc<AtomicBool>,
    nodes: Vec<JoinHandle<Tally>>,
}

/// What came of the requests to one head.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: usize,
    /// What nodes got that was not their kickstart.
    pub(crate) failed: Vec<String>,
    pub(crate) slowest: Duration,
}

impl Boots {
    /// Begins to ask all heads of a cluster, which is given a node and a file for that.
    pub(crate) fn begin(cluster: &Cluster) -> Self {
        let head = &cluster.heads[0];
        head.node("boots", "127.0.0.99", &["attr.rack=7"]);
        head.put(FILE, "name <n[name]>\nrack <a[rack]>\n");
        for head in &cluster.heads {
            crate::cluster::soon("the node boots from each head", || {
                (fetch(head.address()).is_ok()).then_some(())
            });
        }
        let of_heads = cluster.heads.iter().map(|head| Some(BootsOf::begin(head)));
        Self {
            of_heads: of_heads.collect(),
        }
    }

    /// Asks this head no more, if it was asked.
    pub(crate) fn leave(&mut self, head: usize) -> Tally {
        self.of_heads[head]
            .take()
            .map_or_else(Tally::default, BootsOf::end)
    }

    /// Asks this head again, too.
    pub(crate) fn come_back(&mut self, number: usize, head: &Head) {
        self.of_heads[number] = Some(BootsOf::begin(head));
    }

    /// Asks this head no more. Every request to it has had the right answer, and there were some.
    pub(crate) fn end_without_failure(&mut self, head: usize) -> usize {
        let tally = self.leave(head);
        assert_eq!(tally.failed, [""; 0], "of {} requests", tally.answered);
        assert!(tally.answered > 0, "head {head} was not asked");
        tally.answered
    }
}

impl BootsOf {
    fn begin(head: &Head) -> Self {
        let (end, address) = (Arc::new(AtomicBool::new(false)), head.address());
        let nodes = (0..AT_ONCE).map(|_| {
            let end = Arc::clone(&end);
            thread::spawn(move || ask_until(&end, address))
        });
        Self {
            nodes: nodes.collect(),
            end,
        }
    }

    fn end(mut self) -> Tally {
        self.end.store(true, Ordering::Relaxed);
        let tallies = self.nodes.drain(..).map(|node| node.join().unwrap());
        tallies.fold(Tally::default(), Tally::and)
    }
}

impl Drop for BootsOf {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

impl Tally {
    fn and(mut self, other: Self) -> Self {
        self.answered += other.answered;
        self.failed.extend(other.failed);
        self.slowest = self.slowest.max(other.slowest);
        self
    }
}

fn ask_until(end: &AtomicBool, head: SocketAddr) -> Tally {
    let mut tally = Tally::default();
    while !end.load(Ordering::Relaxed) {
        let began = Instant::now();
        match fetch(head) {
            Ok(()) => tally.answered += 1,
            Err(why) => tally.failed.push(format!("{head}: {why}")),
        }
        tally.slowest = tally.slowest.max(began.elapsed());
    }
    tally
}

fn fetch(head: SocketAddr) -> Result<(), String> {
    let path = format!("/kickstart/{FILE}");
    match boot(head, &path, &mac_of("127.0.0.99")) {
        Ok(answer) if answer.status == 200 && answer.body == b"name boots\nrack 7\n" => Ok(()),
        Ok(answer) => Err(format!(
            "{} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        )),
        Err(error) => Err(error.to_string()),
    }
}
