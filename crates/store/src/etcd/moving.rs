//! A head's own database becomes the replica of a cluster in etcd, and again all there is of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Revision, Uid};
use tokio::time::sleep;

use super::connection::{Connection, place};
use super::founding::{self, FoundingError};
use super::{EtcdSettings, EtcdStore};
use crate::sqlite::Role;
use crate::{SqliteStore, Store, StoreError};

/// How long an etcd that has just been started may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// From one attempt to reach it to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// Moves the cluster that is in `sqlite` into etcd. Nobody may commit meanwhile. After an error, `sqlite` is what it was.
pub(crate) async fn move_here(
    sqlite: &Arc<SqliteStore>,
    settings: EtcdSettings,
) -> Result<EtcdStore, StoreError> {
    let cluster = match sqlite.role().await? {
        Role::Whole => new_uid()?,
        // Known by the same UID, an attempt whose success was not noticed is recognised.
        Role::Moving(cluster) => cluster,
        Role::EmptyReplica | Role::Replica(_) => {
            let path = sqlite.path().to_owned();
            return Err(StoreError::Replica { path });
        }
    };
    let etcd = connect(&settings).await?;
    // Also waits for the commits that were submitted before.
    sqlite.play(Role::Moving(cluster)).await?;
    let state = sqlite.scan("").await?;
    founding::found(&etcd, cluster, &state)
        .await
        .map_err(|error| refused("write", &etcd, &error))?;
    let mine = sqlite.play(Role::Replica(cluster)).await;
    let error = match mine {
        Ok(revision) if revision == state.revision => {
            return Ok(EtcdStore::start(Arc::clone(sqlite), settings));
        }
        Ok(_) => {
            sqlite.play(Role::Moving(cluster)).await?;
            StoreError::Unavailable {
                doing: "move",
                place: sqlite.path().display().to_string(),
                why: "it was changed meanwhile".to_owned(),
            }
        }
        Err(error) => error,
    };
    if let Err(error) = founding::forget(&etcd, cluster).await {
        tracing::warn!(%error, "what was written to etcd stays there until the cluster is moved again");
    }
    Err(error)
}

/// Makes of the replica all there is of its cluster again, and returns the revision it stands at.
pub(crate) async fn move_away(
    replica: &SqliteStore,
    from: Option<&EtcdSettings>,
) -> Result<Revision, StoreError> {
    match (replica.role().await?, from) {
        (Role::Replica(cluster), Some(settings)) => {
            let etcd = connect(settings).await?;
            let last = founding::retire(&etcd, cluster)
                .await
                .map_err(|error| refused("read", &etcd, &error))?;
            replica.become_replica(last, cluster).await?;
        }
        (Role::Replica(_), None) => {}
        (Role::EmptyReplica, _) => {
            return Err(StoreError::Unavailable {
                doing: "take over",
                place: replica.path().display().to_string(),
                why: "it has never seen its cluster; do this on a head that has".to_owned(),
            });
        }
        (Role::Whole | Role::Moving(_), _) => {
            let path = replica.path().to_owned();
            return Err(StoreError::NotAReplica { path });
        }
    }
    replica.play(Role::Whole).await
}

/// Connects to the first member that answers.
async fn connect(settings: &EtcdSettings) -> Result<Connection, StoreError> {
    let begun = Instant::now();
    loop {
        let mut troubles = Vec::new();
        for endpoint in &settings.endpoints {
            match Connection::open(endpoint, settings).await {
                Ok(connection) => return Ok(connection),
                Err(trouble) => troubles.push(format!("{endpoint}: {trouble}")),
            }
        }
        if begun.elapsed() >= PATIENCE {
            return Err(StoreError::Unavailable {
                doing: "reach",
                place: place(&settings.endpoints.join(", "), &settings.prefix),
                why: troubles.join("; "),
            });
        }
        sleep(PAUSE).await;
    }
}

fn refused(doing: &'static str, etcd: &Connection, error: &FoundingError) -> StoreError {
    let (place, why) = (etcd.place(), error.to_string());
    match error {
        FoundingError::Occupied(_) | FoundingError::Overtaken => {
            StoreError::Occupied { place, why }
        }
        FoundingError::Trouble(_) => StoreError::Unavailable { doing, place, why },
    }
}

fn new_uid() -> Result<Uid, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable {
        doing: "make",
        place: "a new UID".to_owned(),
        why: error.to_string(),
    })?;
    Ok(Uid::from_bytes(bytes))
}
