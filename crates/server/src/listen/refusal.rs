use std::sync::Arc;

use rustix::net::SendFlags;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::linger::linger;

/// How many refused connections are seen off at a time. The rest are closed as soon as the answer is written.
const AT_A_TIME: usize = 64;

const BODY: &str = "too many connections, try again in a second\n";

/// Tells those for whom there is no place to come back.
pub(super) struct Refusal {
    answer: Vec<u8>,
    lingering: Arc<Semaphore>,
}

impl Refusal {
    pub(super) fn new() -> Self {
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Retry-After: 1\r\nConnection: close\r\n\r\n{BODY}",
            BODY.len()
        );
        Self {
            answer: answer.into_bytes(),
            lingering: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }

    /// Answers 503 without waiting for the request.
    pub(super) fn send(&self, mut stream: TcpStream, tasks: &TaskTracker) {
        // Past the runtime, which does not know yet that the socket is writable. The send buffer of a new connection
        // has room for the answer; if it had not, nothing better could be done.
        let sent = rustix::net::send(&stream, &self.answer, SendFlags::NOSIGNAL);
        let Ok(place) = Arc::clone(&self.lingering).try_acquire_owned() else {
            return;
        };
        tasks.spawn(async move {
            if sent.is_ok() && stream.shutdown().await.is_ok() {
                linger(stream).await;
            }
            drop(place);
        });
    }
}
