//! One pull: a file from one head after another, until it is whole and verified.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use content::PartialFile;
use model::{FileContent, FilePath, Name, Sha256Digest, Uid};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::landing::Landing;
use super::sources::Sources;
use super::{ExchangeError, Peer, Peers, PullError, RateLimit, Trees};

/// How much must have come before a cut for the same head to be asked to go on.
const WORTH_GOING_ON: u64 = 64 * 1024;

/// What a pull works with.
pub(super) struct Pull<'a> {
    pub(super) peers: &'a Peers,
    pub(super) trees: &'a Trees,
    pub(super) sources: &'a Sources,
    pub(super) rate: &'a RateLimit,
    /// Cancelled when somebody waits for the file.
    pub(super) hurry: &'a CancellationToken,
    pub(super) path: &'a FilePath,
    pub(super) content: FileContent,
    /// Cancelled when nobody wants the file any more.
    pub(super) stop: &'a CancellationToken,
    pub(super) arriving: &'a Arriving,
    /// Bytes fetched by all pulls.
    pub(super) fetched: &'a AtomicU64,
}

/// How far a pull is, for those who look on.
#[derive(Default)]
pub(super) struct Arriving {
    received: AtomicU64,
    from: Mutex<Option<Name>>,
}

/// Why a head's bytes did not come.
enum Cut {
    /// Nobody wants them any more.
    Stop,
    /// It does not send them (any more).
    Peer(ExchangeError),
    /// They cannot be stored.
    Disk(io::Error),
}

impl Arriving {
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(super) fn from(&self) -> Option<Name> {
        self.from
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn comes_from(&self, peer: &Peer) {
        let name = Some(peer.name.clone());
        *self.from.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }
}

/// The heads that can be asked, and what is known of their bytes.
struct Candidates {
    peers: Vec<Peer>,
    /// Whether what one head sent may be completed by another.
    may_mix: bool,
    /// Why there are no bytes so far.
    reasons: Vec<String>,
}

/// Where the bytes of a whole file came from.
#[derive(Default)]
struct Origins {
    /// Some were on disk.
    disk: bool,
    heads: HashSet<Uid>,
}

impl Pull<'_> {
    /// The file, whole and synced, under its hidden name.
    pub(super) async fn run(&self, peers: Vec<Peer>) -> Result<PartialFile, PullError> {
        let mut candidates = Candidates {
            peers,
            may_mix: true,
            reasons: Vec::new(),
        };
        let mut partial = self.open().await?;
        loop {
            let (whole, sha256, origins) = self.fetch_all(partial, &mut candidates).await?;
            if sha256 == self.content.sha256 {
                return Ok(whole);
            }
            self.distrust(&origins, &mut candidates)?;
            partial = self.empty(whole).await?;
        }
    }

    /// Gets all bytes, whatever they are: the file, its digest, and where they came from.
    async fn fetch_all(
        &self,
        partial: PartialFile,
        candidates: &mut Candidates,
    ) -> Result<(PartialFile, Sha256Digest, Origins), PullError> {
        let mut landing = self.begin(partial).await?;
        let mut origins = Origins {
            disk: landing.received() > 0,
            heads: HashSet::new(),
        };
        for peer in &candidates.peers {
            if landing.received() == self.content.size {
                break;
            }
            if !candidates.may_mix && landing.received() > 0 {
                let partial = self.stored(landing.stop().await)?;
                landing = self.begin(self.empty(partial).await?).await?;
                origins = Origins::default();
            }
            let before = landing.received();
            let fetched = self.fetch(peer, &mut landing).await;
            if landing.received() > before {
                origins.heads.insert(peer.uid);
            }
            match fetched {
                Ok(()) => self.sources.answered(peer.uid),
                Err(Cut::Disk(error)) => return self.stored(Err(error)),
                Err(Cut::Stop) => {
                    self.stored(landing.stop().await)?;
                    return Err(PullError::Stopping);
                }
                Err(Cut::Peer(error)) => {
                    self.sources.failed(peer.uid, &error);
                    candidates.reasons.push(error.to_string());
                }
            }
        }
        if landing.received() < self.content.size {
            self.stored(landing.stop().await)?;
            return Err(self.no_source(candidates));
        }
        let (whole, sha256) = self.stored(landing.finish().await)?;
        Ok((whole, sha256, origins))
    }

    /// Draws the consequences from bytes that are wrong: one head less is asked, or none completes another's bytes.
    fn distrust(&self, origins: &Origins, candidates: &mut Candidates) -> Result<(), PullError> {
        let (file, sha256) = (self.path, self.content.sha256);
        let sole = origins
            .heads
            .iter()
            .next()
            .filter(|_| origins.heads.len() == 1);
        let Some(sender) = sole.filter(|_| !origins.disk) else {
            if origins.heads.is_empty() && !origins.disk {
                let reason = format!("no bytes at all do not have the digest {sha256}");
                candidates.reasons.push(reason);
                return Err(self.no_source(candidates));
            }
            tracing::warn!(%file, "its bytes came from several places and are wrong; pulling all of it again");
            candidates.may_mix = false;
            return Ok(());
        };
        for liar in candidates.peers.extract_if(.., |peer| peer.uid == *sender) {
            let reason = format!("{liar} sent other bytes than {sha256}");
            tracing::warn!(%file, "{reason}; they were thrown away");
            candidates.reasons.push(reason);
        }
        Ok(())
    }

    /// Gets what is missing from `peer`, asking again when the connection is cut on the way.
    async fn fetch(&self, peer: &Peer, landing: &mut Landing) -> Result<(), Cut> {
        loop {
            let before = landing.received();
            self.arriving.comes_from(peer);
            let fetched = tokio::select! {
                fetched = self.fetch_once(peer, landing) => fetched,
                () = self.stop.cancelled() => Err(Cut::Stop),
            };
            match fetched {
                Err(Cut::Peer(error)) if landing.received() - before >= WORTH_GOING_ON => {
                    tracing::info!(file = %self.path, at = landing.received(), %error, "a pull goes on after a cut");
                }
                ended => return ended,
            }
        }
    }

    async fn fetch_once(&self, peer: &Peer, landing: &mut Landing) -> Result<(), Cut> {
        let size = self.content.size;
        let mut stream = self
            .peers
            .open_content(peer, self.path, self.content.sha256, landing.received())
            .await
            .map_err(Cut::Peer)?;
        let wrong = |reason: String| {
            Cut::Peer(ExchangeError::Answer {
                peer: peer.clone(),
                reason,
            })
        };
        let announced = landing.received() + stream.len();
        if announced != size {
            return Err(wrong(format!("{announced} bytes instead of {size}")));
        }
        // The body ends after as many bytes as were announced, whatever the other head does.
        while let Some(bytes) = stream.next().await.map_err(Cut::Peer)? {
            let count = bytes.len() as u64;
            landing.take(bytes).await.map_err(Cut::Disk)?;
            self.arriving
                .received
                .store(landing.received(), Ordering::Relaxed);
            self.fetched.fetch_add(count, Ordering::Relaxed);
            // What somebody waits for counts, but is not held back.
            self.hurry.run_until_cancelled(self.rate.take(count)).await;
        }
        if landing.received() < size {
            return Err(wrong(format!(
                "it ended after {} bytes",
                landing.received()
            )));
        }
        Ok(())
    }

    async fn open(&self) -> Result<PartialFile, PullError> {
        let (trees, path) = (self.trees.clone(), self.path.clone());
        let sha256 = self.content.sha256;
        let open = move || {
            let (root, name) = trees.locate(&path)?;
            PartialFile::open(root, &name, sha256)
        };
        let opened = self.stored(spawn_blocking(open).await.map_err(io::Error::from))?;
        opened.map_err(|error| PullError::Store(Arc::new(error)))
    }

    async fn begin(&self, partial: PartialFile) -> Result<Landing, PullError> {
        let is_awaited = self.hurry.is_cancelled();
        let landing = self.stored(Landing::begin(partial, self.content, is_awaited).await)?;
        self.arriving
            .received
            .store(landing.received(), Ordering::Relaxed);
        Ok(landing)
    }

    async fn empty(&self, partial: PartialFile) -> Result<PartialFile, PullError> {
        let empty = move || partial.file().set_len(0).map(|()| partial);
        let emptied = spawn_blocking(empty).await.map_err(io::Error::from);
        self.stored(emptied.flatten())
    }

    /// Names what the kernel's error means for the file.
    fn stored<T>(&self, outcome: io::Result<T>) -> Result<T, PullError> {
        outcome.map_err(|error| {
            let error = match self.trees.locate(self.path) {
                Ok((root, name)) => root.not_stored(&name, error),
                Err(error) => error,
            };
            PullError::Store(Arc::new(error))
        })
    }

    fn no_source(&self, candidates: &Candidates) -> PullError {
        PullError::NoSource {
            path: self.path.clone(),
            sha256: self.content.sha256,
            reasons: candidates.reasons.clone(),
            retry_after: self.sources.retry_after(),
        }
    }
}
