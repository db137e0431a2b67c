//! A client that throws away in the kernel what it downloads, so that it takes little from the servers beside it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use rustix::{
    io::retry_on_intr,
    net::{RecvFlags, recv},
};

/// How long it waits for more.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest header of an answer.
const HEADER: usize = 4096;

/// At most so much is thrown away at once.
const AT_ONCE: usize = 1 << 20;

/// Downloads a file, which must have this many bytes.
pub(crate) fn download(port: u16, path: &str, length: u64) -> Result<()> {
    let address = Ipv4Addr::LOCALHOST;
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n"
    )?;
    let mut buffer = vec![0; AT_ONCE];
    let mut came = body_after_header(&mut stream, &mut buffer)?;
    loop {
        // With TRUNC, TCP moves nothing to the buffer.
        let (_, count) = retry_on_intr(|| recv(&stream, &mut buffer[..], RecvFlags::TRUNC))?;
        if count == 0 {
            break;
        }
        came += count as u64;
    }
    ensure!(came == length, "{path}: {came} bytes came, not {length}");
    Ok(())
}

/// Reads the header of a good answer, and says how many bytes after it were read as well.
fn body_after_header(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<u64> {
    let mut filled = 0;
    while filled < HEADER {
        let count = stream.read(&mut buffer[filled..HEADER])?;
        if count == 0 {
            break;
        }
        filled += count;
        let answer = &buffer[..filled];
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            ensure!(
                answer.starts_with(b"HTTP/1.1 200"),
                "the answer is {}",
                String::from_utf8_lossy(answer)
            );
            return Ok((filled - end - 4) as u64);
        }
    }
    bail!("the answer has no end of its header")
}
