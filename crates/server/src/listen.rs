//! Sockets in, requests out: the head's own accept loop.
//!
//! [`Listeners`] binds the addresses, and [`serve`] answers on them through a [`Service`] until it is told to stop.
//! What the loop promises, whoever is at the other end:
//!
//! - No connection waits for ever on its peer: each kind of wait has its limit (`patience`).
//! - Connections are counted, in all and by origin; one too many is told so with a 503 (`admission`, `refusal`).
//! - Each response's body is followed until the kernel has it, so that the ledger can say what was sent (`meter`).
//! - No task outlives [`serve`].
//!
//! Plain ports speak HTTP/1 alone: waiting for a possible HTTP/2 preface is what leaves silent connections open.

mod accept;
mod admission;
mod connection;
mod http1;
mod http2;
mod limits;
mod linger;
mod meter;
mod open_files;
mod patience;
mod refusal;
mod sent;
mod tcp;
mod tls;
mod unix;
mod wire;

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::admission::Connections;
pub use self::connection::{Connection, Peer, UnixCredentials};
pub use self::limits::Limits;
pub use self::open_files::raise_open_files;
pub use self::sent::{OnSent, Sent};
pub use self::tls::Tls;

/// What answers the requests.
pub trait Service: Send + Sync + 'static {
    /// The body of its responses.
    ///
    /// Its `size_hint` should be exact: a response of unknown length ends its connection.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static;

    /// Answers one request of `connection`.
    ///
    /// It may be dropped before it has answered, when the client gives up or the head stops.
    ///
    /// How large a request body may be, and how long it may take in all, is for the reader of the body to bound;
    /// here a body that stalls for [`Limits::idle_time`] ends the connection.
    fn call(
        &self,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> impl Future<Output = Answer<Self::Body>> + Send;
}

/// A response, and who wants to know what became of it.
pub struct Answer<B> {
    /// The response.
    pub response: Response<B>,
    /// Called exactly once, when the whole body was sent or never will be.
    pub on_sent: Option<OnSent>,
}

impl<B> From<Response<B>> for Answer<B> {
    fn from(response: Response<B>) -> Self {
        Self {
            response,
            on_sent: None,
        }
    }
}

/// The sockets that a head listens on: bound, not yet served.
#[derive(Default)]
pub struct Listeners {
    tcp: Vec<tcp::Listener>,
    unix: Vec<unix::Listener>,
}

impl Listeners {
    /// Listens for HTTP on `address`, a `HOST:PORT`; port 0 takes a free one.
    ///
    /// A name is resolved at once, blocking, and each of its addresses is listened on. `[::]` takes IPv4 too.
    ///
    /// # Errors
    /// The address cannot be read, resolved or bound.
    pub fn http(&mut self, address: &str) -> Result<(), Error> {
        self.tcp.extend(tcp::bind(address, None)?);
        Ok(())
    }

    /// Listens for HTTPS (HTTP/2 and HTTP/1.1, by ALPN) on `address`, as [`Self::http`].
    ///
    /// # Errors
    /// The address cannot be read, resolved or bound.
    pub fn https(&mut self, address: &str, tls: &Tls) -> Result<(), Error> {
        self.tcp.extend(tcp::bind(address, Some(tls))?);
        Ok(())
    }

    /// Listens for HTTP on a Unix socket at `path`, open to every local user: the credentials that come with each
    /// connection decide. The file that a dead process left there is replaced, and ours goes when [`serve`] stops.
    ///
    /// # Errors
    /// The path cannot be bound, holds something else than a socket, or a running process answers there.
    pub fn unix(&mut self, path: &Path) -> Result<(), Error> {
        self.unix.push(unix::Listener::bind(path)?);
        Ok(())
    }

    /// The TCP addresses listened on, as bound.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.tcp.iter().map(|listener| listener.address)
    }

    /// The same as URLs, `http://HOST:PORT` or `https://HOST:PORT`.
    pub fn urls(&self) -> impl Iterator<Item = String> {
        self.tcp.iter().map(tcp::Listener::url)
    }
}

/// Answers every connection to `listeners` by `service`, until `shutdown` is cancelled.
///
/// Then nothing more is accepted, connections between two requests are closed at once, and running responses get
/// [`Limits::shutdown_grace`] before they are dropped. Returns when every task it started has ended.
///
/// # Errors
/// A socket cannot be handed to the runtime; nothing was served.
pub async fn serve<S: Service>(
    listeners: Listeners,
    service: S,
    limits: Limits,
    connections: Arc<Connections>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let server = Arc::new(Server {
        service,
        limits,
        connections,
        shutdown,
        tasks: TaskTracker::new(),
    });
    let tcp = (listeners.tcp.into_iter())
        .map(|listener| listener.start(limits.idle_time))
        .collect::<Result<Vec<_>, _>>()?;
    let unix = (listeners.unix.into_iter())
        .map(unix::Listener::start)
        .collect::<Result<Vec<_>, _>>()?;
    for (listener, tls) in tcp {
        server
            .tasks
            .spawn(accept::tcp(listener, tls, Arc::clone(&server)));
    }
    for (listener, file) in unix {
        server
            .tasks
            .spawn(accept::unix(listener, file, Arc::clone(&server)));
    }
    server.tasks.close();
    server.tasks.wait().await;
    Ok(())
}

/// What every connection shares.
struct Server<S> {
    service: S,
    limits: Limits,
    connections: Arc<Connections>,
    shutdown: CancellationToken,
    /// Every task of this server, so that [`serve`] can wait for the last.
    tasks: TaskTracker,
}

/// Why a head cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not written as one.
    #[error("cannot listen on {0:?}: it is not HOST:PORT")]
    NotAnAddress(String),
    /// The host of the address has no address.
    #[error("cannot listen on {address}: its host cannot be resolved: {source}")]
    Resolve {
        /// The address as given.
        address: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The socket cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address or path.
        address: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something that is not a socket is where the Unix socket belongs.
    #[error("cannot listen on {}: there is a file that is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// Another process listens on the Unix socket.
    #[error("cannot listen on {}: a running process answers there", .0.display())]
    InUse(PathBuf),
    /// A file for TLS cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file for TLS is damaged.
    #[error("{} is not a PEM file: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate file holds none.
    #[error("{} holds no certificate (no \"BEGIN CERTIFICATE\")", .0.display())]
    NoCertificate(PathBuf),
    /// The key file holds none.
    #[error("{} holds no private key (no \"BEGIN PRIVATE KEY\")", .0.display())]
    NoKey(PathBuf),
    /// The key is another certificate's.
    #[error("the key in {} is not the key of the certificate in {}", key.display(), cert.display())]
    KeyMismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The pair cannot be used for another reason.
    #[error("cannot use the certificate in {} with the key in {}: {source}", cert.display(), key.display())]
    Tls {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
}
