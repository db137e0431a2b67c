//! A cluster that powers on: every node asks once, from its own address, on a connection of its own.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};

use super::{
    cluster::{self, NODES, NodeFile},
    outcome::Outcome,
    process::Process,
};

/// How many nodes wait for an answer at any time.
pub(crate) const AT_ONCE: usize = 64;

/// How long a node waits for more of an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks `server`, on `port`, as each node.
pub(crate) fn run(port: u16, server: &Process, file: NodeFile) -> Result<Outcome> {
    let before = server.cpu()?;
    let began = Instant::now();
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let share = |first: usize| {
            let timed = move |node| {
                let began = Instant::now();
                fetch(port, node, file).map(|_| began.elapsed())
            };
            scope.spawn(move || {
                (first..NODES)
                    .step_by(AT_ONCE)
                    .map(timed)
                    .collect::<Result<Vec<_>>>()
            })
        };
        let shares: Vec<_> = (0..AT_ONCE).map(share).collect();
        let outcomes = shares
            .into_iter()
            .map(|share| share.join().map_err(|_| anyhow!("a client panicked"))?);
        outcomes.collect::<Result<Vec<_>>>()
    })?
    .concat();
    let took = began.elapsed();
    let cpu = server.cpu()?.saturating_sub(before);
    times.sort_unstable();
    let nodes = times.len();
    Ok(Outcome {
        rate: nodes as f64 / took.as_secs_f64(),
        p50: times[nodes / 2],
        p99: times[nodes * 99 / 100],
        cpu_micros: cpu.as_secs_f64() * 1e6 / nodes as f64,
    })
}

/// The boot file as this node gets it.
pub(crate) fn fetch(port: u16, node: usize, file: NodeFile) -> Result<Vec<u8>> {
    get(port, node, &file.path(node))
}

/// What this node gets of a path.
pub(crate) fn get(port: u16, node: usize, path: &str) -> Result<Vec<u8>> {
    let address = cluster::address(node);
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // In one piece, as clients send it.
    let question =
        format!("GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    let mut answer = Vec::with_capacity(8192);
    stream
        .read_to_end(&mut answer)
        .with_context(|| format!("{address} got no answer"))?;
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("the answer has no end of its header")?;
    ensure!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{address} got {}",
        String::from_utf8_lossy(&answer)
    );
    Ok(answer.split_off(end + 4))
}
