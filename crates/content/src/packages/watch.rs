//! Word from the kernel that something changed in the directories.

use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use super::index::Index;

/// Watched directories: has the index look at everything when something changes in one of them.
///
/// Only a hint. What others write on a network file system is not heard of, and there are fewer watches than an
/// administrator may have directories.
pub(super) struct Watch {
    inotify: Arc<OwnedFd>,
    /// The thread ends when the other end of this is dropped.
    listening: Option<(PipeWriter, JoinHandle<()>)>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new(index: Arc<Index>) -> io::Result<Self> {
        let inotify = Arc::new(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?);
        let (end, alive) = io::pipe()?;
        let listener = thread::Builder::new().name("packages".to_owned()).spawn({
            let inotify = Arc::clone(&inotify);
            move || listen(&inotify, &end.into(), &index)
        })?;
        Ok(Self {
            inotify,
            listening: Some((alive, listener)),
        })
    }

    /// Watches the directory at `path` as well, if it is none that is watched already.
    pub(super) fn add(&self, path: &Path) {
        // Not each write: the last one closes the file.
        let changes = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR;
        // Without it, changes there are noticed late.
        let _ = inotify::add_watch(&self.inotify, path, changes);
    }
}

/// Until the writing end of `end` is closed.
fn listen(inotify: &OwnedFd, end: &OwnedFd, index: &Index) {
    let mut events = [0; 4096];
    loop {
        let mut ready = [inotify, end].map(|file| PollFd::new(file, PollFlags::IN));
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        if !ready[1].revents().is_empty() {
            return;
        }
        // What they are does not matter: they are a hint, and may have been dropped.
        while rustix::io::read(inotify, &mut events).is_ok() {}
        index.look_wanted.notify_one();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((alive, listener)) = self.listening.take() {
            drop(alive);
            // A panic there is of no consequence here.
            let _ = listener.join();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::directories::Directories;
    use super::*;

    #[tokio::test]
    async fn a_change_in_a_watched_directory_is_heard_of() {
        let home = tempfile::tempdir().unwrap();
        let index = Arc::new(Index::new(Directories::open(home.path()).unwrap()));
        let watch = Watch::new(Arc::clone(&index)).unwrap();
        watch.add(&home.path().join("rpm"));
        watch.add(&home.path().join("gone"));
        let heard = || timeout(Duration::from_secs(60), index.look_wanted.notified());
        let (first, second) = (home.path().join("rpm/a"), home.path().join("rpm/b"));
        fs::write(&first, "text").unwrap();
        heard().await.expect("a file is written");
        fs::rename(&first, &second).unwrap();
        heard().await.expect("a file is renamed");
        fs::remove_file(&second).unwrap();
        heard().await.expect("a file is deleted");
        // Waits for the thread.
        drop(watch);
        assert_eq!(Arc::strong_count(&index), 1);
    }
}
