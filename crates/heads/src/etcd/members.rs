//! [`Members`]: who belongs to etcd, and how they are.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use etcd_client::{
    Certificate, Client, ConnectOptions, Error, Identity as ClientIdentity, MemberAddOptions,
    TlsOptions,
};
use tokio::time::sleep;

use super::{WouldLoseQuorum, may_remove};
use crate::Identity;

const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(5);
/// How long etcd may go on counting a member as unhealthy that has come back: it does so for the first 5 seconds.
const SETTLED: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(500);

/// Asks and changes who belongs to etcd, through whichever member answers.
#[derive(Clone)]
pub struct Members {
    endpoints: Vec<String>,
    options: ConnectOptions,
}

/// A member of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// etcd's own number for it.
    pub id: u64,
    /// Its name, which is the UID of its head; empty until it has started for the first time.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; nowhere until it has started for the first time.
    pub client_urls: Vec<String>,
    /// Whether it only listens: it has no vote, and is not waited for.
    pub learner: bool,
}

/// How a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// The member that answered.
    pub id: u64,
    /// The member that it holds for the leader; `None` when it knows none.
    pub leader: Option<u64>,
    /// The last revision that it has.
    pub revision: i64,
    /// The size of its database, in bytes.
    pub db_size: u64,
    /// The version of etcd that it runs.
    pub version: String,
    /// Whether it only listens.
    pub learner: bool,
    /// What it complains of itself: alarms, a missing leader.
    pub errors: Vec<String>,
}

/// Why the members of etcd could not be asked or changed.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    /// No endpoint answered.
    #[error("etcd cannot be reached: {}", .0.join("; "))]
    Unreachable(Vec<String>),
    /// etcd said no.
    #[error("etcd refused: {0}")]
    Refused(String),
    /// The rest could not make changes any more.
    #[error(transparent)]
    WouldLoseQuorum(#[from] WouldLoseQuorum),
    /// There is no such member.
    #[error("etcd has no member {0:x}")]
    Unknown(u64),
}

impl MembersError {
    /// Whether etcd refused with these words.
    pub(super) fn says(&self, words: &str) -> bool {
        matches!(self, Self::Refused(said) if said.contains(words))
    }
}

impl Members {
    /// Those of the etcd at `endpoints`, asked with the certificate of `identity`. Connects when something is asked.
    pub fn new(endpoints: Vec<String>, identity: &Identity) -> Self {
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(&identity.authority))
            .identity(ClientIdentity::from_pem(
                &identity.certificate,
                &identity.key,
            ));
        let options = ConnectOptions::new()
            .with_tls(tls)
            .with_connect_timeout(CONNECT)
            .with_timeout(ANSWER);
        Self { endpoints, options }
    }

    /// All members.
    ///
    /// # Errors
    /// etcd cannot be reached.
    pub async fn list(&self) -> Result<Vec<Member>, MembersError> {
        let listed = self
            .ask(|mut client| async move { client.member_list().await })
            .await?;
        Ok(listed.members().iter().map(member).collect())
    }

    /// Adds a learner that others reach at `peer_url`; returns it and all members, itself among them.
    ///
    /// # Errors
    /// etcd cannot be reached, has a learner already, or has a member at this URL.
    pub async fn add_learner(&self, peer_url: &str) -> Result<(Member, Vec<Member>), MembersError> {
        let added = self
            .ask(|mut client| async move {
                let learner = MemberAddOptions::new().with_is_learner();
                client.member_add([peer_url], Some(learner)).await
            })
            .await?;
        let all: Vec<Member> = added.member_list().iter().map(member).collect();
        let added = added.member().map(member);
        let added = added.or_else(|| {
            let at_url = |member: &&Member| member.peer_urls.iter().any(|url| url == peer_url);
            all.iter().find(at_url).cloned()
        });
        let added = added.ok_or_else(|| {
            MembersError::Refused("it added a member without saying which".to_owned())
        })?;
        Ok((added, all))
    }

    /// Gives a learner its vote.
    ///
    /// # Errors
    /// etcd cannot be reached, or the learner does not have all data yet.
    pub async fn promote(&self, id: u64) -> Result<(), MembersError> {
        self.ask(|mut client| async move { client.member_promote(id).await })
            .await
            .map(drop)
    }

    /// Checks that etcd can do without a member: with `force` only that there is such a one.
    ///
    /// # Errors
    /// etcd cannot be reached, there is no such member, or the rest could make no change without it.
    pub async fn check_removal(&self, id: u64, force: bool) -> Result<(), MembersError> {
        let members = self.list().await?;
        if !members.iter().any(|member| member.id == id) {
            return Err(MembersError::Unknown(id));
        }
        if !force {
            let voters = members.iter().filter(|member| !member.learner);
            let healthy = self.healthy(voters.clone()).await;
            may_remove(&voters.map(|member| member.id).collect(), &healthy, id)?;
        }
        Ok(())
    }

    /// Removes a member, if the rest can do without it or `force` says so. Its head finds out by itself, at once or when
    /// it comes back. Even with `force`, etcd refuses when too few members are connected to one another.
    ///
    /// # Errors
    /// As [`Self::check_removal`], or etcd has no quorum.
    pub async fn remove(&self, id: u64, force: bool) -> Result<(), MembersError> {
        self.check_removal(id, force).await?;
        let until = Instant::now() + SETTLED;
        loop {
            let removed = self
                .ask(|mut client| async move { client.member_remove(id).await })
                .await;
            match removed {
                Ok(_) => return Ok(()),
                Err(error) if error.says("unhealthy cluster") && Instant::now() < until => {}
                Err(error) => return Err(error),
            }
            sleep(RETRY).await;
        }
    }

    /// Which of these members answer and know a leader.
    pub async fn healthy(&self, members: impl Iterator<Item = &Member>) -> BTreeSet<u64> {
        let asked = members.map(|member| async move {
            let status = self.status(member).await.ok()?;
            status.leader.map(|_| member.id)
        });
        let answers = futures_util::future::join_all(asked).await;
        answers.into_iter().flatten().collect()
    }

    /// How a member is, by its own word.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn status(&self, member: &Member) -> Result<MemberStatus, MembersError> {
        let itself = Self {
            endpoints: member.client_urls.clone(),
            options: self.options.clone(),
        };
        let status = itself
            .ask(|mut client| async move { client.status().await })
            .await?;
        let header = status.header();
        Ok(MemberStatus {
            id: header.map_or(member.id, etcd_client::ResponseHeader::member_id),
            leader: Some(status.leader()).filter(|&leader| leader != 0),
            revision: header.map_or(0, etcd_client::ResponseHeader::revision),
            db_size: u64::try_from(status.db_size()).unwrap_or_default(),
            version: status.version().to_owned(),
            learner: status.is_learner(),
            errors: status.errors().to_vec(),
        })
    }

    /// Has the leader hand over to `to`. Does nothing when `from` does not lead.
    ///
    /// # Errors
    /// `from` cannot be reached, or the other does not take over.
    pub async fn move_leader(&self, from: &Member, to: u64) -> Result<(), MembersError> {
        if self.status(from).await?.leader != Some(from.id) {
            return Ok(());
        }
        // Only the leader itself takes this.
        let leader = Self {
            endpoints: from.client_urls.clone(),
            options: self.options.clone(),
        };
        leader
            .ask(|mut client| async move { client.move_leader(to).await })
            .await
            .map(drop)
    }

    /// Asks one endpoint after the other until one can be reached.
    async fn ask<T, Asked>(&self, question: impl Fn(Client) -> Asked) -> Result<T, MembersError>
    where
        Asked: Future<Output = Result<T, Error>>,
    {
        let mut unreachable = Vec::new();
        for endpoint in &self.endpoints {
            let asked = async {
                let options = Some(self.options.clone());
                question(Client::connect([endpoint], options).await?).await
            };
            match asked.await {
                Ok(answer) => return Ok(answer),
                Err(Error::GRpcStatus(status)) if answered(&status) => {
                    return Err(MembersError::Refused(status.message().to_owned()));
                }
                Err(error) => unreachable.push(format!("{endpoint}: {}", reason(&error))),
            }
        }
        if unreachable.is_empty() {
            unreachable.push("no endpoint is known".into());
        }
        Err(MembersError::Unreachable(unreachable))
    }
}

/// Whether this is an answer of etcd's cluster, and not what came instead of one, or of a member that cannot speak for it.
fn answered(status: &tonic::Status) -> bool {
    use std::error::Error as _;
    let broken = status.source().is_some() || status.code() == tonic::Code::Cancelled;
    let member_only = [
        "rpc not supported for learner",
        "server stopped",
        "no leader",
        "leader changed",
    ];
    !broken
        && !member_only
            .iter()
            .any(|words| status.message().contains(words))
}

/// The innermost error, which names what is wrong.
fn reason(error: &Error) -> String {
    use std::error::Error as _;
    let mut innermost: &dyn std::error::Error = match error {
        // It does not pass its own source on.
        Error::GRpcStatus(status) => match status.source() {
            Some(source) => source,
            None => return status.message().to_owned(),
        },
        other => other,
    };
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn member(member: &etcd_client::Member) -> Member {
    Member {
        id: member.id(),
        name: member.name().to_owned(),
        peer_urls: member.peer_urls().to_vec(),
        client_urls: member.client_urls().to_vec(),
        learner: member.is_learner(),
    }
}
