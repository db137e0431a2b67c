//! The suite every [`Store`] passes.
//!
//! Each case gets a store of its own, new and empty.
#![allow(clippy::unwrap_used)]

mod feed;
mod lifetime;
mod reads;
mod transactions;

use std::sync::Arc;

use bytes::Bytes;
use model::{Key, Revision, Transaction};

use crate::Store;

type Subject = Arc<dyn Store>;

/// Runs every case. `make` gives a new and empty store; `compact` makes a store forget the changes of all revisions
/// up to the present, by whatever means it has, and may commit to do so.
pub async fn run(make: impl AsyncFn() -> Subject, compact: impl AsyncFn(&Subject)) {
    reads::run(&make).await;
    transactions::run(&make).await;
    feed::run(&make, &compact).await;
    lifetime::run(&make).await;
}

fn key(text: &str) -> Key {
    Key::new(text)
}

async fn put(store: &Subject, name: &str, value: impl Into<Bytes>) -> Revision {
    let mut change = Transaction::default();
    change.put(key(name), value);
    store.commit(change).await.unwrap()
}

async fn delete(store: &Subject, name: &str) {
    let mut change = Transaction::default();
    change.delete(key(name));
    store.commit(change).await.unwrap();
}

async fn value(store: &Subject, name: &str) -> Option<Bytes> {
    let record = store.get(&key(name)).await.unwrap()?;
    assert_eq!(record.key.as_str(), name);
    Some(record.value)
}

async fn revision_of(store: &Subject, name: &str) -> Option<Revision> {
    Some(store.get(&key(name)).await.unwrap()?.revision)
}
