//! How etcd comes to know this head.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    DirectoryError, Member, Members, MembersError, MembershipError, directory::Directory,
    membership::RETRY, progress::Progress,
};

/// How long a learner may give no answer until another head that wants to join takes its place: longer than etcd takes to
/// start with the data of a large cluster.
const GIVEN_UP: Duration = Duration::from_secs(120);

/// Sees to it that etcd has a member at this peer URL to which the data directory belongs. Returns its number, and all
/// members.
pub(super) async fn enter(
    members: &Members,
    directory: &Directory,
    peer_url: &str,
) -> Result<(u64, Vec<Member>), MembershipError> {
    let mut progress = Progress::default();
    let mut rival = Rival::default();
    loop {
        match try_to_enter(members, directory, peer_url).await {
            Ok(entered) => return Ok(entered),
            Err(EnterError::Directory(error)) => return Err(error.into()),
            Err(EnterError::Members(error)) => {
                let hint = if error.says("too many learner members") {
                    rival.give_way(members).await;
                    ": another head is joining"
                } else if error.says("unhealthy cluster") {
                    "; it takes none while a member is away or has just come: bring that head back, or remove it \
                     (pilotlight head remove)"
                } else {
                    ""
                };
                progress.say(&format!(
                    "waiting to become a member of etcd: {error}{hint}"
                ));
            }
        }
        sleep(RETRY).await;
    }
}

/// Another learner, of which etcd takes one at a time.
#[derive(Default)]
struct Rival {
    /// Which one it is, and since when nobody has heard of it.
    silent: Option<(u64, Instant)>,
}

impl Rival {
    /// Removes the learner that is in the way, if it has not been heard of for long: its head gave up joining. It has no
    /// vote, and if it does come back it is let in again.
    async fn give_way(&mut self, members: &Members) {
        let learner = async {
            let all = members.list().await.ok()?;
            all.into_iter().find(|member| member.learner)
        };
        let silent = match learner.await {
            Some(learner) if members.status(&learner).await.is_err() => learner.id,
            _ => {
                self.silent = None;
                return;
            }
        };
        let since = match self.silent {
            Some((known, since)) if known == silent => since,
            _ => Instant::now(),
        };
        self.silent = Some((silent, since));
        if since.elapsed() >= GIVEN_UP {
            tracing::warn!("removing a learner from etcd that gives no answer: {silent:x}");
            if let Err(error) = members.remove(silent, false).await {
                tracing::warn!("it stays: {error}");
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum EnterError {
    #[error(transparent)]
    Members(#[from] MembersError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

async fn try_to_enter(
    members: &Members,
    directory: &Directory,
    peer_url: &str,
) -> Result<(u64, Vec<Member>), EnterError> {
    let all = members.list().await?;
    let ours = |member: &&Member| member.peer_urls.iter().any(|url| url == peer_url);
    if let Some(member) = all.iter().find(ours) {
        // The data is removed before a member is added: what lies there now was written by this one.
        if directory.holds_a_member() || member.name.is_empty() {
            return Ok((member.id, all));
        }
        tracing::warn!("the data of this head's member of etcd is gone; it becomes one anew");
        members.remove(member.id, false).await?;
    }
    directory.clear()?;
    let (added, all) = members.add_learner(peer_url).await?;
    tracing::info!(
        member = format!("{:x}", added.id),
        "etcd knows this head as a learner"
    );
    Ok((added.id, all))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{io::Write as _, net::SocketAddr, path::Path, process};

    use model::Uid;

    use super::*;
    use crate::{
        Identity, authority,
        etcd::{Program, start_first},
        identity::{Addresses, Contacts, Enrolment},
    };

    /// An identity on a loopback address that nothing else uses.
    fn identity() -> Identity {
        let [.., high, low] = process::id().to_be_bytes();
        let at = |port| SocketAddr::from(([127, 90, high, low], port));
        let addresses = Addresses {
            exchange: at(2381),
            etcd_client: at(2379),
            etcd_peer: at(2380),
        };
        let authority = authority::create("test").unwrap();
        let authority::KeyAndRequest { key, request } = authority::request().unwrap();
        let uid = Uid::from_bytes([1; 16]);
        Identity {
            uid,
            name: "h1".parse().unwrap(),
            certificate: authority::issue(&authority, &request, uid, &addresses.ips()).unwrap(),
            authority: authority.certificate,
            key,
            addresses,
        }
    }

    #[tokio::test]
    async fn a_learner_that_gave_up_makes_room_after_a_while() {
        if Program::find(Path::new("/nonexistent")).is_err() {
            // Where even this cannot be said, nobody listens.
            let _ = writeln!(std::io::stderr(), "SKIPPED: there is no etcd here");
            return;
        }
        let data = tempfile::tempdir().unwrap();
        let enrolment = Enrolment::save(data.path(), identity(), Contacts::default()).unwrap();
        let process = start_first(data.path(), &enrolment).await.unwrap();
        let endpoint = enrolment.identity().addresses.etcd_client_url();
        let members = Members::new(vec![endpoint], enrolment.identity());
        let (gone, _) = members.add_learner("https://127.0.0.1:1").await.unwrap();
        let full = members
            .add_learner("https://127.0.0.1:2")
            .await
            .unwrap_err();
        assert!(full.says("too many learner members"), "{full}");

        // At first it may only be slow.
        let mut rival = Rival::default();
        rival.give_way(&members).await;
        rival.give_way(&members).await;
        assert_eq!(members.list().await.unwrap().len(), 2);
        rival.silent = Some((gone.id, Instant::now() - GIVEN_UP));
        rival.give_way(&members).await;
        assert_eq!(members.list().await.unwrap().len(), 1);
        members.add_learner("https://127.0.0.1:2").await.unwrap();
        process.stop().await;
    }
}
