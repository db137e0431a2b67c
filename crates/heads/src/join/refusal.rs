//! [`Refusal`]: why a machine was not let in.

use std::net::SocketAddr;

use model::Name;

use super::ProofKeyError;
use crate::authority::AuthorityError;

/// Why a head does not let a machine in. Each is one line for whoever runs the join.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The challenge was answered before, or too late, or never sent by this head.
    #[error("the challenge is used up or older than 60 s; ask for another")]
    Stale,
    /// The proof is not one of the cluster password.
    #[error("this is not the cluster database password")]
    Password,
    /// The two run different versions.
    #[error(
        "this head runs Pilotlight {head}, and the machine that wants to join {joiner}; install {head} there"
    )]
    Version {
        /// That of this head.
        head: String,
        /// That of the machine.
        joiner: String,
    },
    /// Another head has the name.
    #[error(
        "there is a head named {0} already; give this one another name, or first remove that one if this machine replaces \
         it (pilotlight head remove {0})"
    )]
    Name(Name),
    /// Another head has the address.
    #[error("{address} is the address of head {head} already; give this one another with --listen")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Whose it is.
        head: Name,
    },
    /// The machine says that it is a member that has another name or other addresses.
    #[error(
        "this machine says that it is head {0}, which has another name or other addresses. If it is a copy, run again \
         with --clear; if it was moved, first remove {0} from the cluster (pilotlight head remove {0})"
    )]
    Different(Name),
    /// Others cannot reach this address.
    #[error("{0} is no address at which other heads reach this machine; name one with --listen")]
    Unreachable(SocketAddr),
    /// Two services of the machine would have one address.
    #[error("{0} is named twice: the exchange, etcd's clients and etcd's members need a port each")]
    Twice(SocketAddr),
    /// The cluster's state would have to move to etcd, and nobody agreed.
    #[error(
        "this cluster has one head, and its state is in that head's own database: a second head moves it to etcd. Agree \
         to that, or say --yes"
    )]
    WouldMigrate,
    /// The password of this cluster cannot be used for joining.
    #[error(transparent)]
    ProofKey(#[from] ProofKeyError),
    /// The certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] AuthorityError),
    /// The system gave no random numbers.
    #[error("no random numbers for a UID: {0}")]
    Random(getrandom::Error),
}
