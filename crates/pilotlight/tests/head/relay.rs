//! What stands between a client and a head: it sees what is asked, and can lose the head.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Hands on each connection, from an address that stays the same.
pub(crate) struct Relay {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    target: Target,
    connections: usize,
    /// All that clients have sent.
    asked: Vec<u8>,
    /// Those that wait for an answer which will not come.
    silent: Vec<TcpStream>,
    /// The next connection that has brought more bytes than this to a client breaks off there.
    cut: Option<usize>,
}

#[derive(Clone, Copy)]
enum Target {
    Head(SocketAddr),
    Nowhere,
    Silence,
    End,
}

impl Relay {
    /// One that leads to this address.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            inner: Arc::new(Mutex::new(Inner {
                target: Target::Head(target),
                connections: 0,
                asked: Vec::new(),
                silent: Vec::new(),
                cut: None,
            })),
        };
        let inner = Arc::clone(&relay.inner);
        thread::spawn(move || accept(&listener, &inner));
        relay
    }

    /// Where clients find it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it leads there.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.set(Target::Head(target));
    }

    /// From now on connections are closed at once.
    pub(crate) fn lead_nowhere(&self) {
        self.set(Target::Nowhere);
    }

    /// From now on nobody answers.
    pub(crate) fn lead_to_silence(&self) {
        self.set(Target::Silence);
    }

    /// Breaks off one connection, the next that brings so many bytes to a client, when it has.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.inner.lock().unwrap().cut = Some(bytes);
    }

    /// Whether [`Self::cut_after`] has done its work.
    pub(crate) fn has_cut(&self) -> bool {
        self.inner.lock().unwrap().cut.is_none()
    }

    fn set(&self, target: Target) {
        self.inner.lock().unwrap().target = target;
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.inner.lock().unwrap().connections
    }

    /// How often clients have sent this text.
    pub(crate) fn count(&self, text: &str) -> usize {
        let inner = self.inner.lock().unwrap();
        String::from_utf8_lossy(&inner.asked).matches(text).count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.set(Target::End);
        // It looks when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, inner: &Arc<Mutex<Inner>>) {
    for client in listener.incoming().map_while(Result::ok) {
        let mut state = inner.lock().unwrap();
        state.connections += 1;
        match state.target {
            Target::Head(address) => {
                if let Ok(server) = TcpStream::connect(address) {
                    join(&client, &server, inner);
                }
            }
            Target::Nowhere => {}
            Target::Silence => state.silent.push(client),
            Target::End => return,
        }
    }
}

/// Two threads end with the connection.
fn join(client: &TcpStream, server: &TcpStream, inner: &Arc<Mutex<Inner>>) {
    let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let seen = Arc::clone(inner);
    thread::spawn(move || {
        copy(&from_client, &to_server, |bytes| {
            seen.lock().unwrap().asked.extend_from_slice(bytes);
            true
        });
    });
    let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let (inner, mut brought) = (Arc::clone(inner), 0);
    thread::spawn(move || {
        let is_whole = copy(&from_server, &to_client, |bytes| {
            brought += bytes.len();
            let cut = &mut inner.lock().unwrap().cut;
            cut.take_if(|most| brought > *most).is_none()
        });
        if !is_whole {
            let _ = to_client.shutdown(Shutdown::Both);
            let _ = from_server.shutdown(Shutdown::Both);
        }
    });
}

/// Until either side has enough, or what it brings `may_pass` no more. Whether all did.
fn copy(mut from: &TcpStream, mut to: &TcpStream, mut may_pass: impl FnMut(&[u8]) -> bool) -> bool {
    let mut buffer = [0; 16384];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !may_pass(&buffer[..length]) {
            return false;
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    true
}
