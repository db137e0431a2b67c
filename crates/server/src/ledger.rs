//! The fetch ledger: who fetched what, and the one log line of each boot request.
//!
//! A request hands one [`Fetch`] to [`Ledger::record`] and goes on: a bounded queue, no lock, no wait. The recorder's
//! thread takes fetches from it in batches; a batch becomes one write of log lines and one SQLite transaction in a
//! file of its own, `ledger.db`. What overload or a broken disk keeps out is counted, said in the log, and kept in
//! the ledger as a [`Gap`].
//!
//! The ledger is history, not state: a power failure may take its last moments (`synchronous=NORMAL`), and a damaged
//! file is moved aside for a new one. Neither ever stops serving or logging.

mod database;
mod log_line;
mod query;
mod reader;
mod record;
mod recorder;
mod row;
mod writer;

use std::time::Duration;

use tracing::level_filters::LevelFilter;

pub use database::Error;
pub use log_line::LogFormat;
pub use query::{Cursor, Filter, Gap, NotACursor, NotAStatus, Page, Position, StatusFilter};
pub use record::{Entry, Fetch, How, Recognised};
pub use recorder::{Ledger, Recorder};

/// What the recorder goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this head: the `head` of every entry.
    pub head: String,
    /// How long an entry is kept.
    pub keep: Duration,
    /// How many bytes the ledger may take on disk, its write-ahead log included.
    pub max_size: u64,
    /// The form of the log lines.
    pub format: LogFormat,
    /// The least urgent level that is logged: fetches are `info`, failed ones `warn`. The ledger holds all of them.
    pub level: LevelFilter,
}
