//! The time that a whole fetch may take, whatever it waits for.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::error::Fault;

#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        Self {
            at: Instant::now() + limit,
            limit,
        }
    }

    /// The share of the time left that each of `count` tries may take.
    pub(super) fn share(&self, count: usize) -> Duration {
        let left = self.at.saturating_duration_since(Instant::now());
        left / u32::try_from(count).unwrap_or(u32::MAX).max(1)
    }

    /// Awaits `future`; `stage` says in an error what was under way: "reading the body".
    pub(super) async fn bound<T>(
        &self,
        stage: &'static str,
        future: impl Future<Output = T>,
    ) -> Result<T, Fault> {
        timeout_at(self.at, future)
            .await
            .map_err(|_| Fault::TimedOut {
                stage,
                limit: self.limit,
            })
    }
}
