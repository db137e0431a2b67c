//! [`Admissions`]: who may ask, beside the heads of the cluster.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{ClusterState, Uid};
use tokio::time::Instant;

/// How long a machine that was admitted may ask after it last did.
const KEPT: Duration = Duration::from_secs(3600);

/// The machines that this head admitted to the cluster and that are not heads of it yet: they copy its files first.
///
/// Having a certificate is not enough, or a removed head would go on for years with its own. Who is a head, the
/// cluster's state tells; who was admitted, only the head that did it remembers, in memory and for an hour. A machine
/// that takes longer than its head runs is admitted again when it repeats its join.
#[derive(Clone, Debug, Default)]
pub struct Admissions {
    last_asked: Arc<Mutex<HashMap<Uid, Instant>>>,
}

impl Admissions {
    /// Lets the machine that was given this UID ask.
    pub fn admit(&self, uid: Uid) {
        let now = Instant::now();
        let mut last_asked = self.lock();
        last_asked.retain(|_, last| now.duration_since(*last) < KEPT);
        last_asked.insert(uid, now);
    }

    /// Whether `uid` may ask this head something.
    pub(super) fn may_ask(&self, uid: Uid, state: &ClusterState) -> bool {
        if state.heads.get(uid).is_some() {
            return true;
        }
        let now = Instant::now();
        match self.lock().get_mut(&uid) {
            Some(last) if now.duration_since(*last) < KEPT => {
                *last = now;
                true
            }
            _ => false,
        }
    }

    /// Forgets those who are heads now: when they are removed, they are to be refused.
    pub(super) fn forget_heads(&self, state: &ClusterState) {
        self.lock().retain(|uid, _| state.heads.get(*uid).is_none());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uid, Instant>> {
        // Each change to it is one call, so it is whole whoever panicked.
        self.last_asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use model::{Change, Cluster, HeadSpec, Kind, PasswordHash, Revision};

    use super::*;

    const UID: Uid = Uid::from_bytes([1; 16]);

    /// A cluster of these heads.
    fn cluster(heads: &[Uid]) -> ClusterState {
        let settings = Cluster {
            name: "test".parse().unwrap(),
            domain: None,
            default_group: UID,
            database_password: PasswordHash(String::new()),
        };
        let record = |key, value: Vec<u8>| Change {
            key,
            value: Some(value.into()),
            revision: Revision::default(),
        };
        let head = HeadSpec {
            name: "a".parse().unwrap(),
            url: "http://127.0.0.1".into(),
            exchange: "127.0.0.1:2381".parse().unwrap(),
            etcd: None,
            version: "1".into(),
        };
        let head = |uid: &Uid| record(Kind::Head.key(*uid), serde_json::to_vec(&head).unwrap());
        let mut records = vec![record(Cluster::key(), settings.record())];
        records.extend(heads.iter().map(head));
        ClusterState::load(records, Revision::default()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_admitted_machine_may_ask_as_long_as_it_does() {
        let (admissions, nobody) = (Admissions::default(), cluster(&[]));
        assert!(!admissions.may_ask(UID, &nobody));
        admissions.admit(UID);
        for _ in 0..3 {
            tokio::time::advance(KEPT - Duration::from_secs(1)).await;
            assert!(admissions.may_ask(UID, &nobody));
        }
        tokio::time::advance(KEPT).await;
        assert!(!admissions.may_ask(UID, &nobody));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_removed_is_refused_though_it_was_admitted() {
        let admissions = Admissions::default();
        admissions.admit(UID);
        let with = cluster(&[UID]);
        assert!(admissions.may_ask(UID, &with));
        admissions.forget_heads(&with);
        assert!(admissions.may_ask(UID, &with));
        assert!(!admissions.may_ask(UID, &cluster(&[])));
    }
}
