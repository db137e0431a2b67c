//! [`RateLimit`]: how many bytes a second all pulls together may fetch.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How much may come at once after a pause, as the time it would take.
const BURST: Duration = Duration::from_millis(100);

/// How many bytes a second may be fetched. Clones share the limit.
#[derive(Clone, Debug)]
pub struct RateLimit {
    bytes_per_second: Option<NonZeroU64>,
    /// When all that was granted so far has taken its time.
    paid_until: Arc<Mutex<Instant>>,
}

impl RateLimit {
    /// At most this many, or any number.
    pub fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self {
            bytes_per_second,
            paid_until: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Waits until `count` more bytes are within the limit. Those who wait are served in the order in which they came.
    pub async fn take(&self, count: u64) {
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        let nanoseconds = u128::from(count) * 1_000_000_000 / u128::from(rate.get());
        let time = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let granted = {
            // One assignment changes it, so it is whole whoever panicked.
            let mut paid_until = self
                .paid_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            *paid_until = (*paid_until).max(earliest) + time;
            *paid_until
        };
        sleep_until(granted).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn limit(bytes_per_second: u64) -> RateLimit {
        RateLimit::new(NonZeroU64::new(bytes_per_second))
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_take_the_time_that_the_rate_gives_them() {
        let (limit, start) = (limit(1_000_000), Instant::now());
        for _ in 0..100 {
            limit.take(100_000).await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_take_share_one_limit() {
        let (limit, start) = (limit(1000), Instant::now());
        let takers = (0..10).map(|_| {
            let limit = limit.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    limit.take(100).await;
                }
            })
        });
        for taker in takers.collect::<Vec<_>>() {
            taker.await.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_earns_no_more_than_the_burst() {
        let (limit, start) = (limit(1000), Instant::now());
        tokio::time::advance(Duration::from_secs(3600)).await;
        limit.take(1000).await;
        let waited = start.elapsed() - Duration::from_secs(3600);
        assert_eq!(waited, Duration::from_secs(1) - BURST);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let start = Instant::now();
        RateLimit::new(None).take(u64::MAX).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
