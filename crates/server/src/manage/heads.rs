//! `/heads`, `/head/<UID>` and `/cluster/status`: the servers that serve this cluster.

use ::heads::{etcd::MembersError, membership::RemovalError};
use http::Response;
use model::{ClusterState, Collection, HeadSpec};

use super::objects::{self, Resource};
use crate::{Error, call::Call, envelope, reply::Body};

impl Resource for HeadSpec {
    const FILTERS: &'static [&'static str] = &["name", "url", "version"];

    fn all(state: &ClusterState) -> &Collection<Self> {
        &state.heads
    }
}

/// `DELETE /head/<UID>`: takes a head out of the cluster.
pub(crate) async fn delete(call: &mut Call) -> Result<Response<Body>, Error> {
    let head = objects::find::<HeadSpec>(call, &call.head.state())?;
    call.check_revision(head.revision)?;
    let force = call.query.value("force")?.unwrap_or(false);
    match call.head.membership.remove(&head, force).await {
        Ok(()) => Ok(envelope::done()),
        Err(RemovalError::Store(error)) => Err(call.refused(&error)),
        Err(error @ (RemovalError::Only | RemovalError::Files { .. })) => {
            Err(Error::Conflict(error.to_string()))
        }
        Err(error @ RemovalError::Members(_, MembersError::WouldLoseQuorum(_))) => {
            Err(Error::Conflict(format!("{error}, or say --force")))
        }
        Err(error @ RemovalError::Members(..)) => Err(Error::Unavailable(format!(
            "{error}. Where a majority of the heads is lost for good, one that is left goes on alone: pilotlight store \
             migrate --to sqlite --force"
        ))),
    }
}

/// `GET /cluster/status`: how all heads are, by their own word.
pub(crate) async fn status(call: &mut Call) -> Result<Response<Body>, Error> {
    Ok(envelope::data(call.head.membership.status().await))
}

/// `POST /cluster/etcd`: moves the cluster from the database of its one head to etcd.
pub(crate) async fn move_to_etcd(call: &mut Call) -> Result<Response<Body>, Error> {
    let moved = call.head.membership.move_to_etcd().await;
    moved.map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok(envelope::done())
}
