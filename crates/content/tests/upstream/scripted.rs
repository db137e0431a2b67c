//! A server that answers as a sound one would not.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a connection is answered with, and whether it is closed then.
#[derive(Clone)]
pub(crate) struct Reply {
    text: Vec<u8>,
    holds: bool,
}

pub(crate) fn closing(text: impl Into<Vec<u8>>) -> Reply {
    Reply {
        text: text.into(),
        holds: false,
    }
}

pub(crate) fn holding(text: impl Into<Vec<u8>>) -> Reply {
    Reply {
        text: text.into(),
        holds: true,
    }
}

/// A whole answer of status 200.
pub(crate) fn ok(body: &str) -> Reply {
    closing(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

pub(crate) fn redirect(location: &str) -> Reply {
    closing(format!(
        "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    ))
}

pub(crate) struct Scripted {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Answers the first connection with the first reply and so on; the last one again and again.
    pub(crate) async fn start(replies: &[Reply]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, replies) = (Arc::clone(&requests), replies.to_vec());
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            for number in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                seen.lock().unwrap().push(request);
                let reply = replies.get(number).or(replies.last()).unwrap();
                // The client may have had enough before the end.
                let _ = stream.write_all(&reply.text).await;
                if reply.holds {
                    held.push(stream);
                }
            }
        });
        Self {
            port,
            requests,
            task,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&request).into_owned()
}
