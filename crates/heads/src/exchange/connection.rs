//! Connections to other heads, kept for the next question.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use model::Uid;
use rustls::pki_types::ServerName;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::certificate::{client_config, uid_of};
use super::{ExchangeError, Peer};
use crate::Identity;

/// How long it may take until a head is connected to.
const CONNECT: Duration = Duration::from_secs(5);
/// How long until the header of its answer is there. It may have to hash a large file first.
const ANSWER: Duration = Duration::from_secs(60);
/// How many connections to each head are kept while nothing is asked.
const KEPT: usize = 8;
/// How much is read from a socket at once. TLS asks for 4 KiB.
const READ: usize = 256 * 1024;

/// Connections to other heads.
pub(super) struct Connections {
    own_uid: Uid,
    tls: TlsConnector,
    idle: Mutex<HashMap<(Uid, SocketAddr), Vec<Connection>>>,
}

/// A connection on which one question is asked at a time. It closes when it is dropped.
pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    _task: AbortOnDropHandle<()>,
}

impl Connections {
    pub(super) fn new(identity: &Identity) -> Result<Self, ExchangeError> {
        Ok(Self {
            own_uid: identity.uid,
            tls: TlsConnector::from(Arc::new(client_config(identity)?)),
            idle: Mutex::default(),
        })
    }

    /// The head that asks.
    pub(super) fn own_uid(&self) -> Uid {
        self.own_uid
    }

    /// Asks `peer` for what is at `uri`. The connection is free again when the body of the answer was read to its end.
    pub(super) async fn ask(
        &self,
        peer: &Peer,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(Response<Incoming>, Connection), ExchangeError> {
        let question = || {
            let mut question = Request::new(Empty::new());
            question.uri_mut().clone_from(uri);
            question.headers_mut().clone_from(headers);
            question
        };
        // One that was kept may break at any time, and asking again changes nothing.
        while let Some(mut connection) = self.take(peer) {
            if let Ok(response) = connection.ask(peer, question()).await {
                return Ok((response, connection));
            }
        }
        let mut connection = self.connect(peer).await?;
        let response = connection.ask(peer, question()).await?;
        Ok((response, connection))
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(super) fn keep(&self, peer: &Peer, connection: Connection) {
        let mut idle = self.idle();
        idle.retain(|_, connections| {
            connections.retain(|connection| !connection.sender.is_closed());
            !connections.is_empty()
        });
        let of_peer = idle.entry((peer.uid, peer.address)).or_default();
        if of_peer.len() < KEPT {
            of_peer.push(connection);
        }
    }

    fn take(&self, peer: &Peer) -> Option<Connection> {
        self.idle().get_mut(&(peer.uid, peer.address))?.pop()
    }

    async fn connect(&self, peer: &Peer) -> Result<Connection, ExchangeError> {
        timeout(CONNECT, self.try_connect(peer))
            .await
            .unwrap_or_else(|_| {
                Err(ExchangeError::TimedOut {
                    peer: peer.clone(),
                    limit: CONNECT,
                })
            })
    }

    async fn try_connect(&self, peer: &Peer) -> Result<Connection, ExchangeError> {
        let stream = TcpStream::connect(peer.address).await;
        let stream = stream.map_err(|source| ExchangeError::Unreachable {
            peer: peer.clone(),
            source,
        })?;
        // Failing, it only makes questions slower.
        let _ = stream.set_nodelay(true);
        let stream = BufReader::with_capacity(READ, stream);
        let name = ServerName::IpAddress(peer.address.ip().into());
        let stream = self.tls.connect(name, stream).await;
        let stream = stream.map_err(|source| ExchangeError::Handshake {
            peer: peer.clone(),
            source,
        })?;
        match uid_of(stream.get_ref().1.peer_certificates()) {
            Some(uid) if uid == peer.uid => {}
            found => {
                return Err(ExchangeError::OtherHead {
                    peer: peer.clone(),
                    found,
                });
            }
        }
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(READ)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(peer, &error))?;
        // Its failures come out of the question or the body of its answer.
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Connection {
            sender,
            _task: AbortOnDropHandle::new(task),
        })
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<(Uid, SocketAddr), Vec<Connection>>> {
        // What is lost when somebody panics is a connection.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    async fn ask(
        &mut self,
        peer: &Peer,
        question: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, ExchangeError> {
        let asking = async {
            self.sender.ready().await?;
            self.sender.send_request(question).await
        };
        match timeout(ANSWER, asking).await {
            Ok(answer) => answer.map_err(|error| broken(peer, &error)),
            Err(_) => Err(ExchangeError::TimedOut {
                peer: peer.clone(),
                limit: ANSWER,
            }),
        }
    }
}

/// The connection broke, for `error` and what caused it.
pub(super) fn broken(peer: &Peer, error: &dyn std::error::Error) -> ExchangeError {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    ExchangeError::Broken {
        peer: peer.clone(),
        reason,
    }
}
