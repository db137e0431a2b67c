//! [`Applicant`]: the side of the machine that wants to join.

use model::{Name, Uid};

use super::{Admission, Challenge, ProofKey, ProofKeyError, Request};
use crate::{
    authority::{self, AuthorityError, KeyAndRequest},
    identity::{Addresses, Contacts, Identity},
};

/// A machine that has answered a challenge.
#[derive(Debug)]
pub struct Applicant {
    request: Request,
    key: String,
    proof_key: ProofKey,
    authority: Option<String>,
}

/// What a machine wants of the cluster.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// The name it will have.
    pub name: Name,
    /// Where it will listen for other heads.
    pub addresses: Addresses,
    /// The version of Pilotlight that it runs.
    pub version: &'a str,
    /// What it has from joining before.
    pub earlier: Option<&'a Identity>,
    /// Whether the cluster may move to etcd.
    pub migrate: bool,
}

/// Why a machine does not go on with joining.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The two run different versions.
    #[error("the head runs Pilotlight {head}, and this machine {joiner}; install {head} here")]
    Version {
        /// That of the head.
        head: String,
        /// That of this machine.
        joiner: String,
    },
    /// The password cannot be hashed as the head asked.
    #[error(transparent)]
    ProofKey(#[from] ProofKeyError),
    /// A key, or the request for its certificate, could not be made.
    #[error(transparent)]
    Certificate(#[from] AuthorityError),
    /// Whoever answered does not know the password.
    #[error(
        "the answer to the request to join does not come from a head that knows the cluster database password; is this \
         the right head?"
    )]
    NotTheHead,
    /// This machine belongs elsewhere.
    #[error(
        "this machine joined another cluster before; run again with --clear to leave it behind"
    )]
    AnotherCluster,
    /// The head took it for another.
    #[error("the head answered with the identity {0}, which was not asked for")]
    AnotherUid(Uid),
}

impl Applicant {
    /// Answers the challenge. Hashes the password, which takes tens of milliseconds and tens of megabytes.
    ///
    /// # Errors
    /// The head runs another version or asks for an unreasonable hash, or no key can be made.
    pub fn new(challenge: &Challenge, password: &str, wish: Wish<'_>) -> Result<Self, JoinError> {
        if challenge.version != wish.version {
            return Err(JoinError::Version {
                head: challenge.version.clone(),
                joiner: wish.version.to_owned(),
            });
        }
        let KeyAndRequest {
            key,
            request: certificate_request,
        } = match wish.earlier {
            Some(earlier) => authority::request_for(&earlier.key)?,
            None => authority::request()?,
        };
        let proof_key = ProofKey::derive(password, &challenge.password)?;
        let mut request = Request {
            nonce: challenge.nonce,
            uid: wish.earlier.map(|earlier| earlier.uid),
            name: wish.name,
            addresses: wish.addresses,
            version: wish.version.to_owned(),
            certificate_request,
            migrate: wish.migrate,
            proof: super::Proof::none(),
        };
        request.proof = proof_key.prove(&request.transcript(challenge));
        Ok(Self {
            request,
            key,
            proof_key,
            authority: wish.earlier.map(|earlier| earlier.authority.clone()),
        })
    }

    /// What to send to the head.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Checks that the answer comes from a head that knows the password, and takes the identity out of it.
    ///
    /// # Errors
    /// It does not, or it is for another machine or of another cluster.
    pub fn accept(self, admission: Admission) -> Result<(Identity, Contacts), JoinError> {
        let transcript = admission.transcript(&self.request.proof);
        if !self.proof_key.verify(&transcript, &admission.proof) {
            return Err(JoinError::NotTheHead);
        }
        if self.request.uid.is_some_and(|uid| uid != admission.uid) {
            return Err(JoinError::AnotherUid(admission.uid));
        }
        let same_cluster = self
            .authority
            .is_none_or(|known| known == admission.authority);
        if !same_cluster {
            return Err(JoinError::AnotherCluster);
        }
        let identity = Identity {
            uid: admission.uid,
            name: self.request.name,
            authority: admission.authority,
            certificate: admission.certificate,
            key: self.key,
            addresses: self.request.addresses,
        };
        Ok((identity, admission.contacts))
    }
}
