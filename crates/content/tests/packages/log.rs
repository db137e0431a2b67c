//! What Pilotlight logs.

use std::io;
use std::sync::{Mutex, Once};

static LOG: Mutex<String> = Mutex::new(String::new());
static BEGIN: Once = Once::new();

/// Begins to keep the log of all tests here. Tests tell theirs apart by the names of their packages.
pub(crate) fn begin() {
    BEGIN.call_once(|| {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(|| Log)
            .init();
    });
}

/// The lines that hold all of these words.
pub(crate) fn lines(words: &[&str]) -> Vec<String> {
    let log = LOG.lock().unwrap();
    log.lines()
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .map(str::to_owned)
        .collect()
}

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        LOG.lock().unwrap().push_str(&text);
        // Shown when the test fails.
        print!("{text}");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
