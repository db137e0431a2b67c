//! The connection that reads, on threads that may block.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Mutex;

use super::failure::failure;
use crate::StoreError;

/// Reads the database, one reader after the other: a read takes microseconds, a scan of everything some
/// milliseconds, and neither waits for the writer.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    path: PathBuf,
    /// `None` once closed.
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(|error| failure("open", path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            connection: Arc::new(Mutex::new(Some(connection))),
        })
    }

    /// Runs `read` on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.connection).lock_owned().await;
        let path = self.path.clone();
        blocking(move || match &*connection {
            Some(connection) => read(connection).map_err(|error| failure("read", &path, &error)),
            None => Err(StoreError::Closed),
        })
        .await
    }

    pub(super) async fn close(&self) {
        self.connection.lock().await.take();
    }
}

/// Runs `work` on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(StoreError::Closed),
        },
    }
}
