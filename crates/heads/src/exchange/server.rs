//! [`ExchangeServer`]: answers other heads.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::Uid;
use store::LiveState;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::Answerer;
use super::certificate::{server_config, uid_of};
use super::progress::Progress;
use super::{Admissions, ExchangeError, LocalHead};
use crate::Identity;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may wait for a request, and a request for its end.
const REQUEST: Duration = Duration::from_secs(60);
/// How long an answer may stand still because nobody takes it.
const STALL: Duration = Duration::from_secs(60);
/// How long answers go on when the head stops. Files that are cut off are gone on with elsewhere.
const GRACE: Duration = Duration::from_secs(2);
/// How many handshakes may run: anybody can begin one.
const HANDSHAKES: usize = 64;
/// How many connections may be open after it.
const CONNECTIONS: usize = 512;
/// Bytes of a request's line and headers. Paths have up to 4 KiB, each byte in up to three.
const MAX_HEAD: usize = 32 * 1024;

/// Answers other heads.
///
/// Whoever has no certificate of the cluster's authority does not get past the handshake. Whoever has one and is neither
/// a head nor [admitted](Admissions) gets a 403 at each request: a head may be removed while it is connected.
pub struct ExchangeServer {
    acceptor: TlsAcceptor,
    state: Arc<LiveState>,
    admissions: Admissions,
    answerer: Arc<Answerer>,
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl ExchangeServer {
    /// Answers as the head that has this identity.
    ///
    /// # Errors
    /// Its certificate or key cannot be used.
    pub fn new(
        identity: &Identity,
        state: Arc<LiveState>,
        admissions: Admissions,
        local: Arc<dyn LocalHead>,
    ) -> Result<Self, ExchangeError> {
        let answerer = Answerer::new(Arc::clone(&state), admissions.clone(), local);
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server_config(identity)?)),
            state,
            admissions,
            answerer: Arc::new(answerer),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }

    /// Answers on `listener` until `shutdown` is cancelled. Returns when all its tasks have ended.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let tasks = TaskTracker::new();
        let mut revisions = self.state.revisions();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                Ok(()) = revisions.changed() => {
                    self.admissions.forget_heads(&self.state.get());
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.begin(stream, &tasks, &shutdown),
                Err(error) => {
                    tracing::warn!(%error, "the exchange between heads cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    fn begin(&self, stream: TcpStream, tasks: &TaskTracker, shutdown: &CancellationToken) {
        let Ok(handshake) = Arc::clone(&self.handshakes).try_acquire_owned() else {
            // Heads ask again; whoever holds all handshakes is none.
            return;
        };
        let connections = Arc::clone(&self.connections);
        let (acceptor, answerer) = (self.acceptor.clone(), Arc::clone(&self.answerer));
        let shutdown = shutdown.clone();
        tasks.spawn(async move {
            let accepted = shutdown.run_until_cancelled(accept(stream, &acceptor, handshake));
            let Some(Some((stream, asker))) = accepted.await else {
                return;
            };
            let Ok(_place) = connections.try_acquire_owned() else {
                tracing::warn!(head = %asker, "a connection is refused: {CONNECTIONS} are open");
                return;
            };
            answer(stream, asker, answerer, shutdown).await;
        });
    }
}

async fn accept(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    _handshake: OwnedSemaphorePermit,
) -> Option<(TlsStream<TcpStream>, Uid)> {
    let address = stream.peer_addr().ok();
    // Failing, it only makes small answers slower.
    let _ = stream.set_nodelay(true);
    let reason = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => match uid_of(stream.get_ref().1.peer_certificates()) {
            Some(uid) => return Some((stream, uid)),
            None => "its certificate names no head".to_owned(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    tracing::debug!(?address, reason, "no TLS connection from another head");
    None
}

async fn answer(
    stream: TlsStream<TcpStream>,
    asker: Uid,
    answerer: Arc<Answerer>,
    shutdown: CancellationToken,
) {
    let progress = Progress::default();
    let respond = service_fn(|request| {
        let (answerer, progress) = (Arc::clone(&answerer), progress.clone());
        async move {
            let response = answerer.answer(asker, &request).await;
            Ok::<_, Infallible>(response.map(|body| progress.of(body)))
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST)
            .max_header_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), respond)
    );
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = progress.stalled(STALL) => {
            tracing::debug!(head = %asker, "a connection is given up: nothing is taken from it");
            return;
        }
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let Ok(ended) = timeout(GRACE, connection).await else { return };
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(head = %asker, %error, "a connection broke");
    }
}
