use std::net::SocketAddr;

/// What is known of a connection before it says anything.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end.
    pub peer: Peer,
    /// Our end, of a TCP connection: the address that the client reached us by.
    pub local: Option<SocketAddr>,
    /// Whether it is encrypted.
    pub tls: bool,
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A socket address; an IPv4 address that came in over IPv6 (`::ffff:10.0.0.4`) is given as IPv4.
    Tcp(SocketAddr),
    /// A process on this machine.
    Unix(UnixCredentials),
}

/// Who opened a Unix socket's connection, as the kernel vouches (`SO_PEERCRED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnixCredentials {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// The process, if it is one that this process can see.
    pub pid: Option<i32>,
}

/// `address`, with an IPv4-mapped IPv6 address folded to IPv4.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
