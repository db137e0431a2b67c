//! A cluster comes to etcd, and leaves it.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, Txn, TxnOp};
use model::Uid;

use super::Trouble;
use super::connection::Connection;
use super::feed;
use super::layout::{self, ClusterMark, ClusterState, Numbering};
use crate::{Record, Snapshot};

/// Operations in one transaction; by default etcd takes 128 (`--max-txn-ops`).
const OPERATIONS: usize = 120;

/// Bytes in one transaction, but for the last record; by default etcd takes 1.5 MiB (`--max-request-bytes`).
const BYTES: usize = 1 << 19;

/// How long etcd may take to write one of them.
const WRITE: Duration = Duration::from_secs(5);

/// Why a cluster was not founded. Whatever was written of it stays unnoticed, and is removed by the next attempt.
#[derive(Debug, thiserror::Error)]
pub(super) enum FoundingError {
    /// The prefix is taken.
    #[error("{0}")]
    Occupied(String),
    /// Somebody else founds a cluster under the same prefix.
    #[error("somebody else began to found a cluster there at the same time")]
    Overtaken,
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// Writes the whole cluster into etcd, where it is known as `cluster` from then on.
pub(super) async fn found(
    etcd: &Connection,
    cluster: Uid,
    state: &Snapshot,
) -> Result<(), FoundingError> {
    let Some(vacant) = vacancy(etcd, cluster, state).await? else {
        return Ok(());
    };
    let keys = etcd.keys();
    let mark = |state| {
        let mark = ClusterMark::new(cluster, state);
        TxnOp::put(keys.mark(), mark.to_json(), None)
    };
    let all = DeleteOptions::new().with_prefix();
    let begin = vec![
        TxnOp::delete(keys.records(), Some(all)),
        mark(ClusterState::Founding),
    ];
    let begun = write(etcd, vacant, begin).await?;
    let ours = || Compare::mod_revision(keys.mark(), CompareOp::Equal, begun);
    for chunk in chunks(&state.records) {
        let puts = chunk.iter().map(|record| {
            let value = layout::value_from_before(record.revision, &record.value);
            TxnOp::put(keys.record(&record.key), value, None)
        });
        write(etcd, ours(), puts.collect()).await?;
    }
    let kept = ClusterState::Kept {
        base: state.revision,
        records: state.records.len() as u64,
    };
    write(etcd, ours(), vec![mark(kept)]).await?;
    Ok(())
}

/// What must hold for a cluster to be founded here; `None` where this very one is here already, by an attempt whose
/// success was not noticed.
async fn vacancy(
    etcd: &Connection,
    cluster: Uid,
    state: &Snapshot,
) -> Result<Option<Compare>, FoundingError> {
    let keys = etcd.keys();
    let Some((mark, found)) = etcd.mark().await?.0 else {
        let strangers = count(etcd, keys.prefix(), GetOptions::new()).await?;
        if strangers > 0 {
            let why = format!("there are {strangers} keys of somebody else");
            return Err(FoundingError::Occupied(why));
        }
        return Ok(Some(Compare::version(keys.mark(), CompareOp::Equal, 0)));
    };
    let founded = found.mod_revision();
    if let ClusterState::Kept { base, records } = mark.state {
        let since = GetOptions::new().with_min_mod_revision(founded.saturating_add(1));
        let untouched = count(etcd, keys.records(), since).await? == 0
            && count(etcd, keys.records(), GetOptions::new()).await? == records;
        if mark.cluster != cluster || !untouched {
            let why = format!("the cluster {} lives there", mark.cluster);
            return Err(FoundingError::Occupied(why));
        }
        if base == state.revision {
            return Ok(None);
        }
    }
    Ok(Some(Compare::mod_revision(
        keys.mark(),
        CompareOp::Equal,
        founded,
    )))
}

/// How many keys begin with `prefix`, and are as `options` say.
async fn count(etcd: &Connection, prefix: &str, options: GetOptions) -> Result<u64, Trouble> {
    // Filters by revision work on what is returned, and not on what etcd counts.
    let options = options.with_prefix().with_keys_only();
    let found = etcd.read(prefix, options).await?;
    Ok(found.kvs().len() as u64)
}

/// Removes what an attempt has written that nobody knows of yet.
pub(super) async fn forget(etcd: &Connection, cluster: Uid) -> Result<(), FoundingError> {
    let keys = etcd.keys();
    if let Some((mark, found)) = etcd.mark().await?.0
        && mark.cluster == cluster
    {
        let unchanged = Compare::mod_revision(keys.mark(), CompareOp::Equal, found.mod_revision());
        let all = || Some(DeleteOptions::new().with_prefix());
        let everything = vec![
            TxnOp::delete(keys.records(), all()),
            TxnOp::delete(keys.mark(), None),
        ];
        write(etcd, unchanged, everything).await?;
    }
    Ok(())
}

/// Ends the cluster's life in this etcd: from then on, nobody can change it here. Returns all that it holds. Doing it
/// again does no harm.
pub(super) async fn retire(etcd: &Connection, cluster: Uid) -> Result<Snapshot, FoundingError> {
    let keys = etcd.keys();
    let prefix = keys.prefix().to_owned();
    let (mark, found) = etcd.mark().await?.0.ok_or(Trouble::NoCluster { prefix })?;
    if mark.cluster != cluster {
        return Err(FoundingError::Trouble(Trouble::OtherCluster {
            found: mark.cluster,
            own: cluster,
        }));
    }
    let numbering = match mark.state {
        ClusterState::Founding => {
            let prefix = keys.prefix().to_owned();
            return Err(FoundingError::Trouble(Trouble::Founding { prefix }));
        }
        ClusterState::Retired { base, founded } => Numbering { base, founded },
        ClusterState::Kept { base, .. } => {
            let founded = found.mod_revision();
            let retired = ClusterMark::new(cluster, ClusterState::Retired { base, founded });
            let unchanged = Compare::mod_revision(keys.mark(), CompareOp::Equal, founded);
            let mark = TxnOp::put(keys.mark(), retired.to_json(), None);
            write(etcd, unchanged, vec![mark]).await?;
            Numbering { base, founded }
        }
    };
    let (snapshot, _) = feed::snapshot(etcd, numbering).await?;
    Ok(snapshot)
}

/// Carries out the operations while `holds` does. Returns the revision of etcd that this made.
async fn write(
    etcd: &Connection,
    holds: Compare,
    operations: Vec<TxnOp>,
) -> Result<i64, FoundingError> {
    let transaction = Txn::new().when([holds]).and_then(operations);
    let response = etcd.transact(transaction, WRITE).await?;
    if !response.succeeded() {
        return Err(FoundingError::Overtaken);
    }
    let header = response.header().ok_or(Trouble::Nonsense("no header"))?;
    Ok(header.revision())
}

/// The records in pieces, each small enough for one transaction of etcd.
fn chunks(records: &[Record]) -> Vec<&[Record]> {
    let mut chunks = Vec::new();
    let mut rest = records;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fit = rest
            .iter()
            .take(OPERATIONS)
            .take_while(|record| {
                let fits = bytes < BYTES;
                bytes += record.key.as_str().len() + record.value.len();
                fits
            })
            .count();
        let (chunk, after) = rest.split_at(fit);
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use model::{Key, Revision};

    use super::*;

    fn sizes(values: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let records: Vec<Record> = values
            .into_iter()
            .map(|size| Record {
                key: Key::new(""),
                value: vec![0; size].into(),
                revision: Revision(1),
            })
            .collect();
        chunks(&records).iter().map(|chunk| chunk.len()).collect()
    }

    #[test]
    fn a_chunk_ends_where_etcd_would_refuse_more() {
        assert!(sizes([]).is_empty());
        assert_eq!(sizes([10; 2 * OPERATIONS + 1]), [OPERATIONS, OPERATIONS, 1]);
        assert_eq!(sizes([BYTES / 2; 5]), [2, 2, 1]);
        assert_eq!(sizes([1, 2 * BYTES, 1, 1]), [2, 2]);
    }
}
