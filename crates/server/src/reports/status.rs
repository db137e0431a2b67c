//! [`Status`]: a node's status as it is shown, filtered by, and put into boot files.

use std::{borrow::Cow, sync::Arc};

use ::heads::reports::Report;
use jiff::{SignedDuration, Timestamp};
use model::{ClusterState, Facts, Node};

use super::{Reports, period::status_secs};

/// So many periods may pass without a report before a node counts as down.
const PATIENCE: u32 = 3;

/// What a node last reported of itself and, as two more keys, what the head makes of it: `state` and `last_seen`. Those
/// win over keys of these names that the node reports.
pub(crate) struct Status {
    last: Option<Arc<Report>>,
    is_up: bool,
}

impl Status {
    /// The status of this node at this moment.
    pub(crate) fn of(reports: &Reports, state: &ClusterState, node: &Node) -> Self {
        Self::at(Timestamp::now(), reports.last(node.uid), || {
            status_secs(state, node)
        })
    }

    fn at(now: Timestamp, last: Option<Arc<Report>>, secs: impl FnOnce() -> u32) -> Self {
        let is_up = last.as_ref().is_some_and(|last| {
            let patience = SignedDuration::from_secs((PATIENCE * secs()).into());
            now.duration_since(last.last_seen) <= patience
        });
        Self { last, is_up }
    }

    /// One key of it.
    pub(crate) fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        match key {
            "state" => Some(self.state().into()),
            "last_seen" => Some(self.last_seen()?.into()),
            _ => {
                let reported = self.last.as_ref()?.status.0.get(key)?;
                Some(reported.as_str().into())
            }
        }
    }

    /// All of it.
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = match &self.last {
            Some(last) => last.status.clone(),
            None => Facts::default(),
        };
        for (key, value) in [
            ("state", Some(self.state().to_owned())),
            ("last_seen", self.last_seen()),
        ] {
            facts.0.extend(value.map(|value| (key.to_owned(), value)));
        }
        facts
    }

    fn state(&self) -> &'static str {
        match self.last {
            None => "unknown",
            Some(_) if self.is_up => "up",
            Some(_) => "down",
        }
    }

    fn last_seen(&self) -> Option<String> {
        let last = self.last.as_ref()?;
        Some(format!("{:.0}", last.last_seen))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    fn report(status: serde_json::Value) -> Arc<Report> {
        Arc::new(Report {
            last_seen: at(1_000_900),
            status: serde_json::from_value(status).unwrap(),
        })
    }

    fn shown(status: &Status) -> serde_json::Value {
        serde_json::to_value(status.facts()).unwrap()
    }

    #[test]
    fn a_node_is_up_for_three_periods_after_its_report() {
        for (now, secs, expected) in [
            (1_000_900, 10, "up"),
            (1_030_900, 10, "up"),
            (1_030_901, 10, "down"),
            (1_003_900, 1, "up"),
            (1_003_901, 1, "down"),
            (i64::from(3 * 86_400) * 1000, 86_400, "up"),
            // The clock was set back.
            (0, 10, "up"),
        ] {
            let status = Status::at(at(now), Some(report(json!({}))), || secs);
            assert_eq!(status.get("state").unwrap(), expected, "{now} {secs}");
        }
    }

    #[test]
    fn a_node_that_never_reported_is_unknown() {
        let status = Status::at(at(0), None, || 10);
        assert_eq!(shown(&status), json!({"state": "unknown"}));
        assert_eq!(status.get("state").unwrap(), "unknown");
        assert_eq!(status.get("last_seen"), None);
    }

    #[test]
    fn what_the_head_knows_better_wins() {
        let reported = json!({"state": "fine", "last_seen": "never", "load": "1"});
        let status = Status::at(at(2_000_000), Some(report(reported)), || 10);
        let expected = json!({"state": "down", "last_seen": "1970-01-01T00:16:40Z", "load": "1"});
        assert_eq!(shown(&status), expected);
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(status.get(key).unwrap(), value.as_str().unwrap());
        }
        assert_eq!(status.get("other"), None);
    }
}
