//! The file that keeps reports over a restart. Losing it costs one period of every node, so it is never in the way.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use ::heads::reports::Report;
use model::Uid;

pub(super) struct ReportsFile {
    path: PathBuf,
    /// Whether it could not be written the last time, which has then been said.
    failed: bool,
}

impl ReportsFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            failed: false,
        }
    }

    pub(super) fn read(&self) -> HashMap<Uid, Report> {
        let read = fs::read(&self.path).and_then(|text| Ok(serde_json::from_slice(&text)?));
        match read {
            Ok(reports) => reports,
            Err(error) if error.kind() == io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "what nodes reported before cannot be read; they will report again");
                HashMap::new()
            }
        }
    }

    /// Whether it was written. What keeps it from being is said in the log, once until it works again.
    pub(super) fn write(&mut self, reports: &BTreeMap<Uid, &Report>) -> bool {
        let written = self.replace(reports);
        match &written {
            Ok(()) if self.failed => {
                tracing::info!(file = %self.path.display(), "what nodes report is written again");
            }
            Err(error) if !self.failed => {
                tracing::error!(file = %self.path.display(), %error, "what nodes report is not written, and will be forgotten at a restart");
            }
            _ => {}
        }
        self.failed = written.is_err();
        written.is_ok()
    }

    /// The old content or the new, whatever happens meanwhile.
    fn replace(&self, reports: &BTreeMap<Uid, &Report>) -> io::Result<()> {
        let new = self.path.with_extension("json.new");
        let mut file = BufWriter::new(File::create(&new)?);
        serde_json::to_writer(&mut file, reports)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        fs::rename(&new, &self.path)?;
        match self.path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }
}
