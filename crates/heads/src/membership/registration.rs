//! A head among others: its record in the cluster, the others' addresses, and what tells it that it was removed.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use model::{ClusterState, EtcdMember, Head, HeadSpec, Name, Uid, creation};
use store::StoreError;
use tokio::time::sleep;

use super::{Membership, MoveError, Several, endpoints};
use crate::{
    etcd::{self, Hopeless, MembershipError, Process, ProcessState},
    identity::{Addresses, Admitted, Contact, Contacts, Enrolment, Member},
};

/// How often something is tried again that waits for others.
pub(super) const RETRY: Duration = Duration::from_secs(1);

impl Membership {
    /// Goes on as a member.
    pub(super) async fn go_on(
        self: &Arc<Self>,
        enrolment: Enrolment<Member>,
    ) -> Result<(), MoveError> {
        let identity = enrolment.identity().clone();
        let process = match &self.settings.etcd {
            Some(_) => None,
            None => match etcd::start_member(&self.settings.data, &enrolment) {
                Ok(process) => Some(process),
                // Where there is no other member, nobody has the data.
                Err(error @ MembershipError::DataGone(_))
                    if !enrolment.contacts().etcd.is_empty() =>
                {
                    tracing::warn!("{error}");
                    return self.enter(enrolment.into_admitted()?).await;
                }
                // Its nodes boot without; and changes go through the other heads' members.
                Err(error) => {
                    tracing::error!("{error}");
                    None
                }
            },
        };
        let several = Several::start(self, identity, None, process)?;
        // Nobody else sets it: the head is being started.
        let _ = self.several.set(several);
        self.follow(enrolment);
        let membership = Arc::clone(self);
        self.spawn(async move {
            // One that is gone is not made again: others removed this head.
            if let Err(error) = membership.write_record(false).await {
                tracing::error!("this head's record could not be brought up to date: {error}");
            }
        });
        Ok(())
    }

    /// Becomes a member, which may take its time.
    pub(super) async fn enter(
        self: &Arc<Self>,
        enrolment: Enrolment<Admitted>,
    ) -> Result<(), MoveError> {
        let identity = enrolment.identity().clone();
        let several = Several::start(self, identity, None, None)?;
        // Nobody else sets it: the head is being started.
        let _ = self.several.set(several);
        let membership = Arc::clone(self);
        self.spawn(async move {
            match membership.become_member(enrolment).await {
                Ok(enrolment) => membership.follow(enrolment),
                Err(error) => tracing::error!("this head cannot become a member: {error}"),
            }
        });
        Ok(())
    }

    async fn become_member(
        &self,
        enrolment: Enrolment<Admitted>,
    ) -> Result<Enrolment<Member>, MoveError> {
        let data = &self.settings.data;
        let endpoints = enrolment.contacts().etcd.clone();
        match endpoints[..] {
            _ if self.settings.etcd.is_some() => self.register().await?,
            // It was making its cluster one of several heads when it was stopped.
            [] => {
                self.run(etcd::start_first(data, &enrolment).await?).await;
                self.register().await?;
            }
            // A vote without a record would count, and nobody could see or remove the head that has it.
            _ => {
                self.register().await?;
                let process = etcd::become_member(data, &enrolment, endpoints).await?;
                self.run(process).await;
            }
        }
        let enrolment = enrolment.into_member()?;
        tracing::info!("this head is one of its cluster now");
        Ok(enrolment)
    }

    /// Takes over the etcd of this head.
    async fn run(&self, process: Process) {
        if let Some(several) = self.several.get() {
            several.set_process(process).await;
        }
    }

    /// Sees to it that the cluster has this head's record as it is now; tries for as long as the store cannot be written
    /// to.
    pub(super) async fn register(&self) -> Result<(), MoveError> {
        self.write_record(true).await
    }

    /// The same; where the cluster has none, only with `create`.
    async fn write_record(&self, create: bool) -> Result<(), MoveError> {
        let Some(several) = self.several.get() else {
            return Ok(());
        };
        let identity = &several.identity;
        let (uid, spec) = (identity.uid, self.spec(&identity.name, &identity.addresses));
        loop {
            let state = self.live.get();
            let transaction = match state.heads.get(uid) {
                Some(head) if head.spec == spec => return Ok(()),
                Some(head) => head.replacement(&spec),
                None if create => creation(uid, &spec),
                None => return Ok(()),
            };
            // A head's record has no rules that it could break.
            let Ok(transaction) = transaction else {
                return Ok(());
            };
            match self.live.commit(transaction).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. }) => {
                    self.live.news_since(state.revision()).await;
                    let state = self.live.get();
                    let namesake = |head: &Arc<Head>| head.uid != uid && head.name == spec.name;
                    if state.heads.iter().any(namesake) {
                        return Err(MoveError::Name(spec.name));
                    }
                }
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Uncertain { .. })) => {
                    tracing::debug!(%error, "waiting to write this head's record");
                    sleep(RETRY).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// This head's record, by this name and at these addresses.
    pub(super) fn spec(&self, name: &Name, addresses: &Addresses) -> HeadSpec {
        HeadSpec {
            name: name.clone(),
            url: self.settings.url.clone(),
            exchange: addresses.exchange,
            etcd: self.settings.etcd.is_none().then(|| EtcdMember {
                client: addresses.etcd_client_url(),
                peer: addresses.etcd_peer_url(),
            }),
            version: self.settings.version.clone(),
        }
    }

    /// Keeps up with who is a head, until this one is none any more.
    pub(super) fn follow(self: &Arc<Self>, mut enrolment: Enrolment<Member>) {
        self.hear();
        let membership = Arc::clone(self);
        self.spawn(async move {
            let Some(several) = membership.several.get() else {
                return;
            };
            several.is_member.store(true, Relaxed);
            let uid = several.identity.uid;
            let mut revisions = membership.live.revisions();
            loop {
                let state = membership.live.get();
                let etcd = several.etcd_state();
                let is_removed = state.heads.get(uid).is_none();
                if is_removed || etcd == Some(ProcessState::GaveUp(Hopeless::Removed)) {
                    return membership.be_removed(several, enrolment).await;
                }
                let contacts = contacts(&state, Some(uid));
                if membership.settings.etcd.is_none() {
                    let members = endpoints(&several.identity, contacts.etcd.iter().cloned());
                    membership.store.set_endpoints(members);
                }
                if let Err(error) = enrolment.set_contacts(contacts) {
                    tracing::warn!("{error}");
                }
                tokio::select! {
                    changed = revisions.changed() => if changed.is_err() { return },
                    () = several.etcd_changed(etcd.as_ref()) => {}
                }
            }
        });
    }

    /// What is left of a head that was removed: it serves what it last knew.
    async fn be_removed(&self, several: &Several, enrolment: Enrolment<Member>) {
        tracing::error!(
            "this head was removed from its cluster; it serves what it last knew, and changes nothing any more"
        );
        several.retire().await;
        // Whoever removed it may have been stopped in the middle; and a vote that is left behind would be missed.
        while let Err(error) = self.leave(several).await {
            tracing::debug!(%error, "waiting to leave the cluster");
            sleep(RETRY).await;
        }
        several.stop_etcd().await;
        self.store.set_endpoints(Vec::new());
        // What etcd left goes last: a member without it would become one again.
        let kept = enrolment.into_removed().map_err(MoveError::from);
        let forgotten = kept.and_then(|_| Ok(etcd::forget(&self.settings.data)?));
        if let Err(error) = forgotten {
            tracing::error!("{error}");
        }
    }

    /// Runs until it ends or this head does.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            closing.run_until_cancelled(task).await;
        });
    }
}

/// Where the heads and etcd are, by the cluster's state, without the head `but`.
pub(super) fn contacts(state: &ClusterState, but: Option<Uid>) -> Contacts {
    let heads = || state.heads.iter().filter(|head| Some(head.uid) != but);
    let contact = |head: &Arc<Head>| Contact {
        uid: head.uid,
        name: head.spec.name.clone(),
        exchange: head.exchange,
    };
    let client = |head: &Arc<Head>| Some(head.etcd.as_ref()?.client.clone());
    Contacts {
        heads: heads().map(contact).collect(),
        etcd: heads().filter_map(client).collect(),
    }
}
