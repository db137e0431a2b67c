//! The audit log: who changed what, and who tried to log in. One JSON object a line, appended, readable by the owner
//! of the data directory alone. It never holds a password, a token or an attribute's value.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;
use serde::Serialize;

/// Where audited events are written.
pub(crate) struct Audit(Arc<File>);

/// Something somebody did, or tried to.
#[derive(Serialize)]
pub(crate) struct Event<'a> {
    /// Who: an administrator's name, or `uid 0` on the local socket.
    pub who: &'a str,
    /// The address it came from; `local` on the Unix socket.
    pub from: &'a str,
    /// What: the method and path, or `login`.
    pub action: &'a str,
    /// The HTTP status of the answer.
    pub status: u16,
}

impl Audit {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        Ok(Self(Arc::new(file)))
    }

    /// Writes an event down. A log that cannot be written is said in the head's own log, once for each event.
    pub(crate) async fn record(&self, event: Event<'_>) {
        #[derive(Serialize)]
        struct Line<'a> {
            time: String,
            #[serde(flatten)]
            event: &'a Event<'a>,
        }
        let line = Line {
            time: format!("{:.3}", Timestamp::now()),
            event: &event,
        };
        let Ok(mut line) = serde_json::to_string(&line) else {
            return;
        };
        line.push('\n');
        let file = Arc::clone(&self.0);
        // One write of one line to a file opened for appending: lines of concurrent events do not mix.
        let written =
            tokio::task::spawn_blocking(move || (&*file).write_all(line.as_bytes())).await;
        if let Ok(Err(error)) = written {
            tracing::error!(%error, who = event.who, action = event.action, "the audit log cannot be written");
        }
    }
}
