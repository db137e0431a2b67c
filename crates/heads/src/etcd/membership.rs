//! How this head becomes a member of etcd.

use std::{path::Path, time::Duration};

use tokio::time::sleep;

use super::{
    DirectoryError, Hopeless, Member, Members, MembersError, Process, ProcessState, Program,
    ProgramError,
    directory::Directory,
    entry::enter,
    launch::{Launch, Start},
    progress::Progress,
};
use crate::identity::{Admitted, Enrolment, Member as MemberOfCluster};

/// How often something is tried again that has to wait for others.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// Why this head runs no etcd.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// There is no etcd to run.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Its data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// No thread could be started for it.
    #[error("cannot supervise etcd: {0}")]
    Thread(std::io::Error),
    /// A member's data is gone.
    #[error(
        "the data of this head's member of etcd is gone from {0}; the head has to become a member anew"
    )]
    DataGone(std::path::PathBuf),
    /// It will not run.
    #[error("etcd gave up: {0}")]
    Hopeless(#[from] Hopeless),
    /// It was stopped.
    #[error("etcd was stopped")]
    Stopped,
}

/// Begins a new etcd, of which this head is the only member, or goes on with the one that was begun; returns when it
/// answers.
///
/// # Errors
/// There is no etcd program, or its data directory cannot be used.
pub async fn start_first(
    data: &Path,
    enrolment: &Enrolment<Admitted>,
) -> Result<Process, MembershipError> {
    let process = start(data, enrolment, Start::New)?;
    serving(&process, enrolment).await?;
    Ok(process)
}

/// Starts the etcd of a head that is a member. Does not wait for it: without the other members it may not be able to
/// answer.
///
/// # Errors
/// There is no etcd program, or the member's data is gone. A member without its data may not pass for itself: it would
/// have forgotten how it voted.
pub fn start_member(
    data: &Path,
    enrolment: &Enrolment<MemberOfCluster>,
) -> Result<Process, MembershipError> {
    let directory = Directory::of(data);
    if !directory.holds_a_member() {
        return Err(MembershipError::DataGone(directory.path().to_owned()));
    }
    let itself = Start::Existing(vec![(
        enrolment.identity().uid.to_string(),
        enrolment.identity().addresses.etcd_peer_url(),
    )]);
    start(data, enrolment, itself)
}

/// Makes this head a member of the etcd at `endpoints`: as a learner, and with a vote once it has all data. Waits for as
/// long as that takes, and for others that join. Broken off anywhere, it goes on from there when it is called again.
///
/// # Errors
/// There is no etcd program, its data directory cannot be used, or etcd gives up.
pub async fn become_member(
    data: &Path,
    enrolment: &Enrolment<Admitted>,
    endpoints: Vec<String>,
) -> Result<Process, MembershipError> {
    let members = Members::new(endpoints, enrolment.identity());
    loop {
        match try_to_become_member(data, enrolment, &members).await {
            // Others thought that it was dead. It has no vote yet, and can simply come back.
            Err(MembershipError::Hopeless(Hopeless::Removed)) => {
                tracing::warn!("etcd forgot this head before it was a member; it begins again");
            }
            ended => return ended,
        }
    }
}

async fn try_to_become_member(
    data: &Path,
    enrolment: &Enrolment<Admitted>,
    members: &Members,
) -> Result<Process, MembershipError> {
    let identity = enrolment.identity();
    let directory = Directory::of(data);
    let (id, all) = enter(members, &directory, &identity.addresses.etcd_peer_url()).await?;
    let named = all.iter().flat_map(|member| {
        let name = match &member.name {
            _ if member.id == id => identity.uid.to_string(),
            // It has none until it has started; and etcd goes by the URLs.
            name if name.is_empty() => format!("{:x}", member.id),
            name => name.clone(),
        };
        let urls = member.peer_urls.iter();
        urls.map(move |url| (name.clone(), url.clone()))
    });
    let process = start(data, enrolment, Start::Existing(named.collect()))?;
    tracing::info!("etcd gets the cluster's data");
    serving(&process, enrolment).await?;
    gain_vote(&process, members, id).await?;
    tracing::info!("this head is a member of etcd now");
    Ok(process)
}

/// Removes what etcd left on this head, when it is to be no member any more.
///
/// # Errors
/// It cannot be removed.
pub fn forget(data: &Path) -> Result<(), MembershipError> {
    Ok(Directory::of(data).clear()?)
}

fn start<Standing>(
    data: &Path,
    enrolment: &Enrolment<Standing>,
    start: Start,
) -> Result<Process, MembershipError> {
    let directory = Directory::of(data);
    let launch = Launch {
        program: Program::find(data)?,
        directory: directory.path().to_owned(),
        name: enrolment.identity().uid.to_string(),
        addresses: enrolment.identity().addresses,
        files: enrolment.files(),
        start,
    };
    directory.make()?;
    Process::start(launch, directory).map_err(MembershipError::Thread)
}

/// Waits until the own etcd answers, and has found a leader.
async fn serving<Standing>(
    process: &Process,
    enrolment: &Enrolment<Standing>,
) -> Result<(), MembershipError> {
    let identity = enrolment.identity();
    let own = Member {
        id: 0,
        name: String::new(),
        peer_urls: Vec::new(),
        client_urls: vec![identity.addresses.etcd_client_url()],
        learner: false,
    };
    let itself = Members::new(own.client_urls.clone(), identity);
    let (itself, own) = (&itself, &own);
    until(
        process,
        "waiting for the etcd of this head",
        || async move {
            match itself.status(own).await?.leader {
                Some(_) => Ok(()),
                None => Err(MembersError::Refused("it knows no leader yet".to_owned())),
            }
        },
    )
    .await
}

/// Promotes the learner as soon as it has all data.
async fn gain_vote(process: &Process, members: &Members, id: u64) -> Result<(), MembershipError> {
    until(process, "waiting for a vote in etcd", || async move {
        match members.promote(id).await {
            // It was promoted before.
            Err(error) if error.says("only promote a learner member") && !error.says("in sync") => {
                Ok(())
            }
            promoted => promoted,
        }
    })
    .await
}

/// Tries until it succeeds, or etcd has ended for good.
async fn until<Attempt>(
    process: &Process,
    what: &str,
    attempt: impl Fn() -> Attempt,
) -> Result<(), MembershipError>
where
    Attempt: Future<Output = Result<(), MembersError>>,
{
    let mut progress = Progress::default();
    let state = process.state();
    loop {
        let now = state.borrow().clone();
        match now {
            ProcessState::GaveUp(reason) => return Err(reason.into()),
            ProcessState::Stopped => return Err(MembershipError::Stopped),
            ProcessState::Running { .. } | ProcessState::Waiting { .. } => {}
        }
        match attempt().await {
            Ok(()) => return Ok(()),
            Err(error) => progress.say(&format!("{what}: {error}")),
        }
        sleep(RETRY).await;
    }
}
