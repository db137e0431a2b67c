//! Waiting for what will happen, as long as it takes and no longer.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// What has not happened by then never will.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer; fails the test, saying what it waited for, when there is none.
pub(crate) fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, what, ask)
}

/// The same, of what may take so long.
pub(crate) fn within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            start.elapsed() < patience,
            "waited {patience:?} in vain: {what}"
        );
        sleep(Duration::from_millis(5));
    }
}
