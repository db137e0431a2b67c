//! The data directory of a head: made on first start, and held by one process at a time.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use server::new_cluster;
use store::{SqliteStore, StoreError};

/// The database of the cluster's state, in the data directory.
pub(crate) const DATABASE: &str = "pilotlight.db";

/// A data directory, held until this is dropped.
pub(crate) struct DataDirectory {
    path: PathBuf,
    /// The user it belongs to.
    pub(crate) owner: u32,
    _lock: File,
}

impl DataDirectory {
    /// Opens the directory, making it if need be, and holds it.
    ///
    /// # Errors
    /// It cannot be made or written to, or another head holds it.
    pub(crate) fn hold(path: &Path) -> anyhow::Result<Self> {
        make_directory(path)?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path);
        let lock = lock.with_context(|| format!("cannot open {}", lock_path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!(
                "another pilotlight serve uses the data directory {}",
                path.display()
            );
        }
        let metadata =
            fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            owner: metadata.uid(),
            _lock: lock,
        })
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The cluster state kept here; a new cluster where there is none. The password of a new cluster is the one in
    /// `password_file`, or one made up and left in `admin_pass`.
    ///
    /// # Errors
    /// The database is damaged, or gone though this directory was in use: a cluster is never begun anew by itself.
    pub(crate) fn open_store(&self, password_file: Option<&Path>) -> anyhow::Result<SqliteStore> {
        let database = self.file(DATABASE);
        let password_kept = self.file("admin_pass");
        // Made before the database, and given its name only after: a first start that breaks off is simply repeated.
        let password_pending = self.file("admin_pass.new");
        match SqliteStore::open(&database) {
            Ok(store) => {
                if password_file.is_some() {
                    tracing::warn!(
                        "the cluster has its password already; --admin-pass-file is for new ones"
                    );
                }
                if password_pending.exists() {
                    fs::rename(&password_pending, &password_kept)?;
                }
                return Ok(store);
            }
            Err(StoreError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(trace) = ["admin_pass", "ledger.db"]
            .into_iter()
            .find(|name| self.file(name).exists())
        {
            bail!(
                "{} is missing, but this directory was in use: {trace} is there. Put the database or a backup of it \
                 back; or, to begin a new cluster, name an empty directory",
                database.display(),
            );
        }
        let password = match password_file {
            Some(file) => {
                let password = read_password(file)?;
                // Of a first start that broke off; it must not pass for this cluster's one day.
                match fs::remove_file(&password_pending) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(error.into());
                    }
                    _ => password,
                }
            }
            None => {
                let password = made_up_password()?;
                write_secret(&password_pending, &password)?;
                password
            }
        };
        let first = new_cluster::transaction(&password)?;
        let store = SqliteStore::create(&database, &first)?;
        if password_file.is_none() {
            fs::rename(&password_pending, &password_kept)?;
            tracing::info!(file = %password_kept.display(), "new cluster; the password of its administrator, admin, is in this file");
        } else {
            tracing::info!("new cluster; its administrator is admin");
        }
        Ok(store)
    }
}

/// Makes a directory that everybody may look into, whatever the umask; one that exists stays as it is.
pub(crate) fn make_directory(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let made = fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)));
    made.with_context(|| format!("cannot make the directory {}", path.display()))
}

/// The first line of a file.
fn read_password(file: &Path) -> anyhow::Result<String> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let password = text.lines().next().unwrap_or_default();
    if password.chars().count() < 8 {
        bail!(
            "the password in {} is shorter than 8 characters",
            file.display()
        );
    }
    Ok(password.to_owned())
}

/// 24 letters and digits: 120 bits and more.
fn made_up_password() -> anyhow::Result<String> {
    // Without 0 and O, 1, I and l, which people mix up.
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bits = [0; 24];
    let mut random = File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    random
        .read_exact(&mut bits)
        .context("cannot read /dev/urandom")?;
    Ok(bits
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect())
}

fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let write = || {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{secret}")?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
