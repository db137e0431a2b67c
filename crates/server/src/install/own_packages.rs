//! [`OwnPackages`]: the packages of this very head, `pilotlight`, for machines that are to become heads, too.
//!
//! They are made by a process of their own when they are first asked for, kept in the data directory, and made again
//! when the executable is another one.

use std::{
    env::consts::ARCH,
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use content::{
    FileRoot, OpenFile,
    packages::{Entry, Package, PackageFile, Repository, RepositoryError, SigningKey},
};
use head_package::{HeadPackage, HeadPackages};
use package::{Identity, Kind};
use tokio::{io::AsyncReadExt, process::Command, sync::watch, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::{Error, head::Head};

/// How long one who asks waits for them to be made.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much is read of what the process complains about.
const MAX_COMPLAINT: u64 = 2 << 10;

/// Itself, also if its file was replaced since it was started.
const EXECUTABLE: &str = "/proc/self/exe";

/// How the packages of a head are made and kept.
pub struct OwnPackages {
    settings: Arc<OwnPackagesSettings>,
    state: Mutex<State>,
    closing: CancellationToken,
}

/// Where they are kept, and how they are made.
pub struct OwnPackagesSettings {
    /// The directory for them, which holds nothing else.
    pub directory: PathBuf,
    /// The key that their repositories are signed with.
    pub signing_key: Option<SigningKey>,
    /// The arguments to this executable with which it makes its packages in a new directory, up to the directory.
    pub arguments: &'static [&'static str],
}

enum State {
    /// Nobody has asked for them, or they could not be made.
    Absent,
    /// They are being made, or looked at.
    Coming(watch::Receiver<Outcome>),
    There(Arc<Offered>),
}

/// Nothing yet; the packages; or why there are none.
type Outcome = Option<Result<Arc<Offered>, Arc<str>>>;

/// The packages, and where they are.
pub(crate) struct Offered {
    pub(crate) packages: Arc<HeadPackages>,
    pub(crate) is_signed: bool,
    directory: PathBuf,
    /// What dnf and apt read first.
    pub(crate) indices: Arc<FileRoot>,
}

#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the process that makes them {0}")]
    Process(String),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("{0}")]
    Unusable(String),
    #[error("the head is ending")]
    Closing,
}

impl OwnPackages {
    /// Does nothing yet. What is being made when `closing` is cancelled is given up.
    #[must_use]
    pub fn new(settings: OwnPackagesSettings, closing: CancellationToken) -> Self {
        Self {
            settings: Arc::new(settings),
            state: Mutex::new(State::Absent),
            closing,
        }
    }

    /// What is there, what comes, or what begins to come now.
    fn ask(&self, head: &Arc<Head>) -> Result<Arc<Offered>, watch::Receiver<Outcome>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::There(offered) if offered.are_there() => return Ok(Arc::clone(offered)),
            // Without a sender, what made them has panicked.
            State::Coming(outcome) if outcome.has_changed().is_ok() => return Err(outcome.clone()),
            State::Absent | State::Coming(_) | State::There(_) => {}
        }
        let (done, outcome) = watch::channel(None);
        *state = State::Coming(outcome.clone());
        let head_of_task = Arc::clone(head);
        head.tasks.spawn(async move {
            let own = &head_of_task.own_packages;
            let made = make(&own.settings, &own.closing).await;
            let made = made.map(Arc::new).map_err(|error| {
                if !matches!(error, MakeError::Closing) {
                    tracing::error!("the packages of this head cannot be made: {error}");
                }
                Arc::from(error.to_string())
            });
            let mut state = own.state.lock().unwrap_or_else(PoisonError::into_inner);
            *state = match &made {
                Ok(offered) => State::There(Arc::clone(offered)),
                Err(_) => State::Absent,
            };
            drop(state);
            done.send_replace(Some(made));
        });
        Err(outcome)
    }
}

impl Head {
    /// The packages of this head. Where they are not there yet, waits until they are made: once, however many ask.
    pub(crate) async fn head_packages(self: &Arc<Self>) -> Result<Arc<HeadPackages>, Error> {
        Ok(Arc::clone(&self.offered_packages().await?.packages))
    }

    /// The same, with their indices.
    pub(crate) async fn offered_packages(self: &Arc<Self>) -> Result<Arc<Offered>, Error> {
        let mut outcome = match self.own_packages.ask(self) {
            Ok(offered) => return Ok(offered),
            Err(outcome) => outcome,
        };
        let made = tokio::time::timeout(PATIENCE, outcome.wait_for(Option::is_some));
        let unavailable = |why: &str| {
            Error::Unavailable(format!("the packages of this head are not there: {why}"))
        };
        match made.await {
            Err(_) => Err(unavailable("they are still being made")),
            Ok(Ok(made)) => match &*made {
                Some(Ok(offered)) => Ok(Arc::clone(offered)),
                Some(Err(why)) => Err(unavailable(why)),
                None => Err(unavailable("nobody made them")),
            },
            Ok(Err(_)) => Err(unavailable("making them broke off")),
        }
    }
}

impl Offered {
    /// The package whose file is called so.
    pub(crate) fn find(&self, kind: Kind, file: &str) -> Option<&HeadPackage> {
        Some(self.packages.of(kind)).filter(|package| package.file == file)
    }

    /// Opens the package of this kind.
    pub(crate) fn open(&self, kind: Kind) -> io::Result<OpenFile> {
        OpenFile::open(&self.packages.path(&self.directory, kind))
    }

    /// Whether nobody has removed them.
    fn are_there(&self) -> bool {
        [Kind::Rpm, Kind::Deb, Kind::Tar].into_iter().all(|kind| {
            let stat = fs::metadata(self.packages.path(&self.directory, kind));
            stat.is_ok_and(|stat| stat.len() == self.packages.of(kind).size)
        })
    }
}

/// The packages of this executable, made if they are not there.
async fn make(
    settings: &Arc<OwnPackagesSettings>,
    closing: &CancellationToken,
) -> Result<Offered, MakeError> {
    let looking = Arc::clone(settings);
    let (directory, packages) = blocking(move || {
        let executable = OpenFile::open(Path::new(EXECUTABLE)).and_then(|file| file.sha256());
        let executable = executable.map_err(at(Path::new(EXECUTABLE)))?;
        let directory = looking.directory.join(executable.revision());
        let packages = HeadPackages::read(&directory).map_err(at(&directory))?;
        if packages.is_none() {
            clear(&looking.directory).map_err(at(&looking.directory))?;
        }
        Ok((directory, packages))
    })
    .await?;
    let packages = match packages {
        Some(packages) => packages,
        None => {
            tokio::select! {
                () = closing.cancelled() => return Err(MakeError::Closing),
                made = run(settings.arguments, &directory) => made?,
            }
            let directory = directory.clone();
            let packages = blocking(move || HeadPackages::read(&directory).map_err(at(&directory)));
            let packages = packages.await?.ok_or_else(|| {
                MakeError::Process("ended well, but did not make all of them".to_owned())
            })?;
            tracing::info!(version = packages.version, "made the packages of this head");
            packages
        }
    };
    let settings = Arc::clone(settings);
    blocking(move || offer(&settings, directory, packages)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MakeError> + Send + 'static,
) -> Result<T, MakeError> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(MakeError::Unusable(error.to_string())))
}

/// Removes packages of other executables, and what was not finished.
fn clear(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    fs::create_dir(directory)
}

/// Runs this executable to make its packages: it may be large, and this process is to stay small. Dropping this kills it.
async fn run(arguments: &[&str], directory: &Path) -> Result<(), MakeError> {
    let cannot_run = |error: io::Error| MakeError::Process(format!("cannot be run: {error}"));
    let mut process = Command::new(EXECUTABLE)
        .args(arguments)
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot_run)?;
    let mut complaint = Vec::new();
    if let Some(stderr) = process.stderr.take() {
        let mut stderr = stderr.take(MAX_COMPLAINT);
        stderr
            .read_to_end(&mut complaint)
            .await
            .map_err(cannot_run)?;
    }
    let status = process.wait().await.map_err(cannot_run)?;
    match status.success() {
        true => Ok(()),
        false => {
            let complaint = String::from_utf8_lossy(&complaint);
            let complaint = complaint.trim_end();
            Err(MakeError::Process(format!(
                "ended with {status}: {complaint}"
            )))
        }
    }
}

/// Makes the indices of the packages anew: whether and by which key they are signed may have changed.
fn offer(
    settings: &OwnPackagesSettings,
    directory: PathBuf,
    packages: HeadPackages,
) -> Result<Offered, MakeError> {
    let entries = [Kind::Rpm, Kind::Deb]
        .map(|kind| entry(&directory, &packages, kind).map(Arc::new))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let indices = directory.join("repo");
    let signing_key = settings.signing_key.clone();
    let is_signed = signing_key.is_some();
    let repository = Repository::new(indices.clone(), directory.clone(), signing_key);
    if !repository.rebuild(&entries)? {
        return Err(MakeError::Unusable(
            "a package is none, by the repository's reading".to_owned(),
        ));
    }
    let indices = FileRoot::open(&indices).map_err(RepositoryError::from)?;
    Ok(Offered {
        packages: Arc::new(packages),
        is_signed,
        directory,
        indices: Arc::new(indices),
    })
}

fn entry(directory: &Path, packages: &HeadPackages, kind: Kind) -> Result<Entry, MakeError> {
    let unusable = |reason: &dyn std::fmt::Display| MakeError::Unusable(reason.to_string());
    let path = packages.path(directory, kind);
    let file_id = OpenFile::open(&path).map_err(at(&path))?.id();
    let HeadPackage { file, sha256, .. } = packages.of(kind);
    let name = file.parse().map_err(|reason| unusable(&reason))?;
    let version = packages.version.parse();
    let identity = Identity {
        name: "pilotlight".parse().map_err(|reason| unusable(&reason))?,
        version: version.map_err(|reason| unusable(&reason))?,
        architecture: ARCH.parse().map_err(|reason| unusable(&reason))?,
    };
    Ok(Entry {
        file: PackageFile::new(kind, name).map_err(|reason| unusable(&reason))?,
        file_id,
        content: Ok(Package {
            identity,
            sha256: *sha256,
            scriptlets: Vec::new(),
            made_of: None,
        }),
    })
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> MakeError {
    move |source| MakeError::Io {
        path: path.to_owned(),
        source,
    }
}
