//! Copying what a head has: the cluster's state, the files, and etcd's program.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use content::{FileRoot, PartialFile};
use heads::Background;
use heads::etcd::Program;
use heads::exchange::{Destination, Peer, Peers, PullError, Puller, RateLimit, Trees, Urgency};
use heads::identity::{Admitted, Enrolment};
use heads::membership::etcd_settings;
use model::{FileContent, FilePath};
use store::{EtcdStore, LiveState, SqliteStore, Store, StoreError};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Output;
use crate::cluster_store;
use crate::config::Settings;
use crate::data_directory::{DATABASE, DataDirectory, make_directory};
use crate::error::Error;

/// How long a file is asked for that no head gives, while nothing else comes either.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many files are asked for at a time; how many come, the puller decides.
const AT_ONCE: usize = 16;

/// How often it is said how far the copying is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Copies everything that this machine needs to be a head. What is there already is not copied again.
pub(super) async fn everything(
    settings: &Settings,
    data: &DataDirectory,
    enrolment: &Enrolment<Admitted>,
    output: &mut Output,
) -> Result<(), Error> {
    let store: Arc<dyn Store> = Arc::new(state(settings, data, enrolment).await?);
    let copied = files_and_etcd(settings, data, enrolment, &store, output).await;
    store.close().await;
    copied
}

/// The cluster's state, as a replica that is kept up.
async fn state(
    settings: &Settings,
    data: &DataDirectory,
    enrolment: &Enrolment<Admitted>,
) -> Result<EtcdStore, Error> {
    let path = data.file(DATABASE);
    let opened = tokio::task::spawn_blocking(move || match SqliteStore::open_replica(&path) {
        Err(StoreError::Missing { .. }) => SqliteStore::create_replica(&path),
        opened => opened,
    });
    let replica = opened.await.map_err(anyhow::Error::from)?;
    let replica = replica.map_err(anyhow::Error::from)?;
    let known = enrolment.contacts().etcd.clone();
    let etcd = match cluster_store::etcd_elsewhere(settings)? {
        Some(elsewhere) => elsewhere,
        None if known.is_empty() => {
            let unset = "the heads of this cluster run no etcd: set [store] etcd for this one as it is for them";
            return Err(Error::Usage(unset.to_owned()));
        }
        None => etcd_settings(enrolment.identity(), known),
    };
    let store = EtcdStore::open(Arc::new(replica), etcd).await;
    Ok(store.context("cannot copy the cluster's state")?)
}

async fn files_and_etcd(
    settings: &Settings,
    data: &DataDirectory,
    enrolment: &Enrolment<Admitted>,
    store: &Arc<dyn Store>,
    output: &mut Output,
) -> Result<(), Error> {
    let live = LiveState::open(Arc::clone(store)).await;
    let live = Arc::new(live.map_err(anyhow::Error::from)?);
    let following = tokio::spawn({
        let live = Arc::clone(&live);
        async move { live.follow().await }
    });
    output.remark("copied the cluster's state")?;
    let peers = Peers::new(enrolment.identity()).map_err(anyhow::Error::from)?;
    let copied = async {
        files(settings, data, &live, &peers, output).await?;
        match settings.store.etcd_endpoints.is_empty() {
            true => etcd_program(&settings.data, &live, &peers, output).await,
            false => Ok(()),
        }
    };
    let copied = copied.await;
    following.abort();
    copied
}

/// Copies every file that all heads have and that is not here. What is here and differs, the head sees to once it is one.
async fn files(
    settings: &Settings,
    data: &DataDirectory,
    live: &Arc<LiveState>,
    peers: &Peers,
    output: &mut Output,
) -> Result<(), Error> {
    let trees = trees(settings, data)?;
    let missing = missing(live, &trees).await?;
    let bytes: u64 = missing.iter().map(|(_, content)| content.size).sum();
    let count = missing.len();
    output.remark(&format!("copying {count} files, {bytes} bytes"))?;
    // Where a head runs on this machine already, its nodes come first.
    let background = Background::idle().context("cannot start the threads that copy")?;
    let shutdown = CancellationToken::new();
    // Ends what still comes when this function does.
    let _ended = shutdown.clone().drop_guard();
    let puller = Puller::new(
        peers.clone(),
        Arc::clone(live),
        trees,
        Arc::new(InPlace),
        RateLimit::new(
            settings
                .replicate
                .max_rate
                .and_then(std::num::NonZeroU64::new),
        ),
        shutdown,
    );
    let mut missing = VecDeque::from(missing);
    let mut coming = JoinSet::new();
    let mut progress = interval(PROGRESS);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    progress.reset();
    loop {
        while coming.len() < AT_ONCE
            && let Some((path, content)) = missing.pop_front()
        {
            let pull = pull(puller.clone(), Arc::clone(live), path, content);
            coming.spawn_on(pull, background.handle());
        }
        tokio::select! {
            pulled = coming.join_next() => match pulled {
                None => break,
                Some(pulled) => pulled.map_err(anyhow::Error::from)??,
            },
            _ = progress.tick() => {
                let there = count - missing.len() - coming.len();
                let received = puller.status().bytes;
                output.remark(&format!("copied {there} of {count} files, {received} of {bytes} bytes"))?;
            }
        }
    }
    output.remark("copied the files")
}

/// The directories whose files are the same on all heads.
fn trees(settings: &Settings, data: &DataDirectory) -> Result<Trees, Error> {
    let open = |path: &Path| -> Result<FileRoot, Error> {
        make_directory(path)?;
        Ok(FileRoot::open(path).map_err(anyhow::Error::from)?)
    };
    Ok(Trees {
        kickstarts: open(&settings.paths.kickstarts)?,
        clientpkgs: open(&settings.paths.clientpkgs)?,
        ignition: open(&data.file("ignition"))?,
    })
}

/// What all heads have and this machine has not.
async fn missing(live: &LiveState, trees: &Trees) -> Result<Vec<(FilePath, FileContent)>, Error> {
    let (state, trees) = (live.get(), trees.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let listed = state.manifest.present();
        let missing = listed.filter(|(path, _)| match trees.locate(path) {
            Ok((root, name)) => root.stat(&name).is_err(),
            // No head can have it, either.
            Err(_) => false,
        });
        missing
            .map(|(path, content)| (path.clone(), *content))
            .collect()
    });
    Ok(looked.await.map_err(anyhow::Error::from)?)
}

/// Gets a file, unless it is changed or deleted meanwhile.
async fn pull(
    puller: Puller,
    live: Arc<LiveState>,
    path: FilePath,
    content: FileContent,
) -> Result<(), Error> {
    let mut last = (puller.status().bytes, Instant::now());
    loop {
        let error = match puller.pull(&path, &content, Urgency::Background).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let state = live.get();
        let listed = state.manifest.get(&path);
        if listed.and_then(|listed| listed.version.content) != Some(content) {
            return Ok(());
        }
        let bytes = puller.status().bytes;
        if bytes != last.0 {
            last = (bytes, Instant::now());
        }
        match &error {
            PullError::NoSource { .. } | PullError::Alone { .. } if last.1.elapsed() < PATIENCE => {
                sleep(error.retry_after()).await;
            }
            _ => {
                let unfinished = "the files are not all copied; run again, it goes on";
                return Err(anyhow::Error::from(error).context(unfinished).into());
            }
        }
    }
}

/// Gives files that arrived their names.
struct InPlace;

impl Destination for InPlace {
    fn publish(
        &self,
        _: &FilePath,
        _: &FileContent,
        file: PartialFile,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        file.publish()?;
        Ok(())
    }
}

/// Gets etcd's program from another head, where this machine has none.
async fn etcd_program(
    data: &Path,
    live: &LiveState,
    peers: &Peers,
    output: &mut Output,
) -> Result<(), Error> {
    let Err(none) = Program::find(data) else {
        return Ok(());
    };
    let mut reasons = vec![none.to_string()];
    let path = Program::own_path(data);
    for head in live.get().heads.iter() {
        let peer = Peer::from(head.as_ref());
        match peers.etcd_program(&peer, &path).await {
            Ok(()) => return output.remark(&format!("copied etcd from {peer}")),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(Error::Found(reasons.join("; ")))
}
