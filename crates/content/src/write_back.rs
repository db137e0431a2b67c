//! [`WriteBack`]: a large file goes to the disk while it is still being written, so that the sync at its end is short.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

/// How much is written between one sync and the next.
const STRETCH: usize = 16 << 20;

/// Syncs a file that is being written, in a thread of its own.
pub struct WriteBack<'scope> {
    stretches: SyncSender<()>,
    thread: ScopedJoinHandle<'scope, io::Result<()>>,
    /// Bytes that were written since the last stretch.
    written: usize,
}

impl<'scope> WriteBack<'scope> {
    /// Syncs this file.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn of(scope: &'scope Scope<'scope, '_>, file: &'scope File) -> io::Result<Self> {
        // Those that come while one is synced are synced together.
        let (stretches, written) = sync_channel(1);
        let thread = thread::Builder::new().name("write-back".to_owned());
        Ok(Self {
            stretches,
            thread: thread.spawn_scoped(scope, move || sync_all(file, &written))?,
            written: 0,
        })
    }

    /// Notes that so many bytes more were written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= STRETCH {
            self.written = 0;
            // Full: one that covers these bytes is about to begin.
            let _ = self.stretches.try_send(());
        }
    }

    /// Waits for the sync under way. What was written since is for the caller to sync.
    ///
    /// # Errors
    /// What a sync failed with: the system tells it once, so that the caller's own may succeed.
    pub fn finish(self) -> io::Result<()> {
        drop(self.stretches);
        let synced = self.thread.join();
        synced.unwrap_or_else(|_| Err(io::Error::other("the thread that syncs has panicked")))
    }
}

fn sync_all(file: &File, written: &Receiver<()>) -> io::Result<()> {
    written.iter().try_for_each(|()| file.sync_data())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_synced_as_it_is_written() {
        let file = tempfile::tempfile().unwrap();
        thread::scope(|scope| {
            let mut write_back = WriteBack::of(scope, &file).unwrap();
            (0..10).for_each(|_| write_back.wrote(STRETCH));
            write_back.finish().unwrap();
        });
    }

    #[test]
    fn a_sync_that_fails_is_told() {
        // A pipe cannot be synced.
        let (_reader, writer) = io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(writer));
        thread::scope(|scope| {
            let mut write_back = WriteBack::of(scope, &pipe).unwrap();
            write_back.wrote(STRETCH);
            write_back.finish().unwrap_err();
        });
    }
}
