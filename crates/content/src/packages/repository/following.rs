//! Keeping the repositories at what is listed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};

use super::Repository;
use crate::packages::Listing;

/// How long the list rests before an index is made of it: packages seldom come alone.
const REST: Duration = Duration::from_secs(2);
/// How long that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// When it is tried again after a failure.
const RETRY: Duration = Duration::from_secs(60);

impl Repository {
    /// Rebuilds the repositories when the list of packages is complete, and whenever it has changed, until it ends. What
    /// fails is logged, and tried again after a minute or with the next change.
    pub async fn follow(self: Arc<Self>, mut listing: Receiver<Arc<Listing>>) {
        // Until then, those that were made before the restart offer more.
        if listing
            .wait_for(|listing| listing.is_complete())
            .await
            .is_err()
        {
            return;
        }
        loop {
            let packages: Vec<_> = listing.borrow_and_update().entries().cloned().collect();
            let repository = Arc::clone(&self);
            let rebuilt = spawn_blocking(move || repository.rebuild(&packages)).await;
            let failure = match rebuilt {
                Ok(Ok(is_complete)) => (!is_complete).then(|| "they lack some packages".to_owned()),
                Ok(Err(error)) => Some(format!("they stay as they are: {error}")),
                Err(error) => Some(format!("they stay as they are: {error}")),
            };
            let changed = match failure {
                None => listing.changed().await,
                Some(failure) => {
                    tracing::error!("the package repositories are out of date: {failure}");
                    timeout(RETRY, listing.changed()).await.unwrap_or(Ok(()))
                }
            };
            if changed.is_err() || !rests(&mut listing).await {
                return;
            }
        }
    }
}

/// Waits until the list rests. Whether it goes on.
async fn rests(listing: &mut Receiver<Arc<Listing>>) -> bool {
    let end = Instant::now() + PATIENCE;
    loop {
        match timeout_at(end.min(Instant::now() + REST), listing.changed()).await {
            Ok(Ok(())) if Instant::now() < end => {}
            Ok(Err(_)) => return false,
            Ok(Ok(())) | Err(_) => return true,
        }
    }
}
