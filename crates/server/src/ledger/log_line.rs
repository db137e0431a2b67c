//! The log line of a fetch, for people or for programs, in the shape that `tracing` gives the head's other lines. One
//! record is always one line, whatever its fields hold.

use std::fmt::{self, Display, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::Level;

use super::record::{self, Entry, Fetch};

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// The level of a fetch: a failed one is a warning.
pub(super) fn level(fetch: &Fetch) -> Level {
    if fetch.status >= 400 {
        Level::WARN
    } else {
        Level::INFO
    }
}

/// Appends the line of a fetch.
pub(super) fn fetch(lines: &mut String, format: LogFormat, id: i64, head: &str, fetch: &Fetch) {
    match format {
        LogFormat::Human => {
            // Writing to a string cannot fail.
            let _ = write_human(lines, fetch);
            lines.push('\n');
        }
        LogFormat::Json => {
            #[derive(Serialize)]
            struct Line<'a> {
                #[serde(serialize_with = "record::milliseconds")]
                timestamp: &'a Timestamp,
                level: &'a str,
                message: &'a str,
                #[serde(flatten)]
                entry: &'a Entry,
            }
            push_json(
                lines,
                &Line {
                    timestamp: &fetch.time,
                    level: level(fetch).as_str(),
                    message: "fetch",
                    entry: &Entry::new(id, head, fetch),
                },
            );
        }
    }
}

/// Appends a line of the recorder's own.
pub(super) fn notice(
    lines: &mut String,
    format: LogFormat,
    level: Level,
    time: Timestamp,
    message: &str,
) {
    match format {
        LogFormat::Human => {
            // Writing to a string cannot fail.
            let _ = write!(lines, "{time:.3} {level:>5} ");
            push_harmless(lines, message);
            lines.push('\n');
        }
        LogFormat::Json => {
            #[derive(Serialize)]
            struct Line<'a> {
                #[serde(serialize_with = "record::milliseconds")]
                timestamp: &'a Timestamp,
                level: &'a str,
                message: &'a str,
            }
            push_json(
                lines,
                &Line {
                    timestamp: &time,
                    level: level.as_str(),
                    message,
                },
            );
        }
    }
}

fn write_human(line: &mut String, fetch: &Fetch) -> fmt::Result {
    let (node, how) = fetch
        .node
        .as_ref()
        .map_or(("-", "-"), |node| (&*node.name, node.how.as_str()));
    write!(
        line,
        "{:.3} {:>5} fetch node={} how={how} from={} path={} status={} bytes={} sent={} {} ms={:.1}",
        fetch.time,
        level(fetch),
        Value(node),
        fetch.address,
        Value(&fetch.path),
        fetch.status,
        fetch.bytes,
        fetch.sent,
        if fetch.complete {
            "complete"
        } else {
            "cut-off"
        },
        fetch.elapsed.as_secs_f64() * 1000.0,
    )?;
    if let Some(digest) = &fetch.sha256 {
        write!(line, " sha256={}", record::hex(digest))?;
    }
    if let Some(reason) = &fetch.reason {
        write!(line, " reason={reason:?}")?;
    }
    Ok(())
}

/// A value that can forge neither a field nor a line: quoted and escaped unless it is plain.
struct Value<'a>(&'a str);

impl Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if !self.0.is_empty() && self.0.bytes().all(plain) {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

/// Appends an object as a line of JSON.
fn push_json(lines: &mut String, object: &impl Serialize) {
    // These objects are structs of text and numbers: writing them as JSON cannot fail.
    let text = serde_json::to_string(object).unwrap_or_default();
    // JSON leaves some control characters and line breaks bare, inside text only: there an escape means the same.
    push_harmless(lines, &text);
    lines.push('\n');
}

/// Whether a terminal or a reader of lines may take it for more than text.
fn is_harmful(c: char) -> bool {
    c.is_control() || c == '\u{2028}' || c == '\u{2029}'
}

/// Appends text with what could move a terminal or end a line written as `\uXXXX`.
fn push_harmless(lines: &mut String, text: &str) {
    for c in text.chars() {
        if is_harmful(c) {
            // Writing to a string cannot fail.
            let _ = write!(lines, "\\u{:04x}", u32::from(c));
        } else {
            lines.push(c);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::sample;
    use super::*;

    fn line(format: LogFormat, of: &Fetch) -> String {
        let mut lines = String::new();
        fetch(&mut lines, format, 17, "head1", of);
        lines
    }

    #[test]
    fn lines_for_people() {
        assert_eq!(
            line(LogFormat::Human, &sample::served()),
            format!(
                "2026-11-22T23:11:02.123Z  INFO fetch node=n4 how=address from=10.1.2.3 path=/kickstart/basic.ks \
                 status=200 bytes=4096 sent=4096 complete ms=0.4 sha256={}\n",
                "ab".repeat(32)
            )
        );
        assert_eq!(
            line(LogFormat::Human, &sample::refused()),
            "2026-11-22T23:11:03.000Z  WARN fetch node=- how=- from=fd00::1 path=/ztp/script status=404 bytes=32 \
             sent=0 cut-off ms=1500.0 reason=\"no node has address fd00::1\"\n"
        );
    }

    #[test]
    fn lines_for_programs() {
        assert_eq!(
            line(LogFormat::Json, &sample::served()),
            format!(
                r#"{{"timestamp":"2026-11-22T23:11:02.123Z","level":"INFO","message":"fetch","id":17,"time":"2026-11-22T23:11:02.123Z","head":"head1","node":"n4","address":"10.1.2.3","how":"address","path":"/kickstart/basic.ks","status":200,"bytes":4096,"sent":4096,"complete":true,"sha256":"{}","ms":0.412,"node_uid":"{}","file_revision":"7c","node_revision":9}}"#,
                "ab".repeat(32),
                "04".repeat(16)
            ) + "\n"
        );
        assert_eq!(
            line(LogFormat::Json, &sample::refused()),
            concat!(
                r#"{"timestamp":"2026-11-22T23:11:03.000Z","level":"WARN","message":"fetch","id":17,"time":"2026-11-22T23:11:03.000Z","head":"head1","address":"fd00::1","how":null,"path":"/ztp/script","status":404,"bytes":32,"sent":0,"complete":false,"ms":1500.0,"reason":"no node has address fd00::1"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn notices() {
        let time = "2026-11-22T23:11:03Z".parse().unwrap();
        let mut lines = String::new();
        notice(
            &mut lines,
            LogFormat::Human,
            Level::WARN,
            time,
            "ledger: a\nb",
        );
        notice(
            &mut lines,
            LogFormat::Json,
            Level::WARN,
            time,
            "ledger: a\nb",
        );
        assert_eq!(
            lines,
            "2026-11-22T23:11:03.000Z  WARN ledger: a\\u000ab\n\
             {\"timestamp\":\"2026-11-22T23:11:03.000Z\",\"level\":\"WARN\",\"message\":\"ledger: a\\nb\"}\n"
        );
    }

    #[test]
    fn a_field_cannot_forge_another() {
        let mut forged = sample::refused();
        forged.path = "/a status=200\nWARN \u{1b}[2J\u{202e}".into();
        forged.reason = Some("\" status=200".into());
        assert_eq!(
            line(LogFormat::Human, &forged),
            "2026-11-22T23:11:03.000Z  WARN fetch node=- how=- from=fd00::1 \
             path=\"/a status=200\\nWARN \\u{1b}[2J\\u{202e}\" status=404 bytes=32 sent=0 cut-off ms=1500.0 \
             reason=\"\\\" status=200\"\n"
        );
    }

    proptest! {
        #[test]
        fn a_record_is_always_one_harmless_line(path in any::<String>(), reason in any::<String>()) {
            let mut hostile = sample::refused();
            (hostile.path, hostile.reason) = (path.clone().into(), Some(reason.clone().into()));
            for format in [LogFormat::Human, LogFormat::Json] {
                let text = line(format, &hostile);
                let body = text.strip_suffix('\n').unwrap();
                prop_assert!(!body.contains(is_harmful));
            }
            let json: Entry = serde_json::from_str(&line(LogFormat::Json, &hostile)).unwrap();
            prop_assert_eq!((json.path, json.reason), (path, Some(reason)));
        }
    }
}
