//! The task that owns the link to etcd: it finds a member that works, feeds the replica from it, and leaves it when it
//! does not work any more.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::session::Session;
use super::{EtcdSettings, Link, Trouble, feed};
use crate::SqliteStore;

/// How long the first member is given before the next is tried as well, and so on.
const HEAD_START: Duration = Duration::from_millis(250);

/// From one proof that the member works to the next attempt.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// After all members have failed.
const SEARCH_PAUSE: Duration = Duration::from_millis(300);

/// A link that lasted no longer than this is no success, and the next is made only after as long.
const STEADY: Duration = Duration::from_secs(1);

/// From one attempt to get back to the preferred member to the next.
const RETURN_PAUSE: Duration = Duration::from_secs(10);

/// What the task and the store share.
#[derive(Clone)]
pub(super) enum State {
    Connecting,
    Up(Arc<Session>),
    Down(String),
}

impl State {
    pub(super) fn link(&self) -> Link {
        match self {
            Self::Connecting => Link::Connecting,
            Self::Up(session) => Link::Up {
                endpoint: session.endpoint().to_owned(),
            },
            Self::Down(why) => Link::Down { why: why.clone() },
        }
    }
}

pub(super) struct LinkTask {
    pub(super) replica: Arc<SqliteStore>,
    pub(super) settings: EtcdSettings,
    /// Those of the settings, or what took their place.
    pub(super) endpoints: watch::Receiver<Vec<String>>,
    pub(super) state: watch::Sender<State>,
    pub(super) link: watch::Sender<Link>,
}

impl LinkTask {
    pub(super) async fn run(mut self) -> Infallible {
        let mut session = self.search().await;
        loop {
            let begun = Instant::now();
            let endpoint = session.endpoint().to_owned();
            session = match self.hold(session).await {
                Next::Session(better) => better,
                // It may still answer what it was asked, so it stays in use until there is another.
                Next::Search => {
                    tracing::info!(endpoint, "this member of etcd is no longer one of ours");
                    self.search().await
                }
                Next::Recover(trouble) => {
                    tracing::warn!(endpoint, %trouble, "lost the link to etcd");
                    if begun.elapsed() > STEADY {
                        self.publish(State::Connecting);
                    } else {
                        self.publish(State::Down(format!("{endpoint}: {trouble}")));
                        sleep(STEADY).await;
                    }
                    self.search().await
                }
            };
        }
    }

    /// Tries all members until one works.
    async fn search(&mut self) -> Arc<Session> {
        loop {
            let endpoints = self.endpoints.borrow_and_update().clone();
            match first_that_works(&endpoints, &self.settings, &self.replica).await {
                Ok(session) => return Arc::new(session),
                Err(why) => self.publish(State::Down(why)),
            }
            tokio::select! {
                () = sleep(SEARCH_PAUSE) => {}
                _ = self.endpoints.changed() => {}
            }
        }
    }

    /// Stays with a member for as long as it works and there is none better.
    async fn hold(&mut self, session: Arc<Session>) -> Next {
        if let Err(trouble) = feed::fill(&self.replica, &session).await {
            return Next::Recover(trouble);
        }
        self.publish(State::Up(Arc::clone(&session)));
        let settings = self.settings.clone();
        tokio::select! {
            ended = feed::follow(&self.replica, &session) => Next::from(ended),
            ended = probe(&session) => Next::from(ended),
            next = better(&mut self.endpoints, session.endpoint(), &settings, &self.replica) => next,
        }
    }

    fn publish(&self, state: State) {
        let link = state.link();
        self.state.send_replace(state);
        let changed = self.link.send_if_modified(|known| {
            let changed = *known != link;
            if changed {
                known.clone_from(&link);
            }
            changed
        });
        match link {
            Link::Up { endpoint } if changed => tracing::info!(endpoint, "linked to etcd"),
            Link::Down { why } if changed => {
                tracing::warn!(
                    why,
                    "no link to etcd: the cluster is served as it last was, and cannot be changed"
                );
            }
            _ => {}
        }
    }
}

/// What follows when a member is left.
enum Next {
    /// The link to a member that is preferred.
    Session(Arc<Session>),
    /// The member is not among ours any more.
    Search,
    /// It does not work.
    Recover(Trouble),
}

impl From<Result<Infallible, Trouble>> for Next {
    fn from(ended: Result<Infallible, Trouble>) -> Self {
        match ended {
            Ok(never) => match never {},
            Err(trouble) => Self::Recover(trouble),
        }
    }
}

async fn probe(session: &Session) -> Result<Infallible, Trouble> {
    loop {
        sleep(PROBE_PAUSE).await;
        session.probe().await?;
    }
}

/// Waits until there is a better member than `present`.
async fn better(
    endpoints: &mut watch::Receiver<Vec<String>>,
    present: &str,
    settings: &EtcdSettings,
    replica: &SqliteStore,
) -> Next {
    loop {
        let known = endpoints.borrow_and_update().clone();
        if !known.iter().any(|endpoint| endpoint == present) {
            return Next::Search;
        }
        if let Some(preferred) = known.first()
            && preferred != present
            && let Ok(session) = Session::open(preferred, settings, replica).await
        {
            return Next::Session(Arc::new(session));
        }
        tokio::select! {
            () = sleep(RETURN_PAUSE) => {}
            _ = endpoints.changed() => {}
        }
    }
}

/// The first of the members that works. They are tried side by side, each a little later than the one before it. An error
/// says what is wrong with them.
pub(super) async fn first_that_works(
    endpoints: &[String],
    settings: &EtcdSettings,
    replica: &Arc<SqliteStore>,
) -> Result<Session, String> {
    let mut attempts = JoinSet::new();
    for (number, endpoint) in endpoints.iter().cloned().enumerate() {
        let (settings, replica) = (settings.clone(), Arc::clone(replica));
        attempts.spawn(async move {
            sleep(HEAD_START * u32::try_from(number).unwrap_or(u32::MAX)).await;
            let opened = Session::open(&endpoint, &settings, &replica).await;
            (
                number,
                opened.map_err(|trouble| format!("{endpoint}: {trouble}")),
            )
        });
    }
    let mut troubles = Vec::new();
    while let Some(attempt) = attempts.join_next().await {
        // One that panicked has said so.
        match attempt {
            Ok((_, Ok(session))) => return Ok(session),
            Ok((number, Err(trouble))) => troubles.push((number, trouble)),
            Err(_) => {}
        }
    }
    troubles.sort_unstable();
    let troubles: Vec<String> = troubles.into_iter().map(|(_, trouble)| trouble).collect();
    match troubles.is_empty() {
        true => Err("it was removed from its cluster, and has no etcd to connect to".to_owned()),
        false => Err(troubles.join("; ")),
    }
}
