//! What heads ask each other over TLS, each with its certificate: files, how they are, and etcd's program.
//!
//! [`ExchangeServer`] answers, from what a [`LocalHead`] shows; [`Peers`] asks. Either side must have a certificate of the
//! cluster's authority, whose common name is the UID of its head. A [`Puller`] gets files from whichever head has them:
//! whole, verified and synced, or not at all.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /content/<tree>/<path>` with `If-Match: "<sha256>"`, `Range` | the bytes; 404 or 412 where they are not there |
//! | `GET /status` | [`HeadStatus`] in JSON |
//! | `GET /etcd` | etcd's program, its digest in `ETag` |

mod admissions;
mod answer;
mod certificate;
mod connection;
mod error;
mod landing;
mod local_head;
mod peers;
mod progress;
mod pull;
mod puller;
mod rate_limit;
mod server;
mod sources;
mod status;

pub use admissions::Admissions;
pub use error::{ExchangeError, PullError};
pub use local_head::{LocalHead, Trees};
pub use peers::{ContentStream, Peer, Peers};
pub use puller::{Destination, PullProgress, PullStatus, Puller, Urgency};
pub use rate_limit::RateLimit;
pub use server::ExchangeServer;
pub use status::{FileCounts, HeadStatus, LinkStatus};
