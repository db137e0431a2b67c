//! [`Progress`]: whether anybody takes what is being sent.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep, sleep_until};

/// When bytes of the body that a connection sends were last asked for. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<Option<Instant>>>);

/// A body that makes progress whenever the next bytes are asked for.
pub(super) struct Watched<B> {
    body: B,
    progress: Progress,
}

impl Progress {
    /// Watches the body that is to be sent now.
    pub(super) fn of<B>(&self, body: B) -> Watched<B> {
        self.set(Some(Instant::now()));
        Watched {
            body,
            progress: self.clone(),
        }
    }

    /// Returns when a body made no progress for so long. Between bodies, everything may take its time.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            match self.get().map(|last| last + limit) {
                None => sleep(limit).await,
                Some(end) if end > Instant::now() => sleep_until(end).await,
                Some(_) => return,
            }
        }
    }

    // Either is one assignment, so it is whole whoever panicked.
    fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, last: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        this.progress.set(Some(Instant::now()));
        Pin::new(&mut this.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.progress.set(None);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn only_a_body_that_nobody_takes_stalls() {
        let progress = Progress::default();
        let stalls = async || timeout(10 * LIMIT, progress.stalled(LIMIT)).await.is_ok();
        assert!(!stalls().await);
        let mut body = progress.of(Full::new(Bytes::from("x")));
        assert!(stalls().await);
        body.frame().await.unwrap().unwrap();
        let start = Instant::now();
        assert!(stalls().await);
        assert_eq!(start.elapsed(), LIMIT);
        drop(body);
        assert!(!stalls().await);
    }
}
