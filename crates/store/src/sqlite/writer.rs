//! The one thread that writes.
//!
//! A commit costs one fsync, whatever is in it. So the writer takes all transactions that wait, carries each out on
//! its own merits, and makes them durable together.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::{Revision, Transaction};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::failure::{failure, io_failure};
use super::lock::Lock;
use super::records::{self, Verdict};
use super::{log, schema};
use crate::StoreError;

/// Transactions made durable by one fsync at most. Those who commit wait while as many are queued.
const GROUP: usize = 256;

/// A write this recent proves that writing works, so that asking often costs nothing.
const RECENT: Duration = Duration::from_secs(1);

/// What the writer is asked.
#[derive(Debug)]
pub(super) enum Work {
    /// To carry out a transaction.
    Commit(Transaction),
    /// To prove that it can write.
    Probe,
}

/// Work, and where its answer goes.
#[derive(Debug)]
pub(super) struct Request {
    work: Work,
    answer: oneshot::Sender<Result<Revision, StoreError>>,
}

/// The writer thread, seen from outside. Dropping it stops the thread.
#[derive(Debug)]
pub(super) struct Writer {
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread; it owns `connection` and holds `lock` until it ends. Also returns the revision of the
    /// store, kept up to date.
    pub(super) fn start(
        connection: Connection,
        lock: Lock,
        path: &Path,
    ) -> Result<(Self, watch::Receiver<Revision>), StoreError> {
        let head = log::head(&connection).map_err(|error| failure("read", path, &error))?;
        let (head, head_seen) = watch::channel(head);
        let (requests, waiting) = mpsc::channel(GROUP);
        let thread = WriterThread {
            connection,
            path: path.to_owned(),
            waiting,
            head,
            last_write: None,
            _lock: lock,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.run())
            .map_err(|error| io_failure("start the thread that writes", path, &error))?;
        let running = Mutex::new(Some(Running { requests, thread }));
        Ok((Self { running }, head_seen))
    }

    /// Has `work` done; the answer comes when it is durable.
    pub(super) async fn submit(&self, work: Work) -> Result<Revision, StoreError> {
        let requests = self.requests()?;
        let (answer, answered) = oneshot::channel();
        let request = Request { work, answer };
        requests
            .send(request)
            .await
            .map_err(|_| StoreError::Closed)?;
        drop(requests);
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Where requests go, or [`StoreError::Closed`]. The thread runs on while anyone holds this.
    pub(super) fn requests(&self) -> Result<mpsc::Sender<Request>, StoreError> {
        match &*self.lock() {
            Some(running) => Ok(running.requests.clone()),
            None => Err(StoreError::Closed),
        }
    }

    /// Lets the thread finish what was submitted, and waits for its end.
    pub(super) fn stop(&self) {
        let running = self.lock().take();
        if let Some(Running { requests, thread }) = running {
            drop(requests);
            // It holds nothing whose loss a panic could add to: every write in doubt was rolled back.
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

struct WriterThread {
    connection: Connection,
    path: PathBuf,
    waiting: mpsc::Receiver<Request>,
    head: watch::Sender<Revision>,
    /// When something was last made durable, unless a failure came after it.
    last_write: Option<Instant>,
    /// Released last.
    _lock: Lock,
}

impl WriterThread {
    fn run(mut self) {
        while let Some(first) = self.waiting.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(next) = self.waiting.try_recv()
            {
                group.push(next);
            }
            self.serve(group);
        }
    }

    fn serve(&mut self, group: Vec<Request>) {
        match self.write(&group) {
            Ok(answers) => {
                for (request, answer) in group.into_iter().zip(answers) {
                    // Whoever asked may have gone; the write stands.
                    let _ = request.answer.send(answer);
                }
            }
            // A transaction too large for the space left must not fail its neighbours.
            Err(error)
                if group.len() > 1 && error.sqlite_error_code() == Some(ErrorCode::DiskFull) =>
            {
                for request in group {
                    self.serve(vec![request]);
                }
            }
            // Nothing of the group was written. Those that were refused may have been refused because of others in
            // it, so they get the same answer.
            Err(error) => {
                self.last_write = None;
                let error = failure("write", &self.path, &error);
                for request in group {
                    let _ = request.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Carries out the group in one SQL transaction. An error means that nothing of it happened.
    fn write(&mut self, group: &[Request]) -> rusqlite::Result<Vec<Result<Revision, StoreError>>> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = log::head(&transaction)?;
        let mut head = before;
        let mut probed = false;
        let mut answers = Vec::with_capacity(group.len());
        for request in group {
            answers.push(match &request.work {
                Work::Commit(change) => {
                    let next = Revision(head.0 + 1);
                    match records::apply(&transaction, change, next)? {
                        Verdict::Changed => {
                            head = next;
                            Ok(head)
                        }
                        Verdict::Unchanged => Ok(head),
                        Verdict::Refused(error) => Err(error),
                    }
                }
                Work::Probe => {
                    let recent = self.last_write.is_some_and(|at| at.elapsed() < RECENT);
                    if !recent && !probed {
                        // Writes a page of the file without changing it.
                        transaction.pragma_update(None, "user_version", schema::VERSION)?;
                        probed = true;
                    }
                    Ok(head)
                }
            });
        }
        log::trim(&transaction, head)?;
        transaction.commit()?;
        if probed || head > before {
            self.last_write = Some(Instant::now());
        }
        if head > before {
            self.head.send_replace(head);
        }
        Ok(answers)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use model::Key;

    use super::*;

    /// A thread not started, on a database that can grow by `pages` pages, and the means to ask it.
    fn thread(directory: &Path, pages: i64) -> WriterThread {
        let connection = Connection::open(directory.join("db")).unwrap();
        schema::lay_out(&connection).unwrap();
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .unwrap();
        let thread = WriterThread {
            connection,
            path: directory.join("db"),
            waiting: mpsc::channel(1).1,
            head: watch::Sender::new(Revision(0)),
            last_write: None,
            _lock: Lock::claim(&directory.join("db")).unwrap(),
        };
        limit(&thread, pages);
        thread
    }

    fn limit(thread: &WriterThread, more_pages: i64) {
        let pages: i64 = thread
            .connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        thread
            .connection
            .pragma_update_and_check(None, "max_page_count", pages + more_pages, |_| Ok(()))
            .unwrap();
    }

    fn commit(name: &str, size: usize) -> Work {
        let mut transaction = Transaction::default();
        transaction.claim(Key::new(name), vec![7; size]);
        Work::Commit(transaction)
    }

    /// The answers to `group`, served together.
    fn serve(
        thread: &mut WriterThread,
        group: impl IntoIterator<Item = Work>,
    ) -> Vec<Result<Revision, StoreError>> {
        let (group, answers): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|work| {
                let (answer, answered) = oneshot::channel();
                (Request { work, answer }, answered)
            })
            .unzip();
        thread.serve(group);
        answers
            .into_iter()
            .map(|answer| answer.blocking_recv().unwrap())
            .collect()
    }

    #[test]
    fn a_group_is_judged_one_by_one_and_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut thread = thread(directory.path(), 100);
        let told = thread.head.subscribe();
        let group = [commit("a", 1), commit("a", 1), Work::Probe, commit("b", 1)];
        let answers = serve(&mut thread, group);
        let conflict = StoreError::Conflict { key: Key::new("a") };
        assert_eq!(
            answers,
            [
                Ok(Revision(1)),
                Err(conflict),
                Ok(Revision(1)),
                Ok(Revision(2))
            ]
        );
        assert_eq!(*told.borrow(), Revision(2));
    }

    #[test]
    fn one_too_large_for_the_disk_does_not_fail_its_neighbours() {
        let directory = tempfile::tempdir().unwrap();
        let mut thread = thread(directory.path(), 10);
        let group = [commit("a", 1), commit("large", 1 << 20), commit("b", 1)];
        let answers = serve(&mut thread, group);
        assert_eq!(answers[0], Ok(Revision(1)));
        assert_eq!(answers[2], Ok(Revision(2)));
        let error = answers[1].clone().unwrap_err().to_string();
        assert!(error.contains("the disk is full"), "{error}");
        assert!(error.contains(&*thread.path.to_string_lossy()), "{error}");

        limit(&thread, 1_000);
        assert_eq!(
            serve(&mut thread, [commit("large", 1 << 20)]),
            [Ok(Revision(3))]
        );
    }
}
