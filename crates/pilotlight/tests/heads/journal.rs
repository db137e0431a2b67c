//! What was written, by the answers that the writers got.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::asking::manage;
use crate::head::Head;

/// How many write at the same time.
const WRITERS: usize = 3;

/// Acknowledged writes: nodes that were created, and numbers that were counted up.
pub(crate) struct Journal {
    /// Where heads take writes.
    sockets: Vec<PathBuf>,
    /// The next write.
    next: AtomicUsize,
    /// The numbers of the nodes that were created.
    created: Mutex<Vec<usize>>,
    /// The last number that each writer knows to be written to its node.
    counted: [AtomicUsize; WRITERS],
    /// The longest time between two acknowledgements.
    gap: Mutex<(Instant, Duration)>,
}

impl Journal {
    /// An empty one of these heads, which are all up.
    pub(crate) fn of(heads: &[Head]) -> Self {
        for writer in 0..WRITERS {
            let body = json!({"name": format!("writer{writer}"), "mac": format!("52:54:00:ff:ff:{writer:02x}"),
                              "attributes": {"count": "0"}});
            heads[0].create("/nodes", &body);
        }
        Self {
            sockets: heads.iter().map(Head::socket).collect(),
            next: AtomicUsize::new(0),
            created: Mutex::default(),
            counted: [const { AtomicUsize::new(0) }; WRITERS],
            gap: Mutex::new((Instant::now(), Duration::ZERO)),
        }
    }

    /// Writes until so many writes are acknowledged.
    pub(crate) fn fill(&self, count: usize) {
        *self.gap.lock().unwrap() = (Instant::now(), Duration::ZERO);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                scope.spawn(move || {
                    // Each begins at another head, and goes on to the next when one refuses.
                    let mut head = writer;
                    while self.acknowledged() < count {
                        let number = self.next.fetch_add(1, Ordering::Relaxed);
                        if self.write(writer, number, &self.sockets[head % self.sockets.len()]) {
                            let mut gap = self.gap.lock().unwrap();
                            *gap = (Instant::now(), gap.1.max(gap.0.elapsed()));
                        } else {
                            head += 1;
                            // Nobody may be there for a while.
                            thread::sleep(Duration::from_millis(5));
                        }
                    }
                });
            }
        });
    }

    /// How many writes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        let counted = self
            .counted
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        self.created.lock().unwrap().len() + counted.sum::<usize>()
    }

    /// The longest time between two acknowledgements of the last filling.
    pub(crate) fn longest_gap(&self) -> Duration {
        self.gap.lock().unwrap().1
    }

    /// Whether this write was acknowledged. One that was not may have been made all the same.
    fn write(&self, writer: usize, number: usize, socket: &Path) -> bool {
        let count = self.counted[writer].load(Ordering::Relaxed) + 1;
        let (method, path, body, taken) = if number.is_multiple_of(2) {
            let [.., high, middle, low] = number.to_be_bytes();
            let body = json!({"name": node(number), "mac": format!("52:54:00:{high:02x}:{middle:02x}:{low:02x}")});
            ("POST", "/nodes".to_owned(), body, 201)
        } else {
            let body = json!({"attributes": {"count": count.to_string()}});
            ("PATCH", format!("/node/writer{writer}"), body, 200)
        };
        let answer = manage(socket, method, &path, &body);
        let is_taken = answer.is_ok_and(|answer| {
            assert!(
                [taken, 503].contains(&answer.status),
                "{method} {path}: {} {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            );
            answer.status == taken
        });
        if is_taken && number.is_multiple_of(2) {
            self.created.lock().unwrap().push(number);
        } else if is_taken {
            self.counted[writer].store(count, Ordering::Relaxed);
        }
        is_taken
    }

    /// That a head knows all that was acknowledged.
    pub(crate) fn assert_kept_by(&self, head: &Head) {
        let nodes = head.api("GET", "/nodes", None).data();
        let nodes = nodes.as_object().unwrap();
        let named = |name: &str| nodes.values().find(|node| node["name"] == *name);
        for number in &*self.created.lock().unwrap() {
            let name = node(*number);
            assert!(
                named(&name).is_some(),
                "{name} was acknowledged, and {} lost it",
                head.address()
            );
        }
        for (writer, counted) in self.counted.iter().enumerate() {
            let node: &Value = named(&format!("writer{writer}")).unwrap();
            let count: usize = node["attributes"]["count"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            // One more may have been written without an acknowledgement, but only the next.
            let counted = counted.load(Ordering::Relaxed);
            assert!(
                (counted..=counted + 1).contains(&count),
                "{counted} was acknowledged, and {} has {count}",
                head.address()
            );
        }
    }
}

fn node(number: usize) -> String {
    format!("written{number}")
}
