//! Requests whose failure is an answer, too: those of nodes that boot and of programs that write while heads die.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// How long a client waits for more.
const PATIENCE: Duration = Duration::from_secs(10);

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// GET of a path under `/api/v1`, by a node whose address says nothing, but its installer names its MAC.
pub(crate) fn boot(head: SocketAddr, path: &str, mac: &str) -> io::Result<Answer> {
    let stream = TcpStream::connect_timeout(&head, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET /api/v1{path} HTTP/1.1\r\nHost: {head}\r\nX-RHN-Provisioning-MAC-0: eth0 {mac}\r\nConnection: close\r\n\r\n"
    );
    ask(stream, &request)
}

/// A request to the management API of a head on this machine, by its local socket.
pub(crate) fn manage(socket: &Path, method: &str, path: &str, body: &Value) -> io::Result<Answer> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(3 * PATIENCE))?;
    let body = body.to_string();
    let request = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    ask(stream, &request)
}

fn ask(mut stream: impl Read + Write, request: &str) -> io::Result<Answer> {
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| {
        let said = String::from_utf8_lossy(&bytes);
        io::Error::other(format!("no whole answer: {said:?}"))
    })
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let header = str::from_utf8(&bytes[..end]).ok()?;
    let status = header.split(' ').nth(1)?.parse().ok()?;
    let length = header
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))?;
    let body = bytes[end + 4..].to_vec();
    (length.parse() == Ok(body.len())).then_some(Answer { status, body })
}
