//! Where the heads of a cluster are.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;

use crate::lab::Lab;

/// The port that all heads serve nodes on.
const PORT: u16 = 8080;

/// Addresses for the heads of one cluster, which nobody else uses.
pub(crate) enum Network {
    /// Of the machine's loopback.
    Loopback(Block),
    /// Of network namespaces, which can be cut off from each other.
    Lab(Lab),
}

/// A /24 of 127.0.0.0/8. Whoever holds the listener on its last address has it; other test programs take another.
pub(crate) struct Block {
    claim: TcpListener,
}

impl Block {
    fn claim() -> Self {
        let first = process::id();
        let claim = (0..1 << 14).find_map(|next| {
            let [.., high, low] = first.wrapping_add(next).to_be_bytes();
            // From 127.128.0.0 on, where no other test is.
            TcpListener::bind((Ipv4Addr::new(127, high | 128, low, 254), 1024)).ok()
        });
        Self {
            claim: claim.expect("an address is free"),
        }
    }

    fn host(&self, number: u8) -> Ipv4Addr {
        let SocketAddr::V4(claimed) = self.claim.local_addr().unwrap() else {
            unreachable!("it was bound to an IPv4 address");
        };
        let [a, b, c, _] = claimed.ip().octets();
        Ipv4Addr::new(a, b, c, number)
    }
}

impl Network {
    pub(crate) fn loopback() -> Self {
        Self::Loopback(Block::claim())
    }

    /// Where the head with this number listens.
    pub(crate) fn address(&self, number: u8) -> SocketAddr {
        let host = match self {
            Self::Loopback(block) => block.host(number),
            Self::Lab(_) => Lab::host(number),
        };
        (host, PORT).into()
    }

    /// Does something on the machine of the head with this address: what is started there is on its network.
    pub(crate) fn on<T: Send>(&mut self, head: SocketAddr, work: impl FnOnce() -> T + Send) -> T {
        match self {
            Self::Loopback(_) => work(),
            Self::Lab(lab) => lab.on(head.ip(), work),
        }
    }
}
