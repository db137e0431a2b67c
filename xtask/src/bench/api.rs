//! The head's API on its local socket, where root needs no token.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A connection to the API.
pub(crate) struct Api(BufReader<UnixStream>);

impl Api {
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a body, and waits for an answer that says it was taken.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Result<()> {
        self.ask(method, path, body).map(drop)
    }

    /// The data of a good answer.
    pub(crate) fn data(&mut self, method: &str, path: &str) -> Result<Value> {
        let mut answer: Value = serde_json::from_slice(&self.ask(method, path, b"")?)?;
        Ok(answer["data"].take())
    }

    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: head\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0
            .get_mut()
            .write_all(&[head.as_bytes(), body].concat())?;
        let mut status = String::new();
        self.0.read_line(&mut status)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        let is_taken = status.starts_with("HTTP/1.1 20");
        ensure!(
            is_taken,
            "{method} {path}: {}{}",
            status,
            String::from_utf8_lossy(&answer)
        );
        Ok(answer)
    }
}
