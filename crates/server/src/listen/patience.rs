use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Limits;

/// What a connection waits for. The number tells one wait from the next of its kind: whenever it changes there was
/// progress, and the limit counts afresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The first byte of all.
    FirstByte,
    /// The rest of a header. Its bytes are no progress, or a drip of them would hold the connection for ever.
    Head(u64),
    /// More of a request's body.
    Body(u64),
    /// The peer, to take more of a response.
    Reader(u64),
    /// Another request.
    Request(u64),
    /// Ourselves.
    Service,
}

impl Wait {
    fn limit(self, limits: &Limits) -> Option<Duration> {
        match self {
            Self::FirstByte => Some(limits.first_byte_time),
            Self::Head(_) => Some(limits.header_time),
            Self::Body(_) | Self::Reader(_) | Self::Request(_) => Some(limits.idle_time),
            Self::Service => None,
        }
    }
}

/// Runs a connection until it ends (`Some`), its peer exhausts our patience, or the head stops (`None`).
///
/// `close` asks it to end by itself once `shutdown` is cancelled; `waiting` says what it waits for.
pub(super) async fn run<C: Future + Unpin>(
    connection: &mut C,
    close: fn(Pin<&mut C>),
    waiting: impl Fn() -> Wait,
    limits: &Limits,
    shutdown: &CancellationToken,
) -> Option<C::Output> {
    let mut stopped = pin!(shutdown.cancelled());
    let mut patience = Patience::new(limits);
    poll_fn(|cx| {
        if patience.last.is_none() && stopped.as_mut().poll(cx).is_ready() {
            close(Pin::new(connection));
            patience.last = Some(Instant::now() + limits.shutdown_grace);
        }
        if let Poll::Ready(output) = Pin::new(&mut *connection).poll(cx) {
            return Poll::Ready(Some(output));
        }
        patience.poll_end(waiting(), cx).map(|()| None)
    })
    .await
}

struct Patience<'a> {
    limits: &'a Limits,
    wait: Wait,
    since: Instant,
    /// When all patience ends, once the head is stopping.
    last: Option<Instant>,
    /// Never later than the end of the current wait. It is often earlier, since a wait that makes progress moves its
    /// end on and leaves the alarm where it is: that costs one false alarm a wait instead of one setting a request.
    alarm: Pin<Box<Sleep>>,
    /// Whether the alarm has not gone off yet.
    set: bool,
}

impl<'a> Patience<'a> {
    fn new(limits: &'a Limits) -> Self {
        let since = Instant::now();
        Self {
            limits,
            wait: Wait::FirstByte,
            since,
            last: None,
            alarm: Box::pin(sleep_until(since + limits.first_byte_time)),
            set: true,
        }
    }

    /// Ready when `wait`, which is what the connection waits for now, has taken too long.
    fn poll_end(&mut self, wait: Wait, cx: &mut Context<'_>) -> Poll<()> {
        if self.wait != wait {
            self.wait = wait;
            self.since = Instant::now();
        }
        let limit = wait.limit(self.limits).map(|limit| self.since + limit);
        let Some(end) = limit.into_iter().chain(self.last).min() else {
            return Poll::Pending;
        };
        loop {
            if !self.set || self.alarm.deadline() > end {
                self.alarm.as_mut().reset(end);
                self.set = true;
            }
            ready!(self.alarm.as_mut().poll(cx));
            self.set = false;
            if end <= Instant::now() {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const LIMITS: Limits = Limits {
        first_byte_time: Duration::from_secs(5),
        header_time: Duration::from_secs(2),
        idle_time: Duration::from_secs(60),
        shutdown_grace: Duration::from_secs(30),
    };

    /// A connection that never ends by itself, and counts how often it is asked to.
    #[derive(Default)]
    struct Endless {
        asked: u32,
    }

    impl Future for Endless {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    impl Endless {
        /// How many seconds it is left alone while it waits for `wait`; `None` is for ever.
        async fn left_alone(&mut self, wait: impl Fn() -> Wait, stop: bool) -> Option<u64> {
            let start = Instant::now();
            let shutdown = CancellationToken::new();
            if stop {
                shutdown.cancel();
            }
            let ask = |mut endless: Pin<&mut Self>| endless.asked += 1;
            let run = run(self, ask, wait, &LIMITS, &shutdown);
            let ended = timeout(Duration::from_secs(3600), run).await;
            ended.is_ok().then(|| start.elapsed().as_secs())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_limit() {
        for (wait, limit) in [
            (Wait::FirstByte, Some(5)),
            (Wait::Head(1), Some(2)),
            (Wait::Body(1), Some(60)),
            (Wait::Reader(1), Some(60)),
            (Wait::Request(1), Some(60)),
            (Wait::Service, None),
        ] {
            let left_alone = Endless::default().left_alone(|| wait, false).await;
            assert_eq!(left_alone, limit, "{wait:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn progress_counts_afresh() {
        let start = Instant::now();
        // Nothing but false alarms, at 5 s, 65 s, … 605 s, is there to see the progress.
        let wait = || Wait::Reader(start.elapsed().as_secs().min(600));
        let left_alone = Endless::default().left_alone(wait, false).await;
        assert_eq!(left_alone, Some(665));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_wait_brings_the_end_forward() {
        let start = Instant::now();
        let mut patience = Patience::new(&LIMITS);
        let idle = poll_fn(|cx| Poll::Ready(patience.poll_end(Wait::Request(1), cx)));
        assert!(idle.await.is_pending());
        poll_fn(|cx| patience.poll_end(Wait::Head(1), cx)).await;
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_asks_once_and_ends_everything_after_the_grace() {
        let mut connection = Endless::default();
        let left_alone = connection.left_alone(|| Wait::Service, true).await;
        assert_eq!(left_alone, Some(30));
        assert_eq!(connection.asked, 1);
    }
}
