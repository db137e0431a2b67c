use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout};

use super::admission::{Origin, Place};
use super::connection::canonical;
use super::refusal::Refusal;
use super::unix::SocketFile;
use super::{Connection, Peer, Server, Service, Tls, UnixCredentials, http1, http2, tls};

/// Accepts from one TCP socket until the head stops.
pub(super) async fn tcp<S: Service>(
    listener: TcpListener,
    tls: Option<Tls>,
    server: Arc<Server<S>>,
) {
    let mut stopped = pin!(server.shutdown.cancelled());
    let mut trouble = Trouble::default();
    let refusal = Refusal::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, canonical(peer)),
            Err(error) => {
                trouble.accept_failed(&error).await;
                continue;
            }
        };
        match server.connections.admit(Origin::Address(peer.ip())) {
            Ok(place) => {
                let serve = serve_tcp(stream, peer, tls.clone(), place, Arc::clone(&server));
                server.tasks.spawn(serve);
            }
            Err(reason) => {
                trouble.say(format_args!(
                    "a connection from {} is refused: {reason}",
                    peer.ip()
                ));
                // Under TLS a refusal would cost a handshake, which is what there may be no room for.
                if tls.is_none() {
                    refusal.send(stream, &server.tasks);
                }
            }
        }
    }
}

async fn serve_tcp<S: Service>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Tls>,
    _place: Place,
    server: Arc<Server<S>>,
) {
    let connection = Arc::new(Connection {
        peer: Peer::Tcp(peer),
        local: stream.local_addr().ok().map(canonical),
        tls: tls.is_some(),
    });
    match tls {
        None => http1::serve(stream, false, connection, &server).await,
        // In a box: what TLS needs would make every plain connection, too, seven times as large.
        Some(tls) => Box::pin(serve_tls(stream, tls, connection, &server)).await,
    }
}

async fn serve_tls<S: Service>(
    stream: TcpStream,
    Tls(acceptor): Tls,
    connection: Arc<Connection>,
    server: &Arc<Server<S>>,
) {
    let handshake = timeout(server.limits.header_time, acceptor.accept(stream));
    let Some(Ok(Ok(stream))) = server.shutdown.run_until_cancelled(handshake).await else {
        return;
    };
    if stream.get_ref().1.alpn_protocol() == Some(tls::H2) {
        http2::serve(stream, connection, server).await;
    } else {
        http1::serve(stream, true, connection, server).await;
    }
}

/// Accepts from the Unix socket until the head stops, and then removes its file.
pub(super) async fn unix<S: Service>(
    listener: UnixListener,
    _file: SocketFile,
    server: Arc<Server<S>>,
) {
    let mut stopped = pin!(server.shutdown.cancelled());
    let mut trouble = Trouble::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        let accepted = accepted.and_then(|(stream, _)| Ok((credentials(&stream)?, stream)));
        let (peer, stream) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                trouble.accept_failed(&error).await;
                continue;
            }
        };
        match server.connections.admit(Origin::User(peer.uid)) {
            Ok(place) => {
                let serve = serve_unix(stream, peer, place, Arc::clone(&server));
                server.tasks.spawn(serve);
            }
            Err(reason) => {
                trouble.say(format_args!(
                    "a local connection of user {} is refused: {reason}",
                    peer.uid
                ));
            }
        }
    }
}

async fn serve_unix<S: Service>(
    stream: UnixStream,
    peer: UnixCredentials,
    _place: Place,
    server: Arc<Server<S>>,
) {
    let connection = Arc::new(Connection {
        peer: Peer::Unix(peer),
        local: None,
        tls: false,
    });
    http1::serve(stream, false, connection, &server).await;
}

fn credentials(stream: &UnixStream) -> io::Result<UnixCredentials> {
    let credentials = stream.peer_cred()?;
    Ok(UnixCredentials {
        uid: credentials.uid(),
        gid: credentials.gid(),
        pid: credentials.pid(),
    })
}

/// What keeps connections out. An attack or a shortage fails thousands of times a second, so it is logged seldom.
#[derive(Default)]
struct Trouble {
    last_said: Option<Instant>,
    unsaid: u64,
}

impl Trouble {
    /// How often it is logged.
    const SELDOM: Duration = Duration::from_secs(10);

    /// How long to wait for other connections to close, when there is no file or memory left for one more.
    const BACK_OFF: Duration = Duration::from_millis(100);

    async fn accept_failed(&mut self, error: &io::Error) {
        // The peer of one connection went away before it was accepted (accept(2)): that says nothing of the next.
        let of_one_connection = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        );
        if !of_one_connection {
            self.say(format_args!("cannot accept connections: {error}"));
            sleep(Self::BACK_OFF).await;
        }
    }

    fn say(&mut self, what: std::fmt::Arguments<'_>) {
        let now = Instant::now();
        if (self.last_said).is_some_and(|last| now.duration_since(last) < Self::SELDOM) {
            self.unsaid += 1;
            return;
        }
        match std::mem::take(&mut self.unsaid) {
            0 => tracing::warn!("{what}"),
            unsaid => tracing::warn!("{what} ({unsaid} more such events since the last warning)"),
        }
        self.last_said = Some(now);
    }
}
