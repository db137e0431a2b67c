//! What a new cluster begins with.

use model::{AdminSpec, Attributes, Authority, Cluster, GroupSpec, Transaction, creation};

use crate::{Error, auth::hash_password, head::new_uid};

/// The name of the group whose attributes every node has.
pub const DEFAULT_GROUP: &str = "DefaultAttribs";
/// The name of the first administrator.
pub const FIRST_ADMIN: &str = "admin";

/// The transaction that makes an empty store a cluster: its settings, its certificate authority, an empty default group,
/// and the first administrator, whose password is the cluster database password. Takes tens of milliseconds, for the
/// hashing.
///
/// # Errors
/// The system's random source failed.
pub fn transaction(password: &str) -> Result<Transaction, Error> {
    let default_group = new_uid()?;
    let name = |text: &str| text.parse().map_err(Error::from);
    let group = GroupSpec {
        name: name(DEFAULT_GROUP)?,
        description: Some("What holds for every node unless something else sets it".into()),
        attributes: Attributes::new(),
    };
    let password = hash_password(password).map_err(Error::internal)?;
    let admin = AdminSpec {
        name: name(FIRST_ADMIN)?,
        description: None,
        password: password.clone(),
    };
    let cluster = Cluster {
        name: name("cluster")?,
        domain: None,
        default_group,
        database_password: password,
    };

    let authority = heads::authority::create(cluster.name.as_str()).map_err(Error::internal)?;

    let mut transaction = Transaction::default();
    transaction.claim(Cluster::key(), cluster.record());
    transaction.claim(Authority::key(), authority.record());
    for part in [
        creation(default_group, &group)?,
        creation(new_uid()?, &admin)?,
    ] {
        transaction.checks.extend(part.checks);
        transaction.writes.extend(part.writes);
    }
    Ok(transaction)
}
