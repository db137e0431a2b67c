//! What all objects of a cluster share: a UID, a revision, a unique name, and the keys they own in the store.

use std::{fmt, ops::Deref};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{BadRecord, Expect, Invalid, Key, Name, Revision, Transaction, Uid};

/// The kinds of object, each with a prefix of the store's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A machine or switch that boots from the cluster.
    Node,
    /// A named set of attributes.
    Group,
    /// What a node boots.
    BootConfig,
    /// A git repository that boot files come from.
    GitRepo,
    /// Somebody who may change the cluster.
    Admin,
    /// A server that serves the cluster's nodes.
    Head,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Node,
        Self::Group,
        Self::BootConfig,
        Self::GitRepo,
        Self::Admin,
        Self::Head,
    ];

    /// The first part of the store keys of this kind.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Group => "group",
            Self::BootConfig => "bootconfig",
            Self::GitRepo => "gitrepo",
            Self::Admin => "admin",
            Self::Head => "head",
        }
    }

    pub(crate) fn of_prefix(prefix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.prefix() == prefix)
    }

    /// The key that holds the object of this UID.
    pub fn key(self, uid: Uid) -> Key {
        Key::new(format!("{}/{uid}", self.prefix()))
    }

    fn name_key(self, name: &Name) -> Key {
        Key::new(format!("name/{}/{name}", self.prefix()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Group => "attribute group",
            Self::BootConfig => "boot configuration",
            Self::GitRepo => "git repository",
            Self::Admin => "administrator",
            Self::Head => "head",
        })
    }
}

/// What an administrator says of an object: everything but its UID and revision.
pub trait Spec: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {
    /// Which kind of object this describes.
    const KIND: Kind;

    /// The object's name, unique in its kind.
    fn name(&self) -> &Name;

    /// Checks what the types of the fields cannot.
    ///
    /// # Errors
    /// The first fault found.
    fn validate(&self) -> Result<(), Invalid>;

    /// Keys, beside the name, that only one object of the cluster may own.
    fn claims(&self) -> Vec<Key> {
        Vec::new()
    }

    /// Keys of objects this one refers to, which must exist when the reference is made.
    fn references(&self) -> Vec<Key> {
        Vec::new()
    }
}

/// An object as it stands in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<S> {
    /// What it is known by, for ever.
    pub uid: Uid,
    /// The store revision that last wrote it.
    pub revision: Revision,
    /// What an administrator said of it.
    pub spec: S,
}

impl<S> Deref for Object<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.spec
    }
}

impl<S: Spec> Object<S> {
    pub(crate) fn read(uid: Uid, revision: Revision, value: &[u8]) -> Result<Self, BadRecord> {
        let spec = serde_json::from_slice(value).map_err(|source| BadRecord {
            key: S::KIND.key(uid),
            source: source.into(),
        })?;
        Ok(Self {
            uid,
            revision,
            spec,
        })
    }

    fn key(&self) -> Key {
        S::KIND.key(self.uid)
    }

    /// The transaction that deletes this object, if it still is as it is here.
    pub fn deletion(&self) -> Transaction {
        let mut transaction = Transaction::default();
        transaction.expect(self.key(), Expect::At(self.revision));
        transaction.delete(self.key());
        for key in owned_keys(&self.spec) {
            transaction.delete(key);
        }
        transaction
    }

    /// The transaction that makes this object what `spec` says, if it still is as it is here.
    ///
    /// # Errors
    /// `spec` is not valid.
    pub fn replacement(&self, spec: &S) -> Result<Transaction, Invalid> {
        spec.validate()?;
        let mut transaction = Transaction::default();
        transaction.expect(self.key(), Expect::At(self.revision));
        let (before, after) = (owned_keys(&self.spec), owned_keys(spec));
        for key in before.iter().filter(|key| !after.contains(key)) {
            transaction.delete(key.clone());
        }
        for key in after.into_iter().filter(|key| !before.contains(key)) {
            transaction.claim(key, owner(self.uid));
        }
        let known = self.spec.references();
        for key in spec
            .references()
            .into_iter()
            .filter(|key| !known.contains(key))
        {
            transaction.expect(key, Expect::Present);
        }
        transaction.put(self.key(), record(spec));
        Ok(transaction)
    }
}

/// The transaction that creates an object.
///
/// # Errors
/// `spec` is not valid.
pub fn creation<S: Spec>(uid: Uid, spec: &S) -> Result<Transaction, Invalid> {
    spec.validate()?;
    let mut transaction = Transaction::default();
    for key in owned_keys(spec) {
        transaction.claim(key, owner(uid));
    }
    for key in spec.references() {
        transaction.expect(key, Expect::Present);
    }
    transaction.claim(S::KIND.key(uid), record(spec));
    Ok(transaction)
}

fn owned_keys<S: Spec>(spec: &S) -> Vec<Key> {
    let mut keys = vec![S::KIND.name_key(spec.name())];
    keys.extend(spec.claims());
    keys
}

fn owner(uid: Uid) -> Bytes {
    uid.to_string().into()
}

fn record<S: Spec>(spec: &S) -> Bytes {
    // Our records are structs of text, numbers and maps with text keys: serde_json cannot fail on them.
    serde_json::to_vec(spec)
        .expect("a record serialises")
        .into()
}
