use std::path::PathBuf;

use model::{Key, Revision};

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A check of a transaction does not hold; nothing was written.
    #[error("{key} is not as expected: it was changed, created or deleted meanwhile")]
    Conflict {
        /// The key of the first check that failed.
        key: Key,
    },

    /// A transaction writes a key more than once; nothing was written.
    #[error("the transaction writes {key} more than once")]
    WrittenTwice {
        /// The key.
        key: Key,
    },

    /// The change log no longer reaches back to where a watch was to begin.
    #[error("the change log reaches back to revision {oldest} only; everything must be read again")]
    Compacted {
        /// The earliest revision a watch may still begin from.
        oldest: Revision,
    },

    /// There is no database at this path.
    #[error("there is no database {path}")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },

    /// A file that was to be created exists. It was left as it is.
    #[error("{path} exists already and was left as it is; name another file or move this one away")]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },

    /// Another process has the database open.
    #[error("{path} is in use by another pilotlight; stop that one first")]
    InUse {
        /// The database.
        path: PathBuf,
    },

    /// The database cannot be trusted. It was left as it is.
    #[error(
        "the database {path} is damaged: {what}. It was left as it is. To restore a backup: stop pilotlight, move \
         {path}, {path}-wal and {path}-shm (those that exist) away, copy the backup to {path}, start pilotlight"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it, and where in it.
        what: String,
    },

    /// A sound SQLite database, but one of some other program. It was left as it is.
    #[error(
        "{path} is a database of another program (its application id is {application_id:#010x}) and was left as it \
         is; name another data directory or move the file away"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The application id it carries.
        application_id: i32,
    },

    /// The database was written by a newer version. It was left as it is.
    #[error(
        "{path} was written by a newer pilotlight (schema {found}, this version knows {known}) and was left as it \
         is; start the newer version, or restore a backup made by this one"
    )]
    TooNew {
        /// The database.
        path: PathBuf,
        /// The schema version it has.
        found: i32,
        /// The newest schema version this build knows.
        known: i32,
    },

    /// The storage does not work just now, such as a full disk. Nothing was written; the same may be tried again.
    #[error("cannot {doing} {place}: {why}")]
    Unavailable {
        /// What was tried, as a verb: `write`, `read`.
        doing: &'static str,
        /// The file or service it was tried on.
        place: String,
        /// What went wrong.
        why: String,
    },

    /// The answer to a commit was lost: it may have been made, or may still be made. Look before trying again.
    #[error(
        "whether the change was written is not known: {why} ({place}). Look whether it is there before trying again"
    )]
    Uncertain {
        /// The service it was sent to.
        place: String,
        /// What went wrong.
        why: String,
    },

    /// The database is the replica of a cluster that is kept in etcd, so it cannot be written or served on its own.
    #[error(
        "{path} is a replica of the cluster's etcd, where changes are made. Start it as a head of that cluster; or, \
         with the other heads stopped for good, make it a single head again: `pilotlight store migrate --to sqlite`"
    )]
    Replica {
        /// The database.
        path: PathBuf,
    },

    /// The database holds a cluster of its own, and is no replica of one in etcd.
    #[error("{path} holds the cluster of a single head, and is no replica of one in etcd")]
    NotAReplica {
        /// The database.
        path: PathBuf,
    },

    /// The place in etcd where a cluster was to be founded is taken. It was left as it is.
    #[error(
        "{place} was left as it is: {why}. Join the cluster that is there; or, if nobody needs it any more, remove it: \
         etcdctl del --prefix PREFIX"
    )]
    Occupied {
        /// The etcd and the prefix of its keys.
        place: String,
        /// What is there.
        why: String,
    },

    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}
