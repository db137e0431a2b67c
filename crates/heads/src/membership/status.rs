//! How the heads of the cluster are, by their own word.

use std::{sync::Arc, time::Duration};

use model::{Head, Name, Uid};
use serde::Serialize;
use store::{ClusterStore, Engine};
use tokio::time::timeout;

use super::{
    Membership, registration,
    several::{Several, link_status},
};
use crate::{
    etcd::Members,
    exchange::{HeadStatus, LinkStatus},
};

/// How long etcd may take to answer: one of its members may hang.
const ANSWER: Duration = Duration::from_secs(5);

/// How the cluster is, seen from this head.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterStatus {
    /// Where its state is kept: `sqlite` or `etcd`.
    pub engine: &'static str,
    /// How this head stands with it.
    pub link: LinkStatus,
    /// etcd, where the heads run it.
    pub etcd: Option<EtcdStatus>,
    /// Its heads, by name. A single head has no record, and is not among them.
    pub heads: Vec<HeadReport>,
}

/// The etcd that the heads run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EtcdStatus {
    /// The head whose member leads.
    pub leader: Option<Name>,
    /// How many members have a vote.
    pub voters: usize,
    /// How many of them can be reached.
    pub healthy: usize,
    /// How many are needed for any change.
    pub needed: usize,
    /// Why nothing is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A head, as it answers.
#[derive(Clone, Debug, Serialize)]
pub struct HeadReport {
    /// Its UID.
    pub uid: Uid,
    /// Its name.
    pub name: Name,
    /// Where nodes and administrators reach it.
    pub url: String,
    /// Whether it is the one that was asked.
    pub is_here: bool,
    /// How it is, if it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<HeadStatus>,
    /// How many revisions it is behind the furthest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
    /// Why it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Membership {
    /// Asks all heads how they are.
    pub async fn status(&self) -> ClusterStatus {
        let Some(several) = self.several.get() else {
            return ClusterStatus {
                engine: engine_name(&self.store),
                link: link_status(&self.store),
                etcd: None,
                heads: Vec::new(),
            };
        };
        let state = self.live.get();
        let asked = state.heads.iter().map(|head| self.report(several, head));
        let (mut heads, etcd) = tokio::join!(
            futures_util::future::join_all(asked),
            self.etcd_status(several)
        );
        let revision = |head: &HeadReport| head.status.as_ref().map(|status| status.revision.0);
        let furthest = heads.iter().filter_map(revision).max();
        for head in &mut heads {
            head.behind = furthest
                .zip(revision(head))
                .map(|(furthest, own)| furthest - own);
        }
        ClusterStatus {
            engine: engine_name(&self.store),
            link: link_status(&self.store),
            etcd,
            heads,
        }
    }

    async fn report(&self, several: &Several, head: &Arc<Head>) -> HeadReport {
        let (status, fault) = match several.status_of(head).await {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error.to_string())),
        };
        HeadReport {
            uid: head.uid,
            name: head.spec.name.clone(),
            url: head.url.clone(),
            is_here: head.uid == several.identity.uid,
            status,
            behind: None,
            fault,
        }
    }

    async fn etcd_status(&self, several: &Several) -> Option<EtcdStatus> {
        if self.settings.etcd.is_some() {
            return None;
        }
        let state = self.live.get();
        let contacts = registration::contacts(&state, None);
        let members = Members::new(contacts.etcd, &several.identity);
        let unknown = |fault| {
            Some(EtcdStatus {
                fault: Some(fault),
                ..EtcdStatus::default()
            })
        };
        let listed = match timeout(ANSWER, members.list()).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => return unknown(error.to_string()),
            Err(_) => return unknown(format!("no answer within {} s", ANSWER.as_secs())),
        };
        let voters = || listed.iter().filter(|member| !member.learner);
        let answers = voters().map(async |member| {
            let answer = timeout(ANSWER, members.status(member)).await;
            Some((member, answer.ok()?.ok()?))
        });
        let answers = futures_util::future::join_all(answers).await;
        let healthy = || {
            answers
                .iter()
                .flatten()
                .filter(|(_, status)| status.leader.is_some())
        };
        let leader = healthy().find_map(|(_, status)| status.leader);
        // The others hear a little later that it is gone.
        let leader = leader.and_then(|leader| {
            let mut members = healthy().map(|(member, _)| member);
            members.find(|member| member.id == leader)
        });
        let leader = leader.and_then(|member| state.heads.get(member.name.parse().ok()?));
        Some(EtcdStatus {
            leader: leader.map(|head| head.spec.name.clone()),
            voters: voters().count(),
            healthy: healthy().count(),
            needed: voters().count() / 2 + 1,
            fault: None,
        })
    }
}

fn engine_name(store: &ClusterStore) -> &'static str {
    match store.engine() {
        Engine::Sqlite => "sqlite",
        Engine::Etcd => "etcd",
    }
}
