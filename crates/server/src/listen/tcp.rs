use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind as bind_socket, listen, socket_with, sockopt,
};

use super::{Error, Tls};

/// Connections that may wait to be accepted. The kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 16_384;

/// A bound TCP socket, and whether TLS is spoken on it.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    socket: TcpListener,
    tls: Option<Tls>,
}

/// Binds each address of `address`, a `HOST:PORT`.
pub(super) fn bind(address: &str, tls: Option<&Tls>) -> Result<Vec<Listener>, Error> {
    let mut listeners: Vec<Listener> = Vec::new();
    for mut wanted in resolve(address)? {
        // A name's addresses share the port that the first of them got.
        if let (0, Some(first)) = (wanted.port(), listeners.first()) {
            wanted.set_port(first.address.port());
        }
        let (socket, bound) = open(wanted).map_err(|source| Error::Bind {
            address: wanted.to_string(),
            source,
        })?;
        listeners.push(Listener {
            address: bound,
            socket,
            tls: tls.cloned(),
        });
    }
    Ok(listeners)
}

fn resolve(address: &str) -> Result<Vec<SocketAddr>, Error> {
    let not_an_address = || Error::NotAnAddress(address.to_owned());
    let (host, port) = address.rsplit_once(':').ok_or_else(not_an_address)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || port.parse::<u16>().is_err() || (host.contains(':') && !bracketed) {
        return Err(not_an_address());
    }
    let mut addresses: Vec<SocketAddr> = (address.to_socket_addrs())
        .map_err(|source| Error::Resolve {
            address: address.to_owned(),
            source,
        })?
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// Accepted sockets inherit the options of the one they came in by, so they are set once, here.
fn open(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind_socket(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    let socket = TcpListener::from(socket);
    let bound = socket.local_addr()?;
    Ok((socket, bound))
}

impl Listener {
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Hands the socket to the runtime. What a peer has not acknowledged for `stalled` is given up by the kernel, also
    /// when we have closed the connection and forgotten it.
    pub(super) fn start(
        self,
        stalled: Duration,
    ) -> Result<(tokio::net::TcpListener, Option<Tls>), Error> {
        let milliseconds = u32::try_from(stalled.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(&self.socket, milliseconds)
            .map_err(io::Error::from)
            .and_then(|()| tokio::net::TcpListener::from_std(self.socket))
            .map(|listener| (listener, self.tls))
            .map_err(|source| Error::Bind {
                address: self.address.to_string(),
                source,
            })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn message(address: &str) -> String {
        bind(address, None).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_host_and_port_is_refused() {
        for address in [
            "80",
            ":80",
            "localhost",
            "localhost:http",
            "::1:80",
            "[::1]",
            "h:65536",
        ] {
            assert_eq!(
                message(address),
                format!("cannot listen on {address:?}: it is not HOST:PORT")
            );
        }
    }

    #[test]
    fn an_address_in_use_is_named() {
        let taken = bind("127.0.0.1:0", None).unwrap();
        let address = taken[0].address;
        let message = message(&address.to_string());
        assert!(
            message.starts_with(&format!(
                "cannot listen on {address}: Address already in use"
            )),
            "{message}"
        );
    }

    #[test]
    fn accepted_sockets_send_at_once() {
        let listener = bind("127.0.0.1:0", None).unwrap().remove(0);
        let _client = TcpStream::connect(listener.address).unwrap();
        listener.socket.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.socket.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn the_unspecified_ipv6_address_takes_ipv4() {
        let Ok(listeners) = bind("[::]:0", None) else {
            return; // This machine has no IPv6.
        };
        let listener = &listeners[0];
        assert_eq!(
            listener.url(),
            format!("http://[::]:{}", listener.address.port())
        );
        TcpStream::connect(("127.0.0.1", listener.address.port())).unwrap();
    }

    #[test]
    fn every_address_of_a_name_gets_the_same_port() {
        let listeners = bind("localhost:0", None).unwrap();
        let ports: Vec<_> = listeners.iter().map(|l| l.address.port()).collect();
        assert!(!ports.is_empty() && ports.iter().all(|port| *port == ports[0] && *port != 0));
    }
}
