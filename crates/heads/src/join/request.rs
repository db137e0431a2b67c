//! The head's side: a [`Request`] is verified, and answered with an [`Admission`].

use std::{collections::BTreeSet, net::SocketAddr, time::Instant};

use model::{Authority, ClusterState, HeadSpec, Name, PasswordHash, Uid};
use serde::{Deserialize, Serialize};

use super::{Challenge, Challenges, Engine, Nonce, Proof, ProofKey, Refusal, proof::Transcript};
use crate::{
    authority,
    identity::{Addresses, Contacts},
};

/// What a machine sends that wants to be a head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// That of the challenge.
    pub nonce: Nonce,
    /// The UID it has from joining this cluster before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uid>,
    /// The name it wants.
    pub name: Name,
    /// Where it will listen for other heads.
    pub addresses: Addresses,
    /// The version of Pilotlight that it runs.
    pub version: String,
    /// The request for its certificate, in PEM.
    pub certificate_request: String,
    /// Whether the cluster may move from the one head's database to etcd.
    pub migrate: bool,
    /// The proof over all this and the challenge.
    pub proof: Proof,
}

impl Request {
    /// What the proof is over.
    pub(super) fn transcript(&self, challenge: &Challenge) -> Transcript {
        challenge
            .write(Transcript::new("pilotlight join 1"))
            .fields(self.uid.iter().map(Uid::as_bytes))
            .field(self.name.as_str())
            .field(self.addresses.exchange.to_string())
            .field(self.addresses.etcd_client.to_string())
            .field(self.addresses.etcd_peer.to_string())
            .field(&self.version)
            .field(&self.certificate_request)
            .field([u8::from(self.migrate)])
    }
}

/// What a head answers: with it, and with its key, the machine has its identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The UID of the new head.
    pub uid: Uid,
    /// Its certificate, in PEM.
    pub certificate: String,
    /// The certificate of the cluster's authority, in PEM.
    pub authority: String,
    /// Where the heads and etcd are.
    pub contacts: Contacts,
    /// The proof over all this and the request.
    pub proof: Proof,
}

impl Admission {
    /// What the proof is over. The proof of the request stands for the request, and so for the challenge.
    pub(super) fn transcript(&self, request: &Proof) -> Transcript {
        let heads = self.contacts.heads.iter();
        Transcript::new("pilotlight admission 1")
            .field(request.as_bytes())
            .field(self.uid.as_bytes())
            .field(&self.certificate)
            .field(&self.authority)
            .fields(heads.clone().map(|head| head.uid.to_string()))
            .fields(heads.clone().map(|head| head.name.as_str()))
            .fields(heads.map(|head| head.exchange.to_string()))
            .fields(self.contacts.etcd.iter())
    }
}

impl Challenges {
    /// Checks that whoever sent the request knows the cluster password and runs the version of this head. The challenge
    /// is used up by this.
    ///
    /// # Errors
    /// [`Refusal::Stale`], [`Refusal::Password`], [`Refusal::Version`], or [`Refusal::ProofKey`].
    pub fn verify(&self, request: Request, password: &PasswordHash) -> Result<Verified, Refusal> {
        let challenge = self.redeem(&request.nonce, Instant::now())?;
        let (key, _) = ProofKey::stored(password)?;
        if !key.verify(&request.transcript(&challenge), &request.proof) {
            return Err(Refusal::Password);
        }
        // Only now: to strangers it is no business what does not match.
        if request.version != challenge.version {
            return Err(Refusal::Version {
                head: challenge.version,
                joiner: request.version,
            });
        }
        Ok(Verified { request, key })
    }
}

/// A request from someone who knows the cluster password.
#[derive(Debug)]
pub struct Verified {
    pub(super) request: Request,
    pub(super) key: ProofKey,
}

impl Verified {
    /// What was asked for.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Checks that the machine can be a head of this cluster, whose state is in `engine`.
    ///
    /// # Errors
    /// Its name or one of its addresses is another's or of no use, or the cluster would have to move to etcd.
    pub fn check(&self, state: &ClusterState, engine: Engine) -> Result<(), Refusal> {
        let Request {
            uid,
            name,
            addresses,
            migrate,
            ..
        } = &self.request;
        let mut wanted = BTreeSet::new();
        for address in listening(addresses) {
            if address.ip().is_unspecified() || address.ip().is_multicast() || address.port() == 0 {
                return Err(Refusal::Unreachable(address));
            }
            if !wanted.insert(address) {
                return Err(Refusal::Twice(address));
            }
        }
        for head in state.heads.iter() {
            if Some(head.uid) == *uid {
                let same_place = taken(&head.spec).all(|address| wanted.contains(&address));
                if head.spec.name != *name || !same_place {
                    return Err(Refusal::Different(head.spec.name.clone()));
                }
                continue;
            }
            self.check_beside(&head.spec)?;
        }
        if engine == Engine::Sqlite && !migrate {
            return Err(Refusal::WouldMigrate);
        }
        Ok(())
    }

    /// Checks that the machine can be a head beside this one.
    ///
    /// # Errors
    /// It has the same name, or one of the same addresses.
    pub fn check_beside(&self, head: &HeadSpec) -> Result<(), Refusal> {
        let Request {
            name, addresses, ..
        } = &self.request;
        if head.name == *name {
            return Err(Refusal::Name(name.clone()));
        }
        let wanted = listening(addresses);
        match taken(head).find(|address| wanted.contains(address)) {
            None => Ok(()),
            Some(address) => Err(Refusal::Address {
                address,
                head: head.name.clone(),
            }),
        }
    }

    /// Lets the machine in: as the head it was before, or as a new one. Nothing in the cluster is changed by this.
    ///
    /// # Errors
    /// The certificate request is not in order, or the authority cannot sign.
    pub fn admit(self, authority: &Authority, contacts: Contacts) -> Result<Admission, Refusal> {
        let Self { request, key } = self;
        let uid = match request.uid {
            Some(uid) => uid,
            None => {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes).map_err(Refusal::Random)?;
                Uid::from_bytes(bytes)
            }
        };
        let certificate = authority::issue(
            authority,
            &request.certificate_request,
            uid,
            &request.addresses.ips(),
        )?;
        let mut admission = Admission {
            uid,
            certificate,
            authority: authority.certificate.clone(),
            contacts,
            proof: Proof::none(),
        };
        admission.proof = key.prove(&admission.transcript(&request.proof));
        Ok(admission)
    }
}

fn listening(addresses: &Addresses) -> [SocketAddr; 3] {
    [
        addresses.exchange,
        addresses.etcd_client,
        addresses.etcd_peer,
    ]
}

/// The addresses that a head listens on for others.
fn taken(head: &HeadSpec) -> impl Iterator<Item = SocketAddr> {
    let of_url = |url: &String| url.strip_prefix("https://")?.parse().ok();
    let etcd = head.etcd.iter();
    let etcd = etcd.flat_map(move |member| [of_url(&member.client), of_url(&member.peer)]);
    std::iter::once(head.exchange).chain(etcd.flatten())
}
