//! [`Reports`]: what each node last told of itself, and when. In memory, since ten thousand nodes report every ten
//! seconds; a file keeps it over a restart. Other heads hear what nodes reported to this one.

mod file;
pub(crate) mod period;
mod status;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ::heads::reports::{News, Report};
use jiff::Timestamp;
use model::{Collection, Facts, Invalid, NodeSpec, Uid};

use self::file::ReportsFile;
pub(crate) use self::status::Status;

/// About how many bytes of reports another head gets at a time.
const NEWS_SIZE: usize = 4 << 20;

/// The last report of each node.
pub struct Reports {
    last: Mutex<Known>,
    file: Mutex<ReportsFile>,
}

#[derive(Default)]
struct Known {
    by_node: HashMap<Uid, Last>,
    /// The number of the last report to this head.
    number: u64,
    /// Whether there is more than the file holds.
    is_news: bool,
}

/// The last report of a node.
struct Last {
    report: Arc<Report>,
    /// Its number, if it came to this head since the start.
    number: Option<u64>,
}

impl Reports {
    /// The reports that this file keeps. One that cannot be read is said in the log, and nodes report anew.
    pub fn open(path: PathBuf) -> Self {
        let file = ReportsFile::new(path);
        let reports = file.read().into_iter();
        let by_node = reports.map(|(uid, report)| {
            let report = Arc::new(report);
            (
                uid,
                Last {
                    report,
                    number: None,
                },
            )
        });
        // After a restart the numbers go on above those before it: no head takes so many reports.
        let now = Timestamp::now().as_microsecond();
        Self {
            last: Mutex::new(Known {
                by_node: by_node.collect(),
                number: now.unsigned_abs(),
                is_news: false,
            }),
            file: Mutex::new(file),
        }
    }

    /// What this node reported last, to whichever head.
    pub(crate) fn last(&self, node: Uid) -> Option<Arc<Report>> {
        let known = self.known();
        Some(Arc::clone(&known.by_node.get(&node)?.report))
    }

    /// Takes a node's report. Keys that it does not name stay as they are.
    ///
    /// # Errors
    /// It would be too much, or is no text; then the node reported nothing.
    pub(crate) fn take(&self, node: Uid, news: &Facts, now: Timestamp) -> Result<(), Invalid> {
        let mut known = self.known();
        let status = match known.by_node.get(&node) {
            Some(last) => last.report.status.overlaid(news),
            None => news.clone(),
        };
        status.validate("status")?;
        let report = Report {
            last_seen: now,
            status,
        };
        known.number += 1;
        let last = Last {
            report: Arc::new(report),
            number: Some(known.number),
        };
        known.by_node.insert(node, last);
        known.is_news = true;
        Ok(())
    }

    /// Writes down what came since the last time, and forgets the nodes that are no more. Blocks.
    pub(crate) fn save(&self, nodes: &Collection<NodeSpec>) {
        // Held throughout: of two who save at once, the second has the later state.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let reports: BTreeMap<Uid, Arc<Report>> = {
            let mut known = self.known();
            if !std::mem::take(&mut known.is_news) {
                return;
            }
            known.by_node.retain(|uid, _| nodes.get(*uid).is_some());
            let all = known.by_node.iter();
            all.map(|(uid, last)| (*uid, Arc::clone(&last.report)))
                .collect()
        };
        let reports = reports.iter().map(|(uid, report)| (*uid, &**report));
        if !file.write(&reports.collect()) {
            self.known().is_news = true;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ::heads::reports::Reports for Reports {
    fn news(&self, known: u64) -> News {
        let mut later: Vec<_> = {
            let all = self.known();
            let later = all.by_node.iter().filter_map(|(uid, last)| {
                let number = last.number.filter(|number| *number > known)?;
                Some((number, *uid, Arc::clone(&last.report)))
            });
            later.collect()
        };
        later.sort_unstable_by_key(|(number, ..)| *number);
        let (mut news, mut size) = (News::default(), 0);
        news.last = known;
        for (number, uid, report) in later {
            size += report.status.size();
            if size > NEWS_SIZE {
                break;
            }
            news.last = number;
            news.reports.insert(uid, Report::clone(&report));
        }
        news
    }

    fn learn(&self, reports: BTreeMap<Uid, Report>) {
        let mut known = self.known();
        for (uid, report) in reports {
            let is_known = known
                .by_node
                .get(&uid)
                .is_some_and(|last| last.report.last_seen >= report.last_seen);
            if !is_known {
                let last = Last {
                    report: Arc::new(report),
                    number: None,
                };
                known.by_node.insert(uid, last);
                known.is_news = true;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use model::{Change, Cluster, ClusterState, Key, Revision};
    use serde_json::json;

    use super::*;

    const N1: Uid = Uid::from_bytes([1; 16]);
    const N2: Uid = Uid::from_bytes([2; 16]);

    fn facts(value: serde_json::Value) -> Facts {
        serde_json::from_value(value).unwrap()
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A cluster of these nodes.
    pub(super) fn cluster(nodes: &[(Uid, serde_json::Value)]) -> ClusterState {
        let record = |key, value: serde_json::Value| Change {
            key,
            value: Some(value.to_string().into()),
            revision: Revision(1),
        };
        let settings = json!({"name": "c", "default_group": N1, "database_password": "x"});
        let settings = record(Cluster::key(), settings);
        let nodes = nodes.iter().map(|(uid, node)| {
            let mut node = node.clone();
            node["name"] = format!("n{}", uid.as_bytes()[0]).into();
            node["mac"] = format!("52:54:00:00:00:{:02x}", uid.as_bytes()[0]).into();
            record(Key::new(format!("node/{uid}")), node)
        });
        ClusterState::load([settings].into_iter().chain(nodes), Revision(1)).unwrap()
    }

    #[test]
    fn a_report_adds_to_those_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let reports = Reports::open(directory.path().join("status.json"));
        assert_eq!(reports.last(N1), None);
        let first = facts(json!({"install": "done", "load": 0.1}));
        reports.take(N1, &first, second(1)).unwrap();
        reports
            .take(N1, &facts(json!({"load": 2})), second(2))
            .unwrap();
        let expected = Report {
            last_seen: second(2),
            status: facts(json!({"install": "done", "load": "2"})),
        };
        assert_eq!(*reports.last(N1).unwrap(), expected);
        assert_eq!(reports.last(N2), None);
    }

    #[test]
    fn too_much_is_refused_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let reports = Reports::open(directory.path().join("status.json"));
        let half = "x".repeat(20_000);
        let (one, other) = (facts(json!({"a": half})), facts(json!({"b": half})));
        reports.take(N1, &one, second(1)).unwrap();
        let refused = reports.take(N1, &other, second(2)).unwrap_err().to_string();
        assert!(refused.contains("40002 bytes in all"), "{refused}");
        assert_eq!(reports.last(N1).unwrap().last_seen, second(1));
    }

    #[test]
    fn what_was_saved_is_there_after_a_restart_but_for_deleted_nodes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status.json");
        let nodes = cluster(&[(N1, json!({}))]).nodes;
        let reports = Reports::open(path.clone());
        reports.save(&nodes);
        assert!(!path.exists(), "there was nothing to write");

        let done = facts(json!({"install": "done"}));
        for node in [N1, N2] {
            reports.take(node, &done, second(7)).unwrap();
        }
        reports.save(&nodes);
        assert_eq!(reports.last(N2), None);
        let again = Reports::open(path.clone());
        assert_eq!(again.last(N1), reports.last(N1));
        assert_eq!(again.last(N2), None);

        fs::remove_file(&path).unwrap();
        reports.save(&nodes);
        assert!(!path.exists(), "it was written without news");
    }

    #[test]
    fn other_heads_hear_what_came_since_they_asked_last() {
        use ::heads::reports::Reports as _;

        let directory = tempfile::tempdir().unwrap();
        let [one, other] = ["one.json", "other.json"].map(|name| directory.path().join(name));
        let (one, other) = (Reports::open(one), Reports::open(other));
        let report = |reports: &Reports, node, at, load| {
            reports
                .take(node, &facts(json!({"load": load})), second(at))
                .unwrap();
        };
        report(&one, N1, 1, 1);
        report(&other, N2, 1, 1);
        let first = one.news(0);
        assert_eq!(first.reports.keys().collect::<Vec<_>>(), [&N1]);
        other.learn(first.reports);
        assert_eq!(other.last(N1), one.last(N1));
        // Nothing comes back as if it were news, and nothing comes twice.
        assert_eq!(other.news(0).reports.keys().collect::<Vec<_>>(), [&N2]);
        assert_eq!(
            one.news(first.last),
            News {
                last: first.last,
                ..News::default()
            }
        );

        // The node asks the other head now; what the first one knew is old.
        report(&other, N1, 5, 5);
        report(&one, N2, 1, 7);
        let (news, old) = (other.news(0), one.news(first.last));
        one.learn(news.reports);
        assert_eq!(one.last(N1).unwrap().status, facts(json!({"load": 5})));
        other.learn(old.reports);
        assert_eq!(other.last(N1).unwrap().last_seen, second(5));
        assert_eq!(other.last(N2).unwrap().status, facts(json!({"load": 1})));
    }

    #[test]
    fn a_head_hears_no_more_at_a_time_than_is_reasonable() {
        use ::heads::reports::Reports as _;

        let directory = tempfile::tempdir().unwrap();
        let reports = Reports::open(directory.path().join("status.json"));
        let large = facts(json!({"log": "x".repeat(30_000)}));
        let count = u8::try_from(NEWS_SIZE / 30_000 + 10).unwrap();
        for node in 0..count {
            reports
                .take(Uid::from_bytes([node; 16]), &large, second(1))
                .unwrap();
        }
        let first = reports.news(0);
        assert!(first.reports.len() < count.into());
        let second = reports.news(first.last);
        assert_eq!(
            first.reports.len() + second.reports.len(),
            usize::from(count)
        );
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("later");
        let path = place.join("status.json");
        let nodes = cluster(&[(N1, json!({}))]).nodes;
        let reports = Reports::open(path.clone());
        reports.take(N1, &Facts::default(), second(1)).unwrap();
        reports.save(&nodes);
        fs::create_dir(&place).unwrap();
        reports.save(&nodes);
        assert_eq!(Reports::open(path).last(N1), reports.last(N1));
    }

    #[test]
    fn a_damaged_file_is_nothing_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status.json");
        for damaged in ["", "{", "[]", r#"{"n1": {}}"#, "\u{0}\u{0}"] {
            fs::write(&path, damaged).unwrap();
            let reports = Reports::open(path.clone());
            assert_eq!(reports.last(N1), None, "{damaged:?}");
            reports.take(N1, &Facts::default(), second(1)).unwrap();
            reports.save(&cluster(&[(N1, json!({}))]).nodes);
            assert!(Reports::open(path.clone()).last(N1).is_some());
        }
    }
}
