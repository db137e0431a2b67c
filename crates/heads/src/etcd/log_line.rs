//! [`LogLine`]: a line that etcd logs.

use serde_json::{Map, Value};
use tracing::Level;

/// Why starting etcd again cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hopeless {
    /// The others removed this member.
    #[error("this head was removed from its cluster; join again to come back")]
    Removed,
    /// The data directory, or the members it was told of, are not those of the cluster it came to.
    #[error(
        "the data of its etcd belongs to another cluster than the members it meets; join again with --clear"
    )]
    AnotherCluster,
}

/// What etcd warns of at each start and whenever a member comes or goes, which it complains of otherwise, too.
const ROUTINE: [&str; 3] = [
    "established TCP streaming connection with remote peer",
    "closed TCP streaming connection with remote peer",
    "simple token is not cryptographically signed",
];

/// One line.
#[derive(Debug, PartialEq)]
pub(super) struct LogLine {
    pub(super) level: Level,
    pub(super) text: String,
}

impl LogLine {
    /// Reads a line of JSON as etcd logs it. Whatever else comes out of it, a panic for example, is a warning.
    pub(super) fn parse(line: &str) -> Self {
        let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(line) else {
            return Self {
                level: Level::WARN,
                text: line.to_owned(),
            };
        };
        let level = match fields.get("level").and_then(Value::as_str) {
            Some("debug") => Level::TRACE,
            // Of interest to who looks into etcd, not to who runs a cluster.
            Some("info") => Level::DEBUG,
            Some("error" | "dpanic" | "panic" | "fatal") => Level::ERROR,
            _ => Level::WARN,
        };
        let message = match fields.remove("msg") {
            Some(Value::String(message)) => message,
            _ => String::new(),
        };
        let level = match ROUTINE.contains(&message.as_str()) {
            true => level.max(Level::DEBUG),
            false => level,
        };
        // The time is that of our own line; the place in etcd's source helps nobody here.
        for field in ["level", "ts", "caller", "stacktrace"] {
            fields.remove(field);
        }
        let text = if fields.is_empty() {
            message
        } else {
            format!("{message} {}", Value::Object(fields))
        };
        Self { level, text }
    }

    /// Passes it on.
    pub(super) fn trace(&self) {
        let text = &self.text;
        match self.level {
            Level::TRACE => tracing::trace!(target: "etcd", "{text}"),
            Level::DEBUG => tracing::debug!(target: "etcd", "{text}"),
            Level::INFO => tracing::info!(target: "etcd", "{text}"),
            Level::WARN => tracing::warn!(target: "etcd", "{text}"),
            Level::ERROR => tracing::error!(target: "etcd", "{text}"),
        }
    }

    /// What the line gives as the reason, if it is one of an etcd that ends and cannot live.
    pub(super) fn hopeless(&self) -> Option<Hopeless> {
        const SAID: [(&str, Hopeless); 3] = [
            (
                "has been permanently removed from the cluster",
                Hopeless::Removed,
            ),
            ("member count is unequal", Hopeless::AnotherCluster),
            (
                "unmatched member while checking PeerURLs",
                Hopeless::AnotherCluster,
            ),
        ];
        // All levels but those of everyday work.
        if self.level > Level::WARN {
            return None;
        }
        SAID.iter()
            .find(|(words, _)| self.text.contains(words))
            .map(|&(_, reason)| reason)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_level_and_what_it_says() {
        let line = LogLine::parse(
            r#"{"level":"warn","ts":"2026-11-23T09:00:00.000Z","caller":"etcdserver/util.go:144","msg":"apply request took too long","took":"120ms"}"#,
        );
        assert_eq!(line.level, Level::WARN);
        assert_eq!(line.text, r#"apply request took too long {"took":"120ms"}"#);
        let line = LogLine::parse(r#"{"level":"info","msg":"ready to serve client requests"}"#);
        assert_eq!(line.level, Level::DEBUG);
        assert_eq!(line.text, "ready to serve client requests");
        let routine = LogLine::parse(
            r#"{"level":"warn","msg":"simple token is not cryptographically signed"}"#,
        );
        assert_eq!(routine.level, Level::DEBUG);
    }

    #[test]
    fn what_is_no_line_of_a_log_is_a_warning_as_it_stands() {
        for text in ["panic: runtime error", "", "{", "[1]", "{\"level\": 7}"] {
            assert_eq!(LogLine::parse(text).level, Level::WARN, "{text}");
        }
        assert_eq!(LogLine::parse("goroutine 1").text, "goroutine 1");
    }

    #[test]
    fn only_a_complaint_tells_that_starting_again_is_of_no_use() {
        let removed = |level: &str| {
            LogLine::parse(&format!(
                r#"{{"level":"{level}","msg":"server error","error":"the member has been permanently removed from the cluster"}}"#
            ))
        };
        assert_eq!(removed("warn").hopeless(), Some(Hopeless::Removed));
        assert_eq!(removed("fatal").hopeless(), Some(Hopeless::Removed));
        assert_eq!(removed("info").hopeless(), None);
        let other = LogLine::parse(
            r#"{"level":"fatal","msg":"discovery failed","error":"error validating peerURLs {ClusterID:1 Members:[] RemovedMemberIDs:[]}: member count is unequal"}"#,
        );
        assert_eq!(other.hopeless(), Some(Hopeless::AnotherCluster));
        let port = LogLine::parse(
            r#"{"level":"fatal","msg":"discovery failed","error":"listen tcp 10.0.0.1:2380: bind: address already in use"}"#,
        );
        assert_eq!(port.hopeless(), None);
    }
}
