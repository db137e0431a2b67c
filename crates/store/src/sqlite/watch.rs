//! The feed of changes.

use std::collections::VecDeque;

use async_trait::async_trait;
use model::Revision;
use tokio::sync::watch;

use super::log;
use super::reader::Reader;
use crate::{Batch, StoreError, Watch};

/// Reads the log page by page; the writer only tells how far it reaches. So there is no seam between old changes and
/// new ones, and a slow watcher costs no memory.
pub(super) struct LogWatch {
    reader: Reader,
    head: watch::Receiver<Revision>,
    /// The revision last returned.
    returned: Revision,
    /// Read, not yet returned.
    page: VecDeque<Batch>,
}

impl LogWatch {
    pub(super) async fn begin(
        reader: Reader,
        head: watch::Receiver<Revision>,
        from: Revision,
    ) -> Result<Self, StoreError> {
        let page = reader.run(move |log| log::page(log, from)).await??;
        Ok(Self {
            reader,
            head,
            returned: from,
            page,
        })
    }
}

#[async_trait]
impl Watch for LogWatch {
    async fn next(&mut self) -> Result<Batch, StoreError> {
        loop {
            if let Some(batch) = self.page.pop_front() {
                self.returned = batch.revision;
                return Ok(batch);
            }
            let after = self.returned;
            self.head
                .wait_for(|head| *head > after)
                .await
                .map_err(|_| StoreError::Closed)?;
            self.page = self.reader.run(move |log| log::page(log, after)).await??;
        }
    }
}
