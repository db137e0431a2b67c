//! Keeps the listing true, and on disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Listing;
use super::cache::{Cache, Remembered};
use super::index::Index;
use super::look::look;
use crate::Watch;

/// How often the directories are looked at, whatever the kernel tells of them: it knows nothing of what others write
/// on a network file system.
const PERIOD: Duration = Duration::from_secs(30);

/// Changes come in bursts: one file that is copied is several.
const BURST: Duration = Duration::from_millis(200);

/// How often the cache is written, at most.
const SAVING: Duration = Duration::from_secs(5);

/// Looks at the directories again and again.
pub(super) struct Keeper {
    index: Arc<Index>,
    watch: Option<Arc<Watch>>,
    cache: Arc<Cache>,
    /// What is in the cache, and since when.
    saved: Option<(Arc<Listing>, Instant)>,
    closing: CancellationToken,
}

impl Keeper {
    pub(super) fn new(index: Arc<Index>, cache: Cache, closing: CancellationToken) -> Self {
        let changed = Arc::clone(&index);
        // What changed does not matter: all of it is looked at.
        let watch = Watch::new("packages", move |_| changed.look_wanted.notify_one());
        let watch = watch.inspect_err(|error| {
            tracing::warn!(%error, "new packages are noticed late: the directories cannot be watched");
        });
        Self {
            index,
            watch: watch.ok().map(Arc::new),
            cache: Arc::new(cache),
            saved: None,
            closing,
        }
    }

    /// Works until `closing`. What `remembered` has is not read.
    pub(super) async fn run(mut self, mut remembered: Remembered) {
        loop {
            let again = self.look(remembered).await;
            remembered = Remembered::default();
            let save = self.save_due();
            if self.closing.is_cancelled() || save.is_some_and(|due| due <= Instant::now()) {
                self.save().await;
            }
            let wake = [again, self.save_due()].into_iter().flatten().min();
            let pause = wake.map_or(PERIOD, |at| at.saturating_duration_since(Instant::now()));
            tokio::select! {
                () = self.closing.cancelled() => break,
                () = self.index.look_wanted.notified() => sleep(BURST).await,
                () = sleep(pause) => {}
            }
        }
        self.save().await;
    }

    /// When to look again at the latest.
    async fn look(&self, mut remembered: Remembered) -> Option<Instant> {
        let (index, watch) = (Arc::clone(&self.index), self.watch.clone());
        let closing = self.closing.clone();
        let began = Instant::now();
        let looked =
            spawn_blocking(move || look(&index, watch.as_deref(), &mut remembered, &closing)).await;
        let looked = looked
            .inspect_err(|panic| tracing::error!(%panic, "not all packages were looked at"))
            .ok()?;
        if !self.index.listing().is_complete() && !self.closing.is_cancelled() {
            self.index.complete();
            let packages = self.index.listing().entries().count();
            let (read, seconds) = (looked.read, began.elapsed().as_secs_f64());
            tracing::info!(packages, read, seconds, "the client packages are indexed");
        }
        looked.again
    }

    /// When the listing is to be saved; `None` if it is already, or is only half of one that was saved before.
    fn save_due(&self) -> Option<Instant> {
        let listing = self.index.listing();
        match &self.saved {
            _ if !listing.is_complete() => None,
            Some((saved, _)) if Arc::ptr_eq(saved, &listing) => None,
            Some((_, since)) => Some(*since + SAVING),
            None => Some(Instant::now()),
        }
    }

    async fn save(&mut self) {
        if self.save_due().is_none() {
            return;
        }
        let listing = self.index.listing();
        self.saved = Some((Arc::clone(&listing), Instant::now()));
        let cache = Arc::clone(&self.cache);
        let saved = spawn_blocking(move || cache.save(&listing)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "the packages will be read again at the next start");
        }
    }
}
