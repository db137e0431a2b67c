//! A transaction of ours as one of etcd's.

use std::collections::HashSet;

use etcd_client::{Compare, CompareOp, GetOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};
use model::{Expect, Key, Revision, Transaction};

use super::Trouble;
use super::layout::{self, Numbering};
use super::session::Session;
use crate::{SqliteStore, Store, StoreError};

/// What becomes of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It made this revision.
    Made(Revision),
    /// It holds, and changes nothing.
    Unchanged,
    /// The check of this key does not hold.
    Conflict(Key),
    /// All checks hold: the cluster itself is gone from etcd.
    Gone,
}

/// A transaction, and what its checks mean to etcd.
pub(super) struct Plan<'a> {
    session: &'a Session,
    transaction: &'a Transaction,
    /// One for each check.
    conditions: Vec<Condition>,
}

/// What must hold of a key of etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Absent,
    Present,
    /// Last written by this revision of etcd.
    At(i64),
    /// As it was when the cluster was founded in etcd, by this revision or an earlier one.
    SinceFounding(i64),
    /// It can never hold again.
    Never,
}

impl<'a> Plan<'a> {
    pub(super) async fn make(
        transaction: &'a Transaction,
        session: &'a Session,
        replica: &SqliteStore,
    ) -> Result<Self, StoreError> {
        let mut conditions = Vec::with_capacity(transaction.checks.len());
        for (key, expect) in &transaction.checks {
            conditions.push(match *expect {
                Expect::Absent => Condition::Absent,
                Expect::Present => Condition::Present,
                Expect::At(revision) => {
                    condition_at(key, revision, session.numbering(), replica).await?
                }
            });
        }
        Ok(Self {
            session,
            transaction,
            conditions,
        })
    }

    /// The transaction for etcd. Where it fails, it answers what it found under the keys that are checked.
    pub(super) fn txn(&self) -> Txn {
        let keys = self.session.keys();
        let checked = || self.transaction.checks.iter().map(|(key, _)| key);
        let mut compares: Vec<Compare> = checked()
            .zip(&self.conditions)
            .flat_map(|(key, condition)| condition.compares(keys.record(key)))
            .collect();
        compares.push(self.session.fence());
        let writes: Vec<TxnOp> = self
            .transaction
            .writes
            .iter()
            .map(|(key, value)| match value {
                Some(value) => TxnOp::put(keys.record(key), layout::value_now(value), None),
                None => TxnOp::delete(keys.record(key), None),
            })
            .collect();
        let options = || Some(GetOptions::new().with_keys_only());
        let reads: Vec<TxnOp> = checked()
            .map(|key| TxnOp::get(keys.record(key), options()))
            .collect();
        Txn::new().when(compares).and_then(writes).or_else(reads)
    }

    /// What the answer to [`txn`](Self::txn) says.
    pub(super) fn outcome(&self, response: &TxnResponse) -> Result<Outcome, Trouble> {
        let answers = response.op_responses();
        if response.succeeded() {
            let changed = answers.iter().any(|answer| match answer {
                TxnOpResponse::Delete(deleted) => deleted.deleted() > 0,
                _ => true,
            });
            let header = response.header().ok_or(Trouble::Nonsense("no header"))?;
            return Ok(match changed {
                true => Outcome::Made(self.session.numbering().revision(header.revision())),
                false => Outcome::Unchanged,
            });
        }
        let checks = self.transaction.checks.iter().zip(&self.conditions);
        for (((key, _), condition), answer) in checks.zip(&answers) {
            let TxnOpResponse::Get(found) = answer else {
                return Err(Trouble::Nonsense("what it found is missing"));
            };
            let at = found.kvs().first().map(etcd_client::KeyValue::mod_revision);
            if !condition.holds(at) {
                return Ok(Outcome::Conflict(key.clone()));
            }
        }
        Ok(Outcome::Gone)
    }
}

/// What "last written by `revision`" means to etcd.
async fn condition_at(
    key: &Key,
    revision: Revision,
    numbering: Numbering,
    replica: &SqliteStore,
) -> Result<Condition, StoreError> {
    if !numbering.before_etcd().contains(&revision) {
        return Ok(Condition::At(numbering.of_etcd(revision)));
    }
    // Etcd does not know which revision from before made a record, but whether it was changed since it has it; and
    // what such a record's revision is, no later change can alter.
    let found = replica.get(key).await?;
    Ok(match found.map(|record| record.revision) {
        Some(found) if found == revision => Condition::SinceFounding(numbering.founded),
        _ => Condition::Never,
    })
}

impl Condition {
    fn compares(self, key: String) -> Vec<Compare> {
        match self {
            Self::Absent => vec![Compare::version(key, CompareOp::Equal, 0)],
            Self::Present => vec![Compare::version(key, CompareOp::Greater, 0)],
            Self::At(revision) => vec![Compare::mod_revision(key, CompareOp::Equal, revision)],
            // A key that does not exist has the modification revision 0.
            Self::SinceFounding(revision) => vec![
                Compare::mod_revision(key.clone(), CompareOp::Greater, 0),
                Compare::mod_revision(key, CompareOp::Less, revision.saturating_add(1)),
            ],
            Self::Never => vec![Compare::version(key, CompareOp::Less, 0)],
        }
    }

    /// Whether it holds of a key that was last written by revision `at`, or does not exist.
    fn holds(self, at: Option<i64>) -> bool {
        match self {
            Self::Absent => at.is_none(),
            Self::Present => at.is_some(),
            Self::At(revision) => at == Some(revision),
            Self::SinceFounding(revision) => at.is_some_and(|at| at <= revision),
            Self::Never => false,
        }
    }
}

/// Etcd would refuse such a transaction without saying which key it is.
pub(super) fn refuse_written_twice(transaction: &Transaction) -> Result<(), StoreError> {
    let mut written = HashSet::new();
    match transaction
        .writes
        .iter()
        .find(|(key, _)| !written.insert(key))
    {
        None => Ok(()),
        Some((key, _)) => Err(StoreError::WrittenTwice { key: key.clone() }),
    }
}
