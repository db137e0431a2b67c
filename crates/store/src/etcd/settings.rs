//! Where etcd is, and how to be let in.

use std::fmt;

/// Where etcd is, and how to be let in.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdSettings {
    /// Its members, such as `https://10.0.0.1:2379`. The first is preferred.
    pub endpoints: Vec<String>,
    /// What proves the members to us and us to them. Needs `https` endpoints.
    pub tls: Option<EtcdTls>,
    /// User and password, where etcd has its own accounts.
    pub login: Option<(String, String)>,
    /// What all keys begin with, so that others may use the same etcd.
    pub prefix: String,
}

/// What proves the members of etcd to a head, and the head to them; all in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdTls {
    /// The certificates of the authorities that may vouch for a member.
    pub authority: String,
    /// What the head shows, where etcd asks for it.
    pub own: Option<EtcdCertificate>,
}

/// What a head shows to etcd, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdCertificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl EtcdSettings {
    /// What keys begin with where nothing else was asked for.
    pub const PREFIX: &str = "pilotlight/";
}

impl Default for EtcdSettings {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            tls: None,
            login: None,
            prefix: Self::PREFIX.to_owned(),
        }
    }
}

// Not derived: neither the password nor the key belongs into a log.
impl fmt::Debug for EtcdSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdSettings")
            .field("endpoints", &self.endpoints)
            .field("tls", &self.tls)
            .field("user", &self.login.as_ref().map(|(user, _)| user))
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls").finish_non_exhaustive()
    }
}

impl fmt::Debug for EtcdCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdCertificate").finish_non_exhaustive()
    }
}
