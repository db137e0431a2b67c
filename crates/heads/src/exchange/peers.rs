//! [`Peers`]: asking other heads.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_RANGE, ETAG, HOST, HeaderValue, IF_MATCH, RANGE};
use hyper::{HeaderMap, StatusCode, Uri};
use model::{FilePath, Head, Name, Sha256Digest, Uid};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::connection::{Connection, Connections, broken};
use super::{ExchangeError, HeadStatus};
use crate::{Identity, reports::News};

/// How long nothing may come within an answer.
const STALL: Duration = Duration::from_secs(30);
/// How long a head may take to say how it is: whoever asks wants to know of the others, too.
const STATUS: Duration = Duration::from_secs(5);
/// How large an answer in JSON may be. Of reports, 4 MiB come at a time; each byte may take six.
const MAX_JSON: usize = 32 << 20;
/// How much of a refusal is read.
const MAX_REFUSAL: u64 = 64 << 10;
/// How large etcd's program may be.
const MAX_PROGRAM: usize = 256 << 20;
/// What stands for itself in the path of a URL.
const ENCODED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Another head, and where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its UID, which its certificate must have.
    pub uid: Uid,
    /// Its name, for messages.
    pub name: Name,
    /// Where its [`ExchangeServer`](super::ExchangeServer) listens.
    pub address: SocketAddr,
}

/// Asks other heads, over connections that are kept for the next question. Cheap to clone.
#[derive(Clone)]
pub struct Peers(Arc<Connections>);

/// The bytes of a file as they arrive.
pub struct ContentStream {
    peer: Peer,
    body: Incoming,
    /// `None` once the body was read to its end.
    connection: Option<Connection>,
    connections: Arc<Connections>,
}

impl Peers {
    /// Asks as the head that has this identity.
    ///
    /// # Errors
    /// Its certificate or key cannot be used.
    pub fn new(identity: &Identity) -> Result<Self, ExchangeError> {
        Ok(Self(Arc::new(Connections::new(identity)?)))
    }

    /// The head that asks.
    pub fn own_uid(&self) -> Uid {
        self.0.own_uid()
    }

    /// How `peer` is.
    ///
    /// # Errors
    /// It does not answer, or not as it should.
    pub async fn status(&self, peer: &Peer) -> Result<HeadStatus, ExchangeError> {
        let answer = timeout(STATUS, self.json(peer, "/status")).await;
        answer.unwrap_or_else(|_| {
            Err(ExchangeError::TimedOut {
                peer: peer.clone(),
                limit: STATUS,
            })
        })
    }

    /// What nodes reported to `peer` after the report with the number `known`.
    ///
    /// # Errors
    /// It does not answer, or not as it should.
    pub async fn reports(&self, peer: &Peer, known: u64) -> Result<News, ExchangeError> {
        self.json(peer, &format!("/reports?since={known}")).await
    }

    async fn json<T: DeserializeOwned>(&self, peer: &Peer, path: &str) -> Result<T, ExchangeError> {
        let (_, mut stream) = self.get(peer, path, HeaderMap::new()).await?;
        let mut json = Vec::new();
        while let Some(bytes) = stream.next().await? {
            json.extend_from_slice(&bytes);
            if json.len() > MAX_JSON {
                return Err(wrong(peer, "its answer is too large"));
            }
        }
        serde_json::from_slice(&json).map_err(|error| wrong(peer, error))
    }

    /// Gets etcd's program from `peer` and puts it at `path`, executable, when it is whole.
    ///
    /// # Errors
    /// It does not answer or has none, or the file cannot be written.
    pub async fn etcd_program(&self, peer: &Peer, path: &Path) -> Result<(), ExchangeError> {
        let (answer, mut stream) = self.get(peer, "/etcd", HeaderMap::new()).await?;
        let tag = answer.get(ETAG).and_then(|tag| tag.to_str().ok());
        let sha256: Sha256Digest = tag
            .and_then(|tag| tag.trim_matches('"').parse().ok())
            .ok_or_else(|| wrong(peer, "it does not tell the program's digest"))?;
        let mut program = Vec::new();
        while let Some(bytes) = stream.next().await? {
            program.extend_from_slice(&bytes);
            if program.len() > MAX_PROGRAM {
                return Err(wrong(peer, "its program of etcd is too large"));
            }
        }
        let path = path.to_owned();
        let store = move || {
            if Sha256Digest::of(&program) != sha256 {
                return Ok(false);
            }
            store_program(&path, &program).map(|()| true)
        };
        let stored = spawn_blocking(store).await.map_err(io::Error::other);
        match stored.flatten() {
            Ok(true) => Ok(()),
            Ok(false) => Err(wrong(peer, "its program of etcd arrived damaged")),
            Err(source) => Err(ExchangeError::Store {
                peer: peer.clone(),
                source,
            }),
        }
    }

    /// Asks `peer` for a file in the version `sha256`, from position `from` on.
    ///
    /// # Errors
    /// It does not answer, or has no such file.
    pub async fn open_content(
        &self,
        peer: &Peer,
        path: &FilePath,
        sha256: Sha256Digest,
        from: u64,
    ) -> Result<ContentStream, ExchangeError> {
        let url = format!(
            "/content/{}/{}",
            path.tree,
            utf8_percent_encode(&path.path, &ENCODED)
        );
        let mut headers = HeaderMap::new();
        let mut insert = |name, value: String| {
            let value = value.try_into().map_err(|error| wrong(peer, error))?;
            headers.insert(name, value);
            Ok::<_, ExchangeError>(())
        };
        insert(IF_MATCH, format!("\"{sha256}\""))?;
        if from > 0 {
            insert(RANGE, format!("bytes={from}-"))?;
        }
        let (answer, stream) = self.get(peer, &url, headers).await?;
        let range = answer
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok());
        let first = match range {
            None => Some(0),
            Some(range) => range
                .strip_prefix("bytes ")
                .and_then(|range| range.split_once('-')?.0.parse().ok()),
        };
        if first != Some(from) {
            return Err(wrong(peer, "it sends another part of the file"));
        }
        Ok(stream)
    }

    /// Asks, and sorts out what is no answer.
    async fn get(
        &self,
        peer: &Peer,
        path: &str,
        mut headers: HeaderMap,
    ) -> Result<(HeaderMap, ContentStream), ExchangeError> {
        let uri = Uri::try_from(path).map_err(|error| wrong(peer, error))?;
        headers.insert(HOST, HeaderValue::from_static("head"));
        let (response, connection) = self.0.ask(peer, &uri, &headers).await?;
        let (answer, body) = response.into_parts();
        let stream = ContentStream {
            peer: peer.clone(),
            body,
            connection: Some(connection),
            connections: Arc::clone(&self.0),
        };
        let status = answer.status;
        if matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Ok((answer.headers, stream));
        }
        stream.skip().await;
        let peer = peer.clone();
        Err(match status {
            StatusCode::FORBIDDEN => ExchangeError::Refused { peer },
            StatusCode::NOT_FOUND => ExchangeError::Absent { peer },
            StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => {
                ExchangeError::OtherVersion { peer }
            }
            status => wrong(&peer, format!("status {status}")),
        })
    }
}

impl ContentStream {
    /// How many bytes are still to come.
    pub fn len(&self) -> u64 {
        self.body.size_hint().lower()
    }

    /// Whether all have come.
    pub fn is_empty(&self) -> bool {
        self.body.is_end_stream()
    }

    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    /// The connection broke, or nothing came for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ExchangeError> {
        loop {
            let Ok(frame) = timeout(STALL, self.body.frame()).await else {
                return Err(ExchangeError::TimedOut {
                    peer: self.peer.clone(),
                    limit: STALL,
                });
            };
            match frame {
                None => {
                    if let Some(connection) = self.connection.take() {
                        self.connections.keep(&self.peer, connection);
                    }
                    return Ok(None);
                }
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(error)) => return Err(broken(&self.peer, &error)),
            }
        }
    }

    /// Reads the few words of a refusal, so that the connection can be kept.
    async fn skip(mut self) {
        if self.len() <= MAX_REFUSAL {
            while let Ok(Some(_)) = self.next().await {}
        }
    }
}

fn store_program(path: &Path, program: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let temporary = directory.join(".pilotlight-etcd");
    let mut file = File::create(&temporary)?;
    file.write_all(program)?;
    file.set_permissions(Permissions::from_mode(0o755))?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

fn wrong(peer: &Peer, reason: impl fmt::Display) -> ExchangeError {
    ExchangeError::Answer {
        peer: peer.clone(),
        reason: reason.to_string(),
    }
}

impl From<&Head> for Peer {
    fn from(head: &Head) -> Self {
        Self {
            uid: head.uid,
            name: head.name.clone(),
            address: head.exchange,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "head \"{}\" ({})", self.name, self.address)
    }
}
