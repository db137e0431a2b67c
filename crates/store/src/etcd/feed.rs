//! What happens in etcd, brought to the replica.

use std::convert::Infallible;

use etcd_client::{EventType, GetOptions, KeyValue, WatchResponse};
use model::{Change, Revision};
use tokio::sync::mpsc;

use super::Trouble;
use super::connection::{self, Connection};
use super::layout::{self, KeyKind, Numbering};
use super::session::Session;
use crate::sqlite::Role;
use crate::{Batch, Record, Snapshot, SqliteStore};

/// How many records are read at once at first, and at least.
const FIRST_PAGE: i64 = 1_000;

/// How many at most.
const LAST_PAGE: i64 = 50_000;

/// How many bytes a page should have. For each, etcd goes through all keys that are left: many small ones would take it a
/// time that is quadratic in their number.
const PAGE_SIZE: usize = 8 << 20;

/// Messages of etcd that may wait for the disk. What waits is written together.
const WAITING: usize = 64;

/// Brings a replica that has never seen its cluster to where that stands.
pub(super) async fn fill(replica: &SqliteStore, session: &Session) -> Result<(), Trouble> {
    if replica.role().await? == Role::EmptyReplica {
        read_all(replica, session).await?;
    }
    Ok(())
}

/// Keeps the replica up with etcd for as long as the session lasts.
pub(super) async fn follow(
    replica: &SqliteStore,
    session: &Session,
) -> Result<Infallible, Trouble> {
    let seen = *replica.revisions().borrow();
    let mut after = match seen < session.numbering().base {
        // What came between was never in etcd.
        true => read_all(replica, session).await?,
        false => session.numbering().of_etcd(seen),
    };
    loop {
        match follow_from(after, replica, session).await {
            Ok(never) => match never {},
            Err(Trouble::Compacted) => {
                tracing::info!(
                    revision = %seen,
                    "etcd has forgotten what followed the replica's revision; reading everything"
                );
                after = read_all(replica, session).await?;
            }
            Err(trouble) => return Err(trouble),
        }
    }
}

/// Makes the replica what etcd has now. Returns the revision of etcd.
async fn read_all(replica: &SqliteStore, session: &Session) -> Result<i64, Trouble> {
    let (snapshot, at) = snapshot(session, session.numbering()).await?;
    // The cluster that is still there now was there when its records were read.
    session.probe().await?;
    replica.become_replica(snapshot, session.cluster()).await?;
    Ok(at)
}

/// All records as they stand at one revision of etcd.
pub(super) async fn snapshot(
    connection: &Connection,
    numbering: Numbering,
) -> Result<(Snapshot, i64), Trouble> {
    let keys = connection.keys();
    let end = end_of(keys.records());
    let mut from = keys.records().as_bytes().to_owned();
    let mut at = None;
    let mut records: Vec<Record> = Vec::new();
    let mut limit = FIRST_PAGE;
    loop {
        let mut options = GetOptions::new().with_range(end.clone()).with_limit(limit);
        if let Some(at) = at {
            options = options.with_revision(at);
        }
        let page = connection.read_much(from, options).await?;
        let at = *at.get_or_insert(connection::revision_of(&page)?);
        for found in page.kvs() {
            records.push(layout::record(found, keys, numbering)?);
        }
        match page.kvs().last() {
            Some(last) if page.more() => {
                from = [last.key(), b"\0"].concat();
                limit = next_page(page.kvs().len(), page.kvs().iter().map(size).sum());
            }
            _ => {
                let revision = numbering.revision(at);
                return Ok((Snapshot { records, revision }, at));
            }
        }
    }
}

/// How many records to read next, if they are as large as these, which have `size` bytes together.
fn next_page(records: usize, size: usize) -> i64 {
    let fitting = PAGE_SIZE * records / size.max(1);
    i64::try_from(fitting).map_or(LAST_PAGE, |fitting| fitting.clamp(FIRST_PAGE, LAST_PAGE))
}

fn size(found: &KeyValue) -> usize {
    found.key().len() + found.value().len()
}

/// The first key after all that begin with `prefix`. The prefix is text, so its last byte is not the highest there is.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_owned();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

async fn follow_from(
    after: i64,
    replica: &SqliteStore,
    session: &Session,
) -> Result<Infallible, Trouble> {
    let (found, mut waiting) = mpsc::channel(WAITING);
    let listen = async {
        let mut changes = session.changes(after.saturating_add(1)).await?;
        loop {
            let message = changes.message().await?;
            let message = message.ok_or_else(|| Trouble::FeedEnded("no reason given".into()))?;
            for batch in batches(&message, session)? {
                // The receiver lives as long as this future does.
                let _ = found.send(batch).await;
            }
        }
    };
    let write = async {
        loop {
            let mut batches = Vec::new();
            waiting.recv_many(&mut batches, WAITING).await;
            replica.take_over(batches).await?;
        }
    };
    tokio::select! {
        ended = listen => ended,
        failed = write => failed,
    }
}

/// The changes of a message, by revision.
fn batches(message: &WatchResponse, session: &Session) -> Result<Vec<Batch>, Trouble> {
    if message.compact_revision() > 0 {
        return Err(Trouble::Compacted);
    }
    if message.canceled() {
        return Err(Trouble::FeedEnded(message.cancel_reason().to_owned()));
    }
    let mut batches: Vec<Batch> = Vec::new();
    for event in message.events() {
        let found = event
            .kv()
            .ok_or(Trouble::Nonsense("a change without a key"))?;
        match session.keys().kind(found.key()) {
            KeyKind::Record => {}
            // What follows is no longer about this cluster: its records may be removed, and those of another written.
            KeyKind::Mark => return Err(Trouble::Retired),
            KeyKind::Foreign => continue,
        }
        let (revision, change) = change(event.event_type(), found, session)?;
        match batches.last_mut() {
            Some(batch) if batch.revision == revision => batch.changes.push(change),
            _ => batches.push(Batch {
                revision,
                changes: vec![change],
            }),
        }
    }
    for batch in &mut batches {
        batch.changes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    }
    Ok(batches)
}

/// A change, and the revision of the batch it belongs to.
fn change(
    kind: EventType,
    found: &KeyValue,
    session: &Session,
) -> Result<(Revision, Change), Trouble> {
    let revision = session.numbering().revision(found.mod_revision());
    let change = match kind {
        EventType::Put => layout::record(found, session.keys(), session.numbering())?.into(),
        EventType::Delete => Change {
            key: layout::deleted(found, session.keys())?,
            value: None,
            revision,
        },
    };
    Ok((revision, change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_as_many_records_as_fit() {
        assert_eq!(next_page(1_000, 1_000 << 10), 8 << 10);
        assert_eq!(next_page(1_000, 1_000), LAST_PAGE);
        assert_eq!(next_page(1, 1 << 20), FIRST_PAGE);
        assert_eq!(next_page(0, 0), FIRST_PAGE);
    }
}
