//! [`Identity`]: what a head proves itself with, and [`Enrolment`]: how far it has come in its cluster. `DIR/head` keeps
//! both.

mod directory;

use std::{
    marker::PhantomData,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use model::{Name, Uid};
use serde::{Deserialize, Serialize};

pub use directory::IdentityError;
use directory::{Directory, State};

/// What a head proves itself with to other heads and to etcd: kept in `DIR/head`, mode 0600.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The head's UID, which is the common name of its certificate.
    pub uid: Uid,
    /// The head's name.
    pub name: Name,
    /// The certificate of the cluster's authority, in PEM.
    pub authority: String,
    /// The head's own certificate, good for a server and for a client, in PEM.
    pub certificate: String,
    /// The key of that certificate, in PEM.
    pub key: String,
    /// Where the head listens for others: its address with the ports of the exchange and of etcd.
    pub addresses: Addresses,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("uid", &self.uid)
            .field("name", &self.name)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// Where other heads reach this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The exchange between heads.
    pub exchange: SocketAddr,
    /// etcd, for clients.
    pub etcd_client: SocketAddr,
    /// etcd, for its other members.
    pub etcd_peer: SocketAddr,
}

impl Addresses {
    /// The addresses without their ports, each once.
    pub fn ips(&self) -> Vec<IpAddr> {
        let mut ips = vec![
            self.exchange.ip(),
            self.etcd_client.ip(),
            self.etcd_peer.ip(),
        ];
        ips.sort();
        ips.dedup();
        ips
    }

    /// Where clients reach its etcd: `https://10.0.0.1:2379`.
    pub fn etcd_client_url(&self) -> String {
        format!("https://{}", self.etcd_client)
    }

    /// Where other members reach its etcd: `https://10.0.0.1:2380`.
    pub fn etcd_peer_url(&self) -> String {
        format!("https://{}", self.etcd_peer)
    }
}

/// Where the rest of the cluster is, as far as a head knows: what it starts from when nobody can tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contacts {
    /// The other heads.
    pub heads: Vec<Contact>,
    /// Where clients reach etcd: `https://10.0.0.1:2379`.
    pub etcd: Vec<String>,
}

/// A head that another knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Its UID.
    pub uid: Uid,
    /// Its name.
    pub name: Name,
    /// Its exchange.
    pub exchange: SocketAddr,
}

/// A head's place in its cluster, as `DIR/head` keeps it: its identity, the heads it knows, and by its type how far it
/// has come.
#[derive(Debug)]
pub struct Enrolment<Standing> {
    directory: Directory,
    identity: Identity,
    contacts: Contacts,
    standing: PhantomData<Standing>,
}

/// The standing of a head that the cluster has let in and that is not yet a member of it.
#[derive(Debug)]
pub enum Admitted {}

/// The standing of a head that is a member of its cluster.
#[derive(Debug)]
pub enum Member {}

/// The standing of a head that was a member and is none any more.
#[derive(Debug)]
pub enum Removed {}

/// What `DIR/head` says of this machine.
#[derive(Debug)]
pub enum Enrolled {
    /// It was let in and is to become a member.
    Admitted(Enrolment<Admitted>),
    /// It is a member.
    Member(Enrolment<Member>),
    /// It was a member.
    Removed(Enrolment<Removed>),
}

impl Enrolled {
    /// What the data directory `data` says of this machine; `None` when it was never let into a cluster of several
    /// heads. Reads a few small files.
    ///
    /// # Errors
    /// Something in `DIR/head` is missing or does not read.
    pub fn load(data: &Path) -> Result<Option<Self>, IdentityError> {
        let directory = Directory::of(data);
        let Some((state, identity, contacts)) = directory.load()? else {
            return Ok(None);
        };
        Ok(Some(match state {
            State::Admitted => Self::Admitted(Enrolment::new(directory, identity, contacts)),
            State::Member => Self::Member(Enrolment::new(directory, identity, contacts)),
            State::Removed => Self::Removed(Enrolment::new(directory, identity, contacts)),
        }))
    }

    /// The identity, whatever the standing.
    pub fn identity(&self) -> &Identity {
        match self {
            Self::Admitted(enrolment) => &enrolment.identity,
            Self::Member(enrolment) => &enrolment.identity,
            Self::Removed(enrolment) => &enrolment.identity,
        }
    }

    /// Where the rest of the cluster was when it was last heard of.
    pub fn contacts(&self) -> &Contacts {
        match self {
            Self::Admitted(enrolment) => &enrolment.contacts,
            Self::Member(enrolment) => &enrolment.contacts,
            Self::Removed(enrolment) => &enrolment.contacts,
        }
    }
}

impl<Standing> Enrolment<Standing> {
    fn new(directory: Directory, identity: Identity, contacts: Contacts) -> Self {
        Self {
            directory,
            identity,
            contacts,
            standing: PhantomData,
        }
    }

    /// What this head proves itself with.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where the rest of the cluster was when it was last heard of.
    pub fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// The files that etcd is given: the authority, the certificate, the key.
    pub fn files(&self) -> CertificateFiles {
        self.directory.certificate_files()
    }

    fn change<Next>(
        self,
        state: State,
        contacts: Contacts,
    ) -> Result<Enrolment<Next>, IdentityError> {
        self.directory
            .write_state(state, &self.identity, &contacts)?;
        Ok(Enrolment::new(self.directory, self.identity, contacts))
    }
}

impl Enrolment<Admitted> {
    /// Keeps, in the data directory `data`, that a cluster has let this head in. What was kept before is replaced.
    /// Durable when it returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(
        data: &Path,
        identity: Identity,
        contacts: Contacts,
    ) -> Result<Self, IdentityError> {
        let directory = Directory::of(data);
        directory.write(State::Admitted, &identity, &contacts)?;
        Ok(Self::new(directory, identity, contacts))
    }

    /// Keeps that the head is a member now. Durable when it returns.
    ///
    /// # Errors
    /// It cannot be written; the head remains admitted and can become a member again.
    pub fn into_member(self) -> Result<Enrolment<Member>, IdentityError> {
        let contacts = self.contacts.clone();
        self.change(State::Member, contacts)
    }
}

impl Enrolment<Member> {
    /// Keeps where the rest of the cluster is now; writes nothing when that is known already.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_contacts(&mut self, contacts: Contacts) -> Result<(), IdentityError> {
        if contacts != self.contacts {
            self.directory
                .write_state(State::Member, &self.identity, &contacts)?;
            self.contacts = contacts;
        }
        Ok(())
    }

    /// Keeps that the head has lost its member of etcd, with its disk say, and has to become one anew.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn into_admitted(self) -> Result<Enrolment<Admitted>, IdentityError> {
        let contacts = self.contacts.clone();
        self.change(State::Admitted, contacts)
    }

    /// Keeps that the head is a member no more. Durable when it returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn into_removed(self) -> Result<Enrolment<Removed>, IdentityError> {
        let contacts = self.contacts.clone();
        self.change(State::Removed, contacts)
    }
}

/// Where a head's certificates lie, for programs that want files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate of the cluster's authority.
    pub authority: PathBuf,
    /// The head's own certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn identity() -> Identity {
        let at = |port| SocketAddr::from(([10, 0, 0, 7], port));
        Identity {
            uid: Uid::from_bytes([7; 16]),
            name: "h7".parse().unwrap(),
            authority: "the authority".into(),
            certificate: "the certificate".into(),
            key: "the key".into(),
            addresses: Addresses {
                exchange: at(2381),
                etcd_client: at(2379),
                etcd_peer: at(2380),
            },
        }
    }

    fn contacts(name: &str) -> Contacts {
        Contacts {
            heads: vec![Contact {
                uid: Uid::from_bytes([1; 16]),
                name: name.parse().unwrap(),
                exchange: ([10, 0, 0, 1], 2381).into(),
            }],
            etcd: vec!["https://10.0.0.1:2379".into()],
        }
    }

    fn load(data: &Path) -> Enrolled {
        Enrolled::load(data).unwrap().unwrap()
    }

    #[test]
    fn a_head_finds_itself_as_far_as_it_had_come() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        assert!(Enrolled::load(data).unwrap().is_none());

        let admitted = Enrolment::save(data, identity(), contacts("h1")).unwrap();
        let Enrolled::Admitted(loaded) = load(data) else {
            panic!("not admitted");
        };
        assert_eq!(loaded.identity(), &identity());
        assert_eq!(loaded.contacts(), &contacts("h1"));

        let mut member = admitted.into_member().unwrap();
        member.set_contacts(contacts("h2")).unwrap();
        let Enrolled::Member(loaded) = load(data) else {
            panic!("no member");
        };
        assert_eq!(loaded.identity(), &identity());
        assert_eq!(loaded.contacts(), &contacts("h2"));

        let member = loaded.into_admitted().unwrap().into_member().unwrap();
        member.into_removed().unwrap();
        let Enrolled::Removed(loaded) = load(data) else {
            panic!("not removed");
        };
        assert_eq!(loaded.identity(), &identity());
        assert_eq!(loaded.contacts(), &contacts("h2"));
    }

    #[test]
    fn nobody_else_can_read_it() {
        let data = tempfile::tempdir().unwrap();
        let directory = data.path().join("head");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        // As left by a save that was cut short, with a mode that says too much.
        let left = directory.join("head-key.new");
        fs::write(&left, "half a k").unwrap();
        fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();

        let enrolment = Enrolment::save(data.path(), identity(), contacts("h1")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        for entry in fs::read_dir(&directory).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        let files = enrolment.files();
        assert_eq!(fs::read_to_string(files.key).unwrap(), "the key");
        assert!(!left.exists());
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        let data = tempfile::tempdir().unwrap();
        let enrolment = Enrolment::save(data.path(), identity(), contacts("h1")).unwrap();
        fs::remove_file(enrolment.files().key).unwrap();
        let error = Enrolled::load(data.path()).unwrap_err();
        assert!(error.to_string().contains("head-key.pem"), "{error}");

        for bad in ["", "{}", r#"{"state": "emperor"}"#] {
            fs::write(data.path().join("head/head.json"), bad).unwrap();
            let error = Enrolled::load(data.path()).unwrap_err();
            assert!(matches!(error, IdentityError::Malformed { .. }), "{error}");
        }
        // Of a save that was cut short before its last step, nothing counts.
        fs::remove_file(data.path().join("head/head.json")).unwrap();
        assert!(Enrolled::load(data.path()).unwrap().is_none());
    }

    #[test]
    fn the_key_appears_in_no_debug_output() {
        let data = tempfile::tempdir().unwrap();
        let enrolment = Enrolment::save(data.path(), identity(), contacts("h1")).unwrap();
        assert!(!format!("{enrolment:?}").contains("the key"));
    }

    #[test]
    fn addresses_are_written_as_urls_take_them() {
        let addresses = Addresses {
            exchange: "[fd00::7]:2381".parse().unwrap(),
            etcd_client: "[fd00::7]:2379".parse().unwrap(),
            etcd_peer: "[fd00::8]:2380".parse().unwrap(),
        };
        assert_eq!(addresses.etcd_client_url(), "https://[fd00::7]:2379");
        assert_eq!(addresses.ips().len(), 2);
    }
}
