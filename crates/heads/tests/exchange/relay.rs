//! A relay in front of a head, which cuts connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::cluster::address;

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _accepting: AbortOnDropHandle<()>,
}

impl Relay {
    /// Passes on to `target` what comes, and of the answers on connection `n` as many bytes as `budget(n)`.
    pub(crate) async fn new(
        target: SocketAddr,
        budget: impl Fn(usize) -> usize + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let budget = budget(counter.fetch_add(1, Ordering::SeqCst));
                // Ends with its connection.
                tokio::spawn(pass(client, target, budget));
            }
        });
        Self {
            address,
            connections,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn pass(client: TcpStream, target: SocketAddr, mut budget: usize) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let _up = AbortOnDropHandle::new(tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    }));
    let mut buffer = vec![0; 16 * 1024];
    while budget > 0 {
        let most = budget.min(buffer.len());
        match from_server.read(&mut buffer[..most]).await {
            Ok(count) if count > 0 => {
                budget -= count;
                if to_client.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}
