//! `pilotlight store`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use ::store::{LiveState, LiveStateError, SqliteStore, Store as _, StoreError};
use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use heads::etcd;
use heads::identity::{Enrolled, Enrolment, Member};
use heads::membership::etcd_settings;
use model::{Revision, Transaction};
use serde_json::json;

use super::{Global, Session};
use crate::client::Ask;
use crate::cluster_store;
use crate::config::{Flags, Settings, Sources};
use crate::data_directory::{DATABASE, DataDirectory};
use crate::error::Error;
use crate::serve;

/// Where the cluster's state is kept: copies of it, and moves from one kind of store to the other
#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Write a copy of the cluster's state to a file, from the running head
    #[command(after_help = "Example:
  pilotlight store backup cluster-2026-11-23.db")]
    Backup(Backup),
    /// Make a data directory a single head with the state of a backup
    ///
    /// No head may use the directory. Other heads of the cluster, if there were some, join anew.
    #[command(after_help = "Example:
  pilotlight store restore cluster-2026-11-23.db --data /var/lib/pilotlight")]
    Restore(Restore),
    /// Move the cluster of a data directory from SQLite to etcd, or back
    ///
    /// No head may use the directory. Joining a second head moves a cluster to etcd by itself.
    #[command(after_help = "Examples:
  pilotlight store migrate --to etcd --data /var/lib/pilotlight
  pilotlight store migrate --to sqlite --data /var/lib/pilotlight")]
    Migrate(Migrate),
}

/// Where the copy goes.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The new file
    file: PathBuf,
}

/// What to restore, and where.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Even if the directory holds a cluster, whose state is lost
    #[arg(long)]
    force: bool,
}

/// What to move, and where to.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Where to
    #[arg(long, value_name = "ENGINE")]
    to: Engine,
    #[command(flatten)]
    place: Place,
    /// To sqlite: even if etcd cannot be reached or other heads are left; what this head has not seen is lost
    #[arg(long)]
    force: bool,
}

/// The data directory.
#[derive(Debug, Args)]
struct Place {
    /// The data directory [default: of the configuration]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address the head will listen on, which its etcd takes as its own
    #[arg(long, value_name = "HOST:PORT")]
    listen: Vec<crate::config::ListenAddress>,
}

/// What keeps a cluster's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// A database of one head
    Sqlite,
    /// etcd, which several heads share
    Etcd,
}

impl Backup {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        let Self { file } = self;
        if file.exists() {
            let reason = format!("{} exists already; name another file", file.display());
            return Err(Error::Usage(reason));
        }
        let bytes = session
            .client
            .ask_bytes(Ask::get("/cluster/backup"))
            .await?;
        write_new(&file, bytes.as_ref())?;
        let data = json!({"file": file, "bytes": bytes.len()});
        let sentence = format!("wrote {} ({} bytes)", file.display(), bytes.len());
        session.output.done(&data, None, &sentence)
    }
}

/// Writes a file that only its owner may read: it holds passwords' hashes and the authority's key.
fn write_new(file: &Path, mut content: impl io::Read) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::OpenOptions::new();
    let mut created = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot create {}", file.display()))?;
    let written = io::copy(&mut content, &mut created).and_then(|_| created.sync_all());
    if written.is_err() {
        // Half a backup is none.
        let _ = fs::remove_file(file);
    }
    written.with_context(|| format!("cannot write {}", file.display()))
}

impl Store {
    pub(super) fn run(self, global: Global) -> Result<(), Error> {
        let sentence = match self {
            Self::Backup(backup) => {
                let mut session = global.session()?;
                return serve::runtime()?.block_on(backup.run(&mut session));
            }
            Self::Restore(restore) => restore.run()?,
            Self::Migrate(migrate) => migrate.run()?,
        };
        let mut output = global.output();
        output.done(&json!({"done": sentence}), None, &sentence)
    }
}

impl Place {
    fn settings(self) -> Result<Settings, Error> {
        let flags = Flags {
            data: self.data,
            listen: self.listen,
            ..Flags::default()
        };
        Sources::gather(self.config.as_deref(), flags)?
            .load()
            .without_faults()
    }
}

impl Restore {
    fn run(self) -> Result<String, Error> {
        let Self { file, place, force } = self;
        let settings = place.settings()?;
        let data = DataDirectory::hold(&settings.data)?;
        let database = data.file(DATABASE);
        if database.exists() && !force {
            return Err(Error::Usage(format!(
                "{} holds a cluster already; --force gives it up",
                settings.data.display()
            )));
        }
        let arriving = data.file("restored.db");
        // Of a restore that broke off.
        remove_database(&arriving)?;
        let restored = put_in_place(&file, &data, &arriving);
        let removed = remove_database(&arriving);
        let revision = restored?;
        removed?;
        Ok(format!(
            "{} is a single head with the state of revision {revision}",
            settings.data.display()
        ))
    }
}

/// Makes a backup the database of the directory, by way of `arriving`.
fn put_in_place(file: &Path, data: &DataDirectory, arriving: &Path) -> anyhow::Result<Revision> {
    let log = beside(file, "-wal");
    let backup = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let file = file.display();
    if log.exists() {
        bail!(
            "{file} is no backup but a database that was in use: a part of it is in {}. Move both into an empty data \
             directory, as {DATABASE} and {DATABASE}-wal",
            log.display()
        );
    }
    write_new(arriving, backup)?;
    let single = serve::runtime()?.block_on(single(arriving));
    let revision = single.map_err(|error| match error.downcast_ref() {
        // Its own advice is for the database of a head.
        Some(StoreError::Damaged { what, .. }) => {
            anyhow!("the backup {file} is damaged: {what}. Nothing was changed")
        }
        _ => error.context(format!("cannot restore {file}")),
    })?;
    let database = data.file(DATABASE);
    leave_cluster(data)?;
    remove_database(&database)?;
    fs::rename(arriving, &database)
        .and_then(|()| fs::File::open(data.file(""))?.sync_all())
        .with_context(|| format!("cannot put {} in place", database.display()))?;
    Ok(revision)
}

/// Makes a database that of a single head.
async fn single(database: &Path) -> anyhow::Result<Revision> {
    if let Err(StoreError::Replica { .. }) = SqliteStore::open(database) {
        ::store::move_to_sqlite(database, None).await?;
    }
    forget_others(database).await
}

/// Removes what a single head has no use for, and what would be out of date when it is one of several again: who the
/// heads are, and what files they have. Proves, too, that the database is whole.
async fn forget_others(database: &Path) -> anyhow::Result<Revision> {
    let store = Arc::new(SqliteStore::open(database)?);
    let state = match LiveState::open(Arc::clone(&store) as Arc<dyn ::store::Store>).await {
        Ok(live) => live.get(),
        Err(LiveStateError::Store(error)) => return Err(error.into()),
        Err(LiveStateError::Record(error)) => return Err(error.into()),
    };
    let mut forgotten = Transaction::default();
    for head in state.heads.iter() {
        let Transaction { checks, writes } = head.deletion();
        forgotten.checks.extend(checks);
        forgotten.writes.extend(writes);
    }
    for (path, _) in state.manifest.iter() {
        forgotten.delete(path.key());
    }
    let revision = store.commit(forgotten).await?;
    store.close().await;
    Ok(revision)
}

impl Migrate {
    fn run(self) -> Result<String, Error> {
        let settings = self.place.settings()?;
        let moved = match self.to {
            Engine::Etcd => serve::runtime()?.block_on(serve::move_to_etcd(&settings)),
            Engine::Sqlite => serve::runtime()?.block_on(to_sqlite(&settings, self.force)),
        };
        Ok(moved?)
    }
}

async fn to_sqlite(settings: &Settings, force: bool) -> anyhow::Result<String> {
    let data = DataDirectory::hold(&settings.data)?;
    let database = data.file(DATABASE);
    let enrolled = Enrolled::load(&settings.data)?;
    if let Some(enrolled) = &enrolled
        && !enrolled.contacts().heads.is_empty()
        && !force
    {
        bail!(
            "the cluster has other heads; remove them first (pilotlight head remove NAME), or say --force and join \
             them anew"
        );
    }
    let moved = match &enrolled {
        Some(Enrolled::Member(enrolment)) => from_etcd(settings, enrolment, &database).await,
        // Only a member may end the cluster's life in etcd.
        _ => Err(anyhow!(
            "{} is not that of a member of a cluster in etcd",
            settings.data.display()
        )),
    };
    let (revision, but) = match moved {
        Ok(_) => (forget_others(&database).await?, String::new()),
        Err(error) if force => {
            let but = format!(" (the last that this head has seen of it: {error:#})");
            (single(&database).await?, but)
        }
        Err(error) => return Err(error),
    };
    leave_cluster(&data)?;
    Ok(format!(
        "the cluster is in {}, as of revision {revision}{but}",
        database.display()
    ))
}

/// Takes all that etcd has, and ends the cluster's life there.
async fn from_etcd(
    settings: &Settings,
    enrolment: &Enrolment<Member>,
    database: &Path,
) -> anyhow::Result<Revision> {
    if let Some(elsewhere) = cluster_store::etcd_elsewhere(settings)? {
        return Ok(::store::move_to_sqlite(database, Some(elsewhere)).await?);
    }
    let process = etcd::start_member(&settings.data, enrolment)?;
    let own = etcd_settings(enrolment.identity(), []);
    let moved = ::store::move_to_sqlite(database, Some(own)).await;
    process.stop().await;
    Ok(moved?)
}

/// Forgets that the directory was one of several heads.
fn leave_cluster(data: &DataDirectory) -> anyhow::Result<()> {
    for name in ["head", "etcd", "replication.json"] {
        let path = data.file(name);
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        unless_missing(removed).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Removes a database and what is kept beside it.
fn remove_database(database: &Path) -> anyhow::Result<()> {
    for end in ["", "-wal", "-shm", "-lock"] {
        let path = beside(database, end);
        unless_missing(fs::remove_file(&path))
            .with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// The path with `end` added to its last part.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(end);
    beside.into()
}

fn unless_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
