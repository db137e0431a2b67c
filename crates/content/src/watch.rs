//! [`Watch`]: word from the kernel that something changed in some directories.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Watched directories, those in them not included.
///
/// Only a hint. What others write on a network file system is not heard of, there are fewer watches than an
/// administrator may have directories, and what happens too fast is dropped.
#[derive(Debug)]
pub struct Watch {
    inotify: Arc<OwnedFd>,
    watched: Arc<Mutex<Watched>>,
    /// The thread ends when the other end of this is dropped.
    listening: Option<(PipeWriter, JoinHandle<()>)>,
}

/// Where the directories are, by the numbers that the kernel gave them.
type Watched = HashMap<i32, PathBuf>;

impl Watch {
    /// Watches nothing yet. `heard` is called whenever something changed, with the paths of the files that were closed
    /// after they had been written to, or were moved to where they are. Of what else changed there is no account.
    ///
    /// # Errors
    /// The kernel has no more of these, or no more threads.
    pub fn new(
        name: &str,
        mut heard: impl FnMut(Vec<PathBuf>) + Send + 'static,
    ) -> io::Result<Self> {
        let inotify = Arc::new(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?);
        let watched = Arc::new(Mutex::new(Watched::new()));
        let (end, alive) = io::pipe()?;
        let listener = thread::Builder::new().name(name.to_owned()).spawn({
            let (inotify, watched) = (Arc::clone(&inotify), Arc::clone(&watched));
            move || listen(&inotify, &watched, &end.into(), &mut heard)
        })?;
        Ok(Self {
            inotify,
            watched,
            listening: Some((alive, listener)),
        })
    }

    /// Watches the directory at `path` as well, if it is none that is watched already.
    pub fn add(&self, path: &Path) {
        // Not each write: the last one closes the file.
        let changes = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVE_SELF
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        // Without it, changes there are noticed late.
        if let Ok(number) = inotify::add_watch(&self.inotify, path, changes) {
            // Anew each time: a directory keeps its number when it gets another name.
            watched.insert(number, path.to_owned());
        }
    }
}

/// Until the writing end of `end` is closed.
fn listen(
    inotify: &OwnedFd,
    watched: &Mutex<Watched>,
    end: &OwnedFd,
    heard: &mut impl FnMut(Vec<PathBuf>),
) {
    loop {
        let mut ready = [inotify, end].map(|file| PollFd::new(file, PollFlags::IN));
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        if !ready[1].revents().is_empty() {
            return;
        }
        heard(written(inotify, watched));
    }
}

/// Takes all word that there is: the files that are complete by it.
fn written(inotify: &OwnedFd, watched: &Mutex<Watched>) -> Vec<PathBuf> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(inotify, &mut buffer);
    let mut written = Vec::new();
    // Ends when there is nothing more to be read.
    while let Ok(event) = events.next() {
        let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
        let flags = event.events();
        if flags.contains(ReadFlags::IGNORED) {
            watched.remove(&event.wd());
        }
        let is_whole = flags.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO);
        if is_whole
            && !flags.contains(ReadFlags::ISDIR)
            && let Some(directory) = watched.get(&event.wd())
            && let Some(name) = event.file_name()
        {
            written.push(directory.join(OsStr::from_bytes(name.to_bytes())));
        }
    }
    written
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
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_is_told_of_when_it_is_closed_or_moved_there() {
        let home = tempfile::tempdir().unwrap();
        let inside = home.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let (heard, words) = mpsc::channel();
        let watch = Watch::new("test", move |written| heard.send(written).unwrap()).unwrap();
        watch.add(&inside);
        let until = |expected: &Path| {
            let long = Duration::from_secs(60);
            loop {
                let written: Vec<PathBuf> = words.recv_timeout(long).unwrap();
                if written.iter().any(|path| path == expected) {
                    return;
                }
            }
        };
        fs::write(inside.join("a"), "a").unwrap();
        until(&inside.join("a"));
        fs::write(home.path().join("b"), "b").unwrap();
        fs::rename(home.path().join("b"), inside.join("b")).unwrap();
        until(&inside.join("b"));
        // Of what is gone nothing is told but that something changed.
        fs::remove_file(inside.join("b")).unwrap();
        assert!(
            words
                .recv_timeout(Duration::from_secs(60))
                .unwrap()
                .is_empty()
        );

        // It keeps its watch under another name, and has to be told that.
        let other = home.path().join("other");
        fs::rename(&inside, &other).unwrap();
        watch.add(&other);
        fs::write(other.join("c"), "c").unwrap();
        until(&other.join("c"));
    }
}
