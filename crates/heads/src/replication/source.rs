//! [`Source`]: where the bytes of a file come from.

use async_trait::async_trait;
use model::{FileContent, FilePath};

use crate::exchange::{PullError, Puller, Urgency};

/// Other heads, as those who have the bytes of a file.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Gets a file and hands it to the [`Arrivals`](super::Arrivals) of this head. Stops when this is dropped; what has
    /// come so far is not lost.
    ///
    /// # Errors
    /// Nobody has it, the disk does not take it, or it is not wanted any more.
    async fn pull(
        &self,
        path: &FilePath,
        content: &FileContent,
        urgency: Urgency,
    ) -> Result<(), PullError>;
}

#[async_trait]
impl Source for Puller {
    async fn pull(
        &self,
        path: &FilePath,
        content: &FileContent,
        urgency: Urgency,
    ) -> Result<(), PullError> {
        Self::pull(self, path, content, urgency).await
    }
}
