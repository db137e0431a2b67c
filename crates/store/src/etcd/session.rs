//! A member of etcd that was found to keep the cluster.

use std::ops::Deref;

use etcd_client::{Compare, CompareOp};
use model::{Revision, Uid};

use super::connection::Connection;
use super::layout::{ClusterState, Numbering};
use super::{EtcdSettings, Trouble};
use crate::SqliteStore;
use crate::sqlite::Role;

/// A connection to a member of etcd that keeps the cluster, at a revision that the replica can follow from.
pub(super) struct Session {
    connection: Connection,
    cluster: Uid,
    numbering: Numbering,
}

impl Deref for Session {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Session {
    /// Connects to `endpoint`, if it is of use for `replica`.
    pub(super) async fn open(
        endpoint: &str,
        settings: &EtcdSettings,
        replica: &SqliteStore,
    ) -> Result<Self, Trouble> {
        let connection = Connection::open(endpoint, settings).await?;
        let (mark, present) = connection.mark().await?;
        let prefix = || settings.prefix.clone();
        let (mark, found) = mark.ok_or_else(|| Trouble::NoCluster { prefix: prefix() })?;
        let numbering = match mark.state {
            ClusterState::Founding => return Err(Trouble::Founding { prefix: prefix() }),
            ClusterState::Retired { .. } => return Err(Trouble::Retired),
            ClusterState::Kept { base, .. } => Numbering {
                base,
                founded: found.mod_revision(),
            },
        };
        let session = Self {
            connection,
            cluster: mark.cluster,
            numbering,
        };
        session.suits(replica, numbering.revision(present)).await?;
        Ok(session)
    }

    async fn suits(&self, replica: &SqliteStore, found: Revision) -> Result<(), Trouble> {
        if let Role::Replica(own) = replica.role().await?
            && own != self.cluster
        {
            return Err(Trouble::OtherCluster {
                found: self.cluster,
                own,
            });
        }
        let seen = *replica.revisions().borrow();
        if found < seen {
            return Err(Trouble::Behind { found, seen });
        }
        Ok(())
    }

    /// Which cluster it is.
    pub(super) fn cluster(&self) -> Uid {
        self.cluster
    }

    pub(super) fn numbering(&self) -> Numbering {
        self.numbering
    }

    /// Holds while the cluster lives in this etcd. Every transaction checks it: nobody can write to one that was moved
    /// away or founded anew.
    pub(super) fn fence(&self) -> Compare {
        let founded = self.numbering.founded;
        Compare::mod_revision(self.keys().mark(), CompareOp::Equal, founded)
    }

    /// Asks a majority of the members whether the cluster is still there.
    pub(super) async fn probe(&self) -> Result<(), Trouble> {
        match self.mark().await? {
            (Some((_, found)), _) if found.mod_revision() == self.numbering.founded => Ok(()),
            (Some((mark, _)), _) if matches!(mark.state, ClusterState::Retired { .. }) => {
                Err(Trouble::Retired)
            }
            _ => Err(Trouble::NoCluster {
                prefix: self.keys().prefix().to_owned(),
            }),
        }
    }
}
