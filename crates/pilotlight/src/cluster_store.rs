//! Where this head's cluster is kept, as its configuration and its data directory say.

use std::{
    fs,
    net::SocketAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use heads::{
    identity::{Addresses, Enrolled},
    membership::{self, etcd_settings},
};
use store::{ClusterStore, EtcdCertificate, EtcdSettings, EtcdTls, SqliteStore, StoreError};

use crate::{
    config::{Engine, Settings},
    data_directory::{DATABASE, DataDirectory},
};

/// Opens the cluster's state; a new cluster where there is none. Tells, too, what the directory knows of other heads.
///
/// # Errors
/// The state is damaged, or the directory is not what it was.
pub(crate) async fn open(
    settings: &Settings,
    data: &DataDirectory,
    admin_pass_file: Option<&Path>,
) -> anyhow::Result<(Arc<ClusterStore>, Option<Enrolled>)> {
    let database = data.file(DATABASE);
    let enrolled = Enrolled::load(&settings.data)?;
    let elsewhere = etcd_elsewhere(settings)?;
    if let Some(Enrolled::Admitted(_)) = &enrolled
        && !database.exists()
    {
        bail!(
            "joining a cluster was interrupted before its state was copied to {}; run scyld-install --join HEAD again",
            settings.data.display()
        );
    }
    let replica = match SqliteStore::open_replica(&database) {
        // The cluster is in etcd all the same.
        Err(StoreError::Missing { .. }) if enrolled.is_some() => {
            SqliteStore::create_replica(&database)
        }
        opened => opened,
    };
    let replica = match replica {
        Ok(replica) => Arc::new(replica),
        Err(StoreError::NotAReplica { .. } | StoreError::Missing { .. }) => {
            if enrolled.is_some() {
                // It was about to move its cluster to etcd when it was stopped, and had not begun to.
                forget_head(data)?;
            }
            let store = Arc::new(data.open_store(admin_pass_file)?);
            return Ok((Arc::new(ClusterStore::new(store)), None));
        }
        Err(error) => return Err(error.into()),
    };
    let settings = match (&enrolled, elsewhere) {
        (Some(Enrolled::Removed(_)), _) => EtcdSettings::default(),
        (_, Some(elsewhere)) => elsewhere,
        (Some(enrolled), None) => {
            let known = enrolled.contacts().etcd.iter().cloned();
            etcd_settings(enrolled.identity(), known)
        }
        (None, None) => bail!(
            "{} is a replica of a cluster of several heads, and {} is missing, which says who this head is. Put it back; \
             or make this a single head: pilotlight store migrate --to sqlite --force",
            database.display(),
            data.file("head").display()
        ),
    };
    let store = ClusterStore::with_etcd(replica, settings).await?;
    Ok((Arc::new(store), enrolled))
}

/// Forgets who this head was to be among others.
fn forget_head(data: &DataDirectory) -> anyhow::Result<()> {
    heads::etcd::forget(&data.file(""))?;
    let head = data.file("head");
    fs::remove_dir_all(&head).with_context(|| format!("cannot remove {}", head.display()))
}

/// The etcd that the configuration names.
///
/// # Errors
/// A file that it names cannot be read.
pub(crate) fn etcd_elsewhere(settings: &Settings) -> anyhow::Result<Option<EtcdSettings>> {
    let store = &settings.store;
    if store.engine == Engine::Sqlite || store.etcd_endpoints.is_empty() {
        return Ok(None);
    }
    let read = |file: &Option<PathBuf>| {
        let read = |file: &PathBuf| {
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
        };
        file.as_ref().map(read).transpose()
    };
    let (authority, certificate, key) = (
        read(&store.etcd_ca)?,
        read(&store.etcd_cert)?,
        read(&store.etcd_key)?,
    );
    let login = match (&store.etcd_user, read(&store.etcd_password_file)?) {
        (Some(user), Some(password)) => {
            let password = password.lines().next().unwrap_or_default();
            Some((user.clone(), password.to_owned()))
        }
        _ => None,
    };
    let own = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(EtcdCertificate { certificate, key }),
        _ => None,
    };
    let tls = match (authority, own) {
        (Some(authority), own) => Some(EtcdTls { authority, own }),
        (None, Some(_)) => bail!("store.etcd_cert: needs store.etcd_ca too"),
        (None, None) => None,
    };
    Ok(Some(EtcdSettings {
        endpoints: store.etcd_endpoints.clone(),
        tls,
        login,
        ..EtcdSettings::default()
    }))
}

/// What this head brings into its cluster.
///
/// # Errors
/// As [`etcd_elsewhere`].
pub(crate) fn membership_settings(
    settings: &Settings,
    name: &str,
    own_address: SocketAddr,
) -> anyhow::Result<membership::Settings> {
    let ip = settings.heads.address.unwrap_or(own_address.ip());
    let at = |port| SocketAddr::new(ip, port);
    let url = match &settings.base_url {
        Some(url) => url.trim_end_matches("/api/v1").to_owned(),
        None => format!("http://{own_address}"),
    };
    Ok(membership::Settings {
        data: settings.data.clone(),
        // A host name may be none of ours, such as one that begins with a digit.
        name: name
            .parse()
            .or_else(|_| format!("head-{name}").parse())
            .or_else(|_| "head".parse())?,
        url,
        addresses: Addresses {
            exchange: at(settings.heads.port),
            etcd_client: at(settings.heads.etcd_client_port),
            etcd_peer: at(settings.heads.etcd_peer_port),
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        etcd: etcd_elsewhere(settings)?,
        max_rate: settings.replicate.max_rate.and_then(NonZeroU64::new),
    })
}
