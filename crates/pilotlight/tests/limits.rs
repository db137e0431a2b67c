//! What one client may ask of a head: connections, time and bytes.
#![allow(clippy::unwrap_used)]

mod head;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use head::{Head, Reply, get_request, read_to_end, until};

#[test]
fn an_oversized_header_is_refused() {
    let head = Head::start();
    let long = "a".repeat(128 * 1024);
    for (request, status) in [
        (
            get_request("/api/v1/kickstart/a.ks", &format!("X-Long: {long}\r\n")),
            431,
        ),
        (
            get_request("/api/v1/kickstart/a.ks", &"X-Many: x\r\n".repeat(20_000)),
            431,
        ),
        (get_request(&format!("/{}", &long[..70_000]), ""), 414),
    ] {
        let reply = head.ask_raw(&request);
        assert_eq!(reply.status, status, "{}…: {reply:?}", &request[..60]);
    }
    assert_eq!(head.get("/healthz").status, 200);
}

#[test]
fn an_oversized_body_is_refused_by_the_length_it_announces() {
    let head = Head::with_config("[limits]\nbody = \"1KiB\"\n");
    let body = "x".repeat(2000);
    let request = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: head\r\nContent-Length: 2000\r\n\r\n{body}"
    );
    let reply = head.ask_raw(request);
    assert_eq!(reply.status, 413, "{reply:?}");
    let chunked = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: head\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{body}\r\n0\r\n\r\n"
    );
    let reply = head.ask_raw(chunked);
    assert_eq!(reply.status, 413, "{reply:?}");
}

#[test]
fn one_connection_too_many_is_told_when_to_come_back() {
    let head = Head::with_config("[limits]\nconnections_per_address = 3\n");
    head.put("a.ks", "a boot file\n");
    let open: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = head.connect();
            // Answered, so accepted and counted.
            stream
                .write_all(get_request("/healthz", "").as_bytes())
                .unwrap();
            assert!(stream.read(&mut [0; 16]).unwrap() > 0);
            stream
        })
        .collect();
    let reply = head.get("/kickstart/a.ks");
    assert_eq!(reply.status, 503);
    let seconds: u32 = reply
        .header("Retry-After")
        .expect("Retry-After")
        .parse()
        .expect("whole seconds");
    assert!(seconds > 0);
    assert_eq!(
        reply.header("Content-Length"),
        Some(&*reply.body.len().to_string())
    );
    assert_eq!(reply.text().lines().count(), 1, "{reply:?}");
    // Somebody else has their own places, and a place that is given back is there for the next.
    assert_eq!(head.get_from("127.0.0.11", "/kickstart/a.ks").status, 200);
    drop(open);
    until("a place is free again", || {
        (head.get("/kickstart/a.ks").status == 200).then_some(())
    });
}

#[test]
fn a_header_that_never_ends_is_cut_off() {
    let head = Head::with_config("[limits]\nheader_time = \"200ms\"\n");
    let mut stream = head.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: head\r\n")
        .unwrap();
    // A drip of bytes buys no time.
    let mut answer = Vec::new();
    until("the head closes a slow connection", || {
        stream
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        let _ = stream.write_all(b"X-Drip: x\r\n");
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes) {
            Ok(0) => Some(()),
            Ok(count) => {
                answer.extend_from_slice(&bytes[..count]);
                None
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(_) => Some(()),
        }
    });
    assert!(
        !answer.starts_with(b"HTTP/1.1 2"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[test]
fn silent_and_idle_connections_are_closed() {
    let head = Head::with_config("[limits]\nfirst_byte_time = \"200ms\"\nidle_time = \"200ms\"\n");
    let mut silent = head.connect();
    assert_eq!(read_to_end(&mut silent), b"");

    let mut idle = head.connect();
    idle.write_all(get_request("/healthz", "").as_bytes())
        .unwrap();
    let answer = read_to_end(&mut idle);
    let (reply, rest) = Reply::parse(&answer, false);
    assert_eq!((reply.status, rest), (200, &b""[..]));
}

#[test]
fn a_reader_that_takes_nothing_is_cut_off() {
    let head = Head::with_config("[limits]\nidle_time = \"200ms\"\n");
    head.put("big.img", vec![b'x'; 16 << 20]);
    let mut stream = head.connect();
    stream
        .write_all(get_request("/api/v1/kickstart/big.img", "").as_bytes())
        .unwrap();
    let record = until("the fetch is on record", || {
        head.ledger("limit=1").into_iter().next()
    });
    assert_eq!(
        (&record["status"], &record["complete"]),
        (&200.into(), &false.into()),
        "{record}"
    );
    assert!(
        record["sent"].as_u64() < record["bytes"].as_u64(),
        "{record}"
    );
}
