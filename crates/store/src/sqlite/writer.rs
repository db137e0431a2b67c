//! The one thread that writes.
//!
//! A commit costs one fsync, whatever is in it. So the writer takes all transactions that wait, carries each out on
//! its own merits, and makes them durable together.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::{Revision, Transaction, Uid};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::failure::{failure, io_failure};
use super::lock::Lock;
use super::records::{self, Verdict};
use super::role::Role;
use super::{log, replica, schema};
use crate::{Batch, Snapshot, StoreError};

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
    /// To take over those of the batches that are new. For a replica only.
    TakeOver(Vec<Batch>),
    /// To become the replica of a cluster as it stands. For a replica only.
    Become(Snapshot, Uid),
    /// To take on a role.
    Play(Role),
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
        role: Role,
        lock: Lock,
        path: &Path,
    ) -> Result<(Self, watch::Receiver<Revision>), StoreError> {
        let head = log::head(&connection).map_err(|error| failure("read", path, &error))?;
        let (head, head_seen) = watch::channel(head);
        let (requests, waiting) = mpsc::channel(GROUP);
        let thread = WriterThread {
            connection,
            path: path.to_owned(),
            role,
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
    /// As it stands in the database.
    role: Role,
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
        let recent = self.last_write.is_some_and(|at| at.elapsed() < RECENT);
        let mut draft = Draft {
            transaction: &transaction,
            path: &self.path,
            role: self.role,
            head: before,
            wrote: recent,
        };
        let answers = group
            .iter()
            .map(|request| draft.carry_out(&request.work))
            .collect::<rusqlite::Result<_>>()?;
        let Draft {
            role, head, wrote, ..
        } = draft;
        log::trim(&transaction, head)?;
        transaction.commit()?;
        self.role = role;
        if head > before || wrote && !recent {
            self.last_write = Some(Instant::now());
        }
        if head > before {
            self.head.send_replace(head);
        }
        Ok(answers)
    }
}

/// A group that is being carried out, and not durable yet.
struct Draft<'a> {
    transaction: &'a Connection,
    path: &'a Path,
    role: Role,
    head: Revision,
    /// Whether something was written just now or lately.
    wrote: bool,
}

impl Draft<'_> {
    fn carry_out(&mut self, work: &Work) -> rusqlite::Result<Result<Revision, StoreError>> {
        match work {
            Work::Commit(_) if self.role.is_replica() => {
                return Ok(Err(StoreError::Replica {
                    path: self.path.to_owned(),
                }));
            }
            Work::TakeOver(_) | Work::Become(..) if !self.role.is_replica() => {
                return Ok(Err(StoreError::NotAReplica {
                    path: self.path.to_owned(),
                }));
            }
            Work::Commit(change) => {
                let next = Revision(self.head.0 + 1);
                match records::apply(self.transaction, change, next)? {
                    Verdict::Changed => self.head = next,
                    Verdict::Unchanged => {}
                    Verdict::Refused(error) => return Ok(Err(error)),
                }
            }
            Work::Probe => {
                if !self.wrote {
                    // Writes a page of the file without changing it.
                    self.transaction
                        .pragma_update(None, "user_version", schema::VERSION)?;
                }
                self.wrote = true;
            }
            Work::TakeOver(batches) => {
                for batch in batches {
                    self.take_over(batch)?;
                }
            }
            Work::Become(snapshot, cluster) => {
                let difference = replica::difference(self.transaction, snapshot)?;
                if !difference.changes.is_empty() {
                    if difference.revision <= self.head {
                        return Ok(Err(self.differs_at(difference.revision)));
                    }
                    self.take_over(&difference)?;
                }
                self.play(Role::Replica(*cluster))?;
            }
            Work::Play(role) => self.play(*role)?,
        }
        Ok(Ok(self.head))
    }

    fn take_over(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        if batch.revision > self.head {
            replica::take_over(self.transaction, batch)?;
            self.head = batch.revision;
        }
        Ok(())
    }

    fn play(&mut self, role: Role) -> rusqlite::Result<()> {
        if role != self.role {
            role.write(self.transaction)?;
            self.role = role;
        }
        Ok(())
    }

    fn differs_at(&self, revision: Revision) -> StoreError {
        StoreError::Damaged {
            path: self.path.to_owned(),
            what: format!(
                "it is not what etcd has, though no older (it is at {}, etcd at {revision})",
                self.head
            ),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use model::{Change, Key};

    use super::*;
    use crate::Record;

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
            role: Role::Whole,
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

    fn change(name: &str, revision: u64) -> Change {
        Change {
            key: Key::new(name),
            value: Some("value".into()),
            revision: Revision(revision),
        }
    }

    fn batch(revision: u64) -> Batch {
        Batch {
            revision: Revision(revision),
            changes: vec![change("a", revision)],
        }
    }

    fn replica(directory: &Path) -> WriterThread {
        let mut thread = thread(directory, 100);
        assert_eq!(
            serve(&mut thread, [Work::Play(Role::EmptyReplica)]),
            [Ok(Revision(0))]
        );
        thread
    }

    #[test]
    fn a_replica_takes_over_what_is_new_and_makes_nothing_itself() {
        let directory = tempfile::tempdir().unwrap();
        let mut thread = replica(directory.path());
        let told = thread.head.subscribe();
        let group = [
            Work::TakeOver(vec![batch(4), batch(9)]),
            Work::TakeOver(vec![batch(4), batch(9), batch(10)]),
            commit("b", 1),
        ];
        let answers = serve(&mut thread, group);
        assert_eq!(answers[..2], [Ok(Revision(9)), Ok(Revision(10))]);
        let path = thread.path.clone();
        assert_eq!(answers[2], Err(StoreError::Replica { path }));
        assert_eq!(*told.borrow(), Revision(10));
        let logged = log::page(&thread.connection, Revision(3)).unwrap().unwrap();
        assert_eq!(logged, [batch(4), batch(9), batch(10)]);
    }

    #[test]
    fn only_a_replica_takes_anything_over() {
        let directory = tempfile::tempdir().unwrap();
        let mut thread = thread(directory.path(), 100);
        let path = thread.path.clone();
        let refused = Err(StoreError::NotAReplica { path });
        assert_eq!(
            serve(&mut thread, [Work::TakeOver(vec![batch(1)])]),
            [refused]
        );
    }

    #[test]
    fn a_replica_becomes_a_snapshot_by_one_batch() {
        let directory = tempfile::tempdir().unwrap();
        let mut thread = replica(directory.path());
        serve(&mut thread, [Work::TakeOver(vec![batch(4)])]);
        let snapshot = Snapshot {
            records: ["b", "c"].map(|name| record(name, 6)).into(),
            revision: Revision(8),
        };
        let cluster = Uid::from_bytes([7; 16]);
        let again = || Work::Become(snapshot.clone(), cluster);
        let answers = serve(&mut thread, [again(), again()]);
        assert_eq!(answers, [Ok(Revision(8)), Ok(Revision(8))]);
        assert_eq!(records::scan(&thread.connection, "").unwrap(), snapshot);
        assert_eq!(
            Role::read(&thread.connection).unwrap(),
            Role::Replica(cluster)
        );
        let deleted = Change {
            value: None,
            ..change("a", 8)
        };
        let expected = Batch {
            revision: Revision(8),
            changes: vec![deleted, change("b", 6), change("c", 6)],
        };
        let logged = log::page(&thread.connection, Revision(4)).unwrap().unwrap();
        assert_eq!(logged, [expected]);

        let other = Snapshot {
            records: vec![record("d", 7)],
            revision: Revision(8),
        };
        let refused = serve(&mut thread, [Work::Become(other, cluster)]).remove(0);
        assert!(
            matches!(refused, Err(StoreError::Damaged { .. })),
            "{refused:?}"
        );
        assert_eq!(records::scan(&thread.connection, "").unwrap(), snapshot);
    }

    fn record(name: &str, revision: u64) -> Record {
        Record {
            key: Key::new(name),
            value: "value".into(),
            revision: Revision(revision),
        }
    }
}
