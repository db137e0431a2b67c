//! Client packages: what lies in the directories `rpm`, `deb` and `tar`, and which of it is wanted.
//!
//! [`Packages`] keeps an index of the three directories. Whatever is copied there is noticed, read once it rests, and
//! listed by what its own header says, or with its fault. An rpm is made a tar when one is asked for and an
//! administrator has put none there: once, however many ask.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use package::{Architecture, Kind};
use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod cache;
mod conversion;
mod conversions;
mod directories;
mod entry;
mod error;
mod index;
mod keeper;
mod listing;
mod look;
mod package_file;
mod placing;
mod reading;
mod repository;
mod storing;
mod until_closing;
mod wanted;

pub use entry::{Conversion, Entry, Fault, Package};
pub use error::PackagesError;
pub use listing::Listing;
pub use package_file::PackageFile;
pub use repository::{Repository, RepositoryError, SigningKey};

use cache::Cache;
use conversions::Conversions;
use directories::Directories;
use index::Index;
use keeper::Keeper;
use storing::{Received, hand_over};
use wanted::Tar;

use crate::{ContentError, FileRoot, FileState, OpenFile, PartialFile, Sha256Digest};

/// How long one who asks waits for a file that was just written to, or for the first reading of all files.
const PATIENCE: Duration = Duration::from_secs(5);

/// How packages are kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Holds the directories `rpm`, `deb` and `tar`, which are made if need be.
    pub directory: PathBuf,
    /// The file that spares reading all packages again after a restart.
    pub cache: PathBuf,
    /// When an rpm is made a tar.
    pub convert: Convert,
    /// How long one who asks for a tar waits for it to be made.
    pub convert_wait: Duration,
    /// How much an rpm may unpack to.
    pub limits: package::rpm::Limits,
}

/// When an rpm is made a tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Convert {
    /// When somebody asks for the tar.
    #[default]
    OnRequest,
    /// As soon as the rpm is there.
    OnArrival,
}

/// What must be true of the file that is there, by its digest, for a change to happen (`If-Match` and the like).
pub type Condition = Box<dyn FnOnce(Option<&Sha256Digest>) -> bool + Send>;

/// The client packages of a directory.
///
/// Dropping it ends its tasks; [`Packages::close`] waits until they have ended, too.
pub struct Packages {
    index: Arc<Index>,
    conversions: Arc<Conversions>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// A package to be sent.
#[derive(Debug)]
pub struct Opened {
    /// Its bytes.
    pub file: OpenFile,
    /// What is known of these very bytes.
    pub entry: Arc<Entry>,
}

/// What an upload came to.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The package as it is listed now.
    pub entry: Arc<Entry>,
    /// Whether there was no file of that name before.
    pub created: bool,
}

impl Packages {
    /// Makes the directories if need be, and begins to read and to watch what is in them.
    ///
    /// # Errors
    /// The directories cannot be used.
    pub async fn open(settings: Settings) -> Result<Self, PackagesError> {
        let Settings {
            directory,
            cache,
            convert,
            convert_wait,
            limits,
        } = settings;
        let opened = spawn_blocking(move || {
            let cache = Cache::new(cache);
            let remembered = cache.load();
            Ok::<_, PackagesError>((Directories::open(&directory)?, cache, remembered))
        });
        let (directories, cache, remembered) =
            opened.await.map_err(|_| PackagesError::Closing)??;
        let index = Arc::new(Index::new(directories));
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        let keeper = Keeper::new(Arc::clone(&index), cache, closing.clone());
        tasks.spawn(keeper.run(remembered));
        let conversions = Arc::new(Conversions::new(
            Arc::clone(&index),
            limits,
            convert_wait,
            closing.clone(),
            tasks.clone(),
        ));
        if convert == Convert::OnArrival {
            tasks.spawn(Arc::clone(&conversions).follow());
        }
        Ok(Self {
            index,
            conversions,
            closing,
            tasks,
        })
    }

    /// Waits until everything that lay at rest there at the start is listed. Until then something may only seem to be
    /// missing.
    pub async fn settled(&self) {
        let mut changes = self.changes();
        // Fails only when there will be no more changes, which the index outlives.
        let _ = changes.wait_for(|listing| listing.is_complete()).await;
    }

    /// All packages as they are listed now.
    #[must_use]
    pub fn list(&self) -> Arc<Listing> {
        self.index.listing()
    }

    /// The list, and whenever it changes.
    #[must_use]
    pub fn changes(&self) -> Receiver<Arc<Listing>> {
        self.index.subscribe()
    }

    /// The directory of the packages of a kind.
    #[must_use]
    pub fn root(&self, kind: Kind) -> &FileRoot {
        self.index.directories.root(kind)
    }

    /// The package that `wanted` names, ready to be sent: [`find`](Self::find) or [`tar`](Self::tar), and
    /// [`open_package`](Self::open_package). Waits a little for what is being read or has just changed.
    ///
    /// # Errors
    /// As those; and [`PackagesError::NotYet`].
    pub async fn get(
        &self,
        kind: Kind,
        architecture: Architecture,
        wanted: &str,
    ) -> Result<Opened, PackagesError> {
        let give_up = Instant::now() + PATIENCE;
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let found = match kind {
                Kind::Tar => self.tar(architecture, wanted).await,
                Kind::Rpm | Kind::Deb => self.find(kind, architecture, wanted),
            };
            let error = match found {
                Ok(entry) => match self.open_package(&entry).await {
                    Err(PackagesError::File(ContentError::NotFound { .. }))
                        if Instant::now() < give_up =>
                    {
                        continue;
                    }
                    outcome => return outcome,
                },
                // A tar may be in the way of another because it is not listed yet.
                Err(
                    error @ (PackagesError::NotFound { .. } | PackagesError::Unconverted { .. }),
                ) => error,
                Err(error) => return Err(error),
            };
            let kinds = match kind {
                Kind::Tar => &[Kind::Tar, Kind::Rpm][..],
                Kind::Rpm | Kind::Deb => &[kind],
            };
            if !self.index.may_be_arriving(kinds, wanted) {
                // It may have arrived since it was looked for.
                match changes.has_changed() {
                    Ok(true) => continue,
                    _ => return Err(error),
                }
            }
            if !matches!(timeout_at(give_up, changes.changed()).await, Ok(Ok(()))) {
                return Err(if self.list().is_complete() {
                    error
                } else {
                    let wanted = wanted.to_owned();
                    PackagesError::NotYet { kind, wanted }
                });
            }
        }
    }

    /// The package that `wanted` names: a file name, a package name (the newest that runs on `architecture`), or a
    /// name and a version.
    ///
    /// # Errors
    /// [`PackagesError::NotFound`], which tells what there is.
    pub fn find(
        &self,
        kind: Kind,
        architecture: Architecture,
        wanted: &str,
    ) -> Result<Arc<Entry>, PackagesError> {
        self.list().find(kind, architecture, wanted)
    }

    /// The tar that `wanted` names: an administrator's, else one made of the newest rpm. Waits until it is made, but not
    /// beyond [`Settings::convert_wait`].
    ///
    /// # Errors
    /// There is neither; the rpm cannot be made a tar; [`PackagesError::Converting`].
    pub async fn tar(
        &self,
        architecture: Architecture,
        wanted: &str,
    ) -> Result<Arc<Entry>, PackagesError> {
        // An administrator's tar may not be listed yet, and neither the newest rpm.
        if timeout(PATIENCE, self.settled()).await.is_err() {
            let (kind, wanted) = (Kind::Tar, wanted.to_owned());
            return Err(PackagesError::NotYet { kind, wanted });
        }
        let listing = self.list();
        match listing.tar(architecture, wanted)? {
            Tar::There(tar) => Ok(tar),
            Tar::OfRpm(rpm) => self.conversions.tar(&rpm).await,
        }
    }

    /// Opens the file of `entry`. If it is not as it was when it was read, it is read again first.
    ///
    /// # Errors
    /// It is gone, is broken, or is another package now.
    pub async fn open_package(&self, entry: &Arc<Entry>) -> Result<Opened, PackagesError> {
        if let Some(opened) = self.open_as_read(entry).await? {
            return Ok(opened);
        }
        if let Some(now) = self.read_again(entry).await {
            if let Some(reason) = now.fault() {
                let (file, reason) = (now.file.clone(), reason.to_owned());
                return Err(PackagesError::Broken { file, reason });
            }
            let name = |entry: &Entry| entry.package().map(|package| package.identity.name.clone());
            if name(&now) == name(entry)
                && let Some(opened) = self.open_as_read(&now).await?
            {
                return Ok(opened);
            }
        }
        let directory = self.root(entry.kind()).path().to_owned();
        let name = entry.file.name().clone();
        Err(ContentError::Changing { name, directory }.into())
    }

    /// The tar of the rpm `entry`, made if it is not there. Waits for that, but not beyond [`Settings::convert_wait`].
    ///
    /// # Errors
    /// The rpm cannot be made a tar; [`PackagesError::Converting`].
    pub async fn convert(&self, entry: &Arc<Entry>) -> Result<Arc<Entry>, PackagesError> {
        self.conversions.tar(entry).await
    }

    /// How far the conversion of the rpm `entry` is.
    #[must_use]
    pub fn conversion(&self, entry: &Entry) -> Conversion {
        self.conversions.conversion(entry)
    }

    /// Stores `body` as `file`, if it is a package and the condition holds. Others see the old file or the new one,
    /// nothing between, and so does a head that loses power. After an error nothing of it is left behind.
    ///
    /// # Errors
    /// It breaks off, is no package, or finds no room.
    pub async fn put(
        &self,
        file: &PackageFile,
        condition: Option<Condition>,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<Stored, PackagesError> {
        let (parts, received) = mpsc::channel(4);
        let (index, file) = (Arc::clone(&self.index), file.clone());
        let storing = self
            .tasks
            .spawn_blocking(move || index.store(&file, condition, Received::new(received)));
        hand_over(body, parts).await;
        storing.await.map_err(|_| PackagesError::Closing)?
    }

    /// Deletes `file`, if the condition holds.
    ///
    /// # Errors
    /// There is no such file.
    pub async fn remove(
        &self,
        file: &PackageFile,
        condition: Option<Condition>,
    ) -> Result<(), PackagesError> {
        let (index, file) = (Arc::clone(&self.index), file.clone());
        let deleting = self
            .tasks
            .spawn_blocking(move || index.delete(&file, condition));
        deleting.await.map_err(|_| PackagesError::Closing)?
    }

    /// Gives a file that another head has the name of `package`, if that is in the state `expected` here, and lists it at
    /// once: the state it is in then. The file is whole and synced, and `sha256` its digest. Blocks.
    ///
    /// # Errors
    /// [`ContentError::Changing`] when it is in another state; something else than a file is in the way.
    pub fn place(
        &self,
        package: &PackageFile,
        file: PartialFile,
        sha256: Sha256Digest,
        expected: Option<FileState>,
    ) -> Result<FileState, ContentError> {
        self.index.place(package, file, sha256, expected)
    }

    /// Sets permission bits and time of the file of `package`, if it is in the state `expected`: the state it is in
    /// then. Blocks.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub fn set_metadata(
        &self,
        package: &PackageFile,
        expected: FileState,
        mode: u32,
        mtime: i64,
    ) -> Result<FileState, ContentError> {
        self.index.set_metadata(package, expected, mode, mtime)
    }

    /// Deletes the file of `package`, if it is in the state `expected`, and the directories that are empty then. Blocks.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub fn remove_replica(
        &self,
        package: &PackageFile,
        expected: FileState,
    ) -> Result<(), ContentError> {
        self.index.remove_replica(package, expected)
    }

    /// Ends all tasks and waits until they have ended.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// What is known of the file of `entry` once it is read anew. `None` if that takes too long.
    async fn read_again(&self, entry: &Entry) -> Option<Arc<Entry>> {
        let mut changes = self.changes();
        self.index.look_wanted.notify_one();
        let is_other = |listing: &Arc<Listing>| {
            let now = listing.get(&entry.file);
            now.is_some_and(|now| now.file_id != entry.file_id)
        };
        let listing = timeout(PATIENCE, changes.wait_for(is_other)).await;
        listing.ok()?.ok()?.get(&entry.file).map(Arc::clone)
    }

    /// The file of `entry`, if it is still in the state that was read. One that is gone is listed no more.
    async fn open_as_read(&self, entry: &Arc<Entry>) -> Result<Option<Opened>, PackagesError> {
        let (index, entry) = (Arc::clone(&self.index), Arc::clone(entry));
        let opening = spawn_blocking(move || {
            let opened = index.directories.open_as_read(&entry);
            if opened.is_err() {
                index.change().check(&entry.file);
            }
            opened
        });
        Ok(opening.await.map_err(|_| PackagesError::Closing)??)
    }
}

impl Drop for Packages {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}
