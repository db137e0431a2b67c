//! A head is taken out of its cluster: it leaves, or is ejected because it will not come back.

use std::{sync::Arc, time::Duration};

use model::{EtcdMember, Head, Name, Uid};
use store::StoreError;
use tokio::time::{Instant, sleep};

use super::{
    Membership, Several,
    registration::{self, RETRY},
};
use crate::{
    Identity,
    etcd::{Members, MembersError},
    exchange::HeadStatus,
};

/// How long changes may be impossible while etcd gets over the loss of a member.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a head is not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// There is but one.
    #[error("this head is the only one of its cluster")]
    Only,
    /// etcd does not do without it.
    #[error("{0} cannot be removed: {1}")]
    Members(Name, MembersError),
    /// Others lack files that it has.
    #[error(
        "{name} has files that no other head has yet ({files}); wait until they are copied (pilotlight cluster status), \
         or remove it with --force, which loses them"
    )]
    Files {
        /// The head.
        name: Name,
        /// Some of them.
        files: String,
    },
    /// Its record cannot be deleted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Membership {
    /// Removes a head from the cluster, be it this one. With `force`, even if changes cannot be made without it, or files
    /// are lost.
    ///
    /// # Errors
    /// It is the only head, needed, or the store cannot be written to.
    pub async fn remove(&self, head: &Head, force: bool) -> Result<(), RemovalError> {
        let several = self.several.get().ok_or(RemovalError::Only)?;
        if self.live.get().heads.len() < 2 {
            return Err(RemovalError::Only);
        }
        if !force {
            self.check_files(several, head).await?;
        }
        // Before the record: a vote without one would count, and nobody could see or remove the head that has it.
        if let Some(EtcdMember { peer, .. }) = &head.etcd {
            let removed = self.remove_member(several, head.uid, peer, force).await;
            removed.map_err(|error| RemovalError::Members(head.name.clone(), error))?;
        }
        self.strike(head.uid).await
    }

    /// Removes what is left of this head in its cluster, of which it is none any more.
    pub(super) async fn leave(&self, several: &Several) -> Result<(), RemovalError> {
        let Identity {
            uid,
            name,
            addresses,
            ..
        } = &several.identity;
        if self.settings.etcd.is_none() {
            let peer = addresses.etcd_peer_url();
            let removed = self.remove_member(several, *uid, &peer, false).await;
            removed.map_err(|error| RemovalError::Members(name.clone(), error))?;
        }
        self.strike(*uid).await
    }

    /// Removes the member of etcd that a head runs, if it has one, by the word of the others.
    async fn remove_member(
        &self,
        several: &Several,
        head: Uid,
        peer_url: &str,
        force: bool,
    ) -> Result<(), MembersError> {
        let others = registration::contacts(&self.live.get(), Some(head)).etcd;
        let members = Members::new(others, &several.identity);
        let listed = members.list().await?;
        let name = head.to_string();
        let member = listed.iter().find(|member| match &*member.name {
            // It has none until it has started for the first time.
            "" => member.peer_urls.iter().any(|url| url == peer_url),
            known => known == name,
        });
        let Some(member) = member else {
            return Ok(());
        };
        members.check_removal(member.id, force).await?;
        let heir = listed
            .iter()
            .find(|other| other.id != member.id && !other.learner);
        if let Some(heir) = heir
            && let Err(error) = members.move_leader(member, heir.id).await
        {
            tracing::debug!(%error, "another member will be elected when this one is gone");
        }
        members.remove(member.id, force).await
    }

    /// Deletes the record of a head; tries for a while, since etcd may have to elect a leader first, or this head to find
    /// another member than its own.
    async fn strike(&self, uid: Uid) -> Result<(), RemovalError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let state = self.live.get();
            let Some(known) = state.heads.get(uid) else {
                return Ok(());
            };
            match self.live.commit(known.deletion()).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. }) => self.live.news_since(state.revision()).await,
                Err(StoreError::Unavailable { .. } | StoreError::Uncertain { .. })
                    if Instant::now() < until =>
                {
                    sleep(RETRY).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Checks that the other heads have every file, by their own word: one that cannot be asked has none.
    async fn check_files(&self, several: &Several, head: &Head) -> Result<(), RemovalError> {
        let state = self.live.get();
        // One that does not answer may have some, and nobody will ever know.
        if let Ok(HeadStatus { files, .. }) = several.status_of(head).await
            && (files.unpublished > 0 || !files.are_compared)
        {
            return Err(RemovalError::Files {
                name: head.name.clone(),
                files: some_of(files.examples),
            });
        }
        let others = state.heads.iter().filter(|other| other.uid != head.uid);
        let lacking = others.map(async |other: &Arc<Head>| {
            let status = several.status_of(other).await.ok()?;
            let files = Some(status.files).filter(|files| files.are_compared)?;
            Some((files.missing + files.differing, files.examples))
        });
        let lacking = futures_util::future::join_all(lacking).await;
        let least = lacking
            .into_iter()
            .flatten()
            .min_by_key(|(count, _)| *count);
        match least {
            Some((0, _)) => Ok(()),
            Some((_, examples)) => Err(RemovalError::Files {
                name: head.name.clone(),
                files: some_of(examples),
            }),
            None => Err(RemovalError::Files {
                name: head.name.clone(),
                files: "no other head answers".to_owned(),
            }),
        }
    }
}

fn some_of(files: Vec<String>) -> String {
    files.into_iter().take(3).collect::<Vec<_>>().join(", ")
}
