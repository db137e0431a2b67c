//! Each response's body is followed until the kernel has it, or never will.

use super::*;

fn complete(bytes: u64) -> Sent {
    Sent {
        bytes,
        complete: true,
    }
}

#[test]
fn a_small_body_is_sent() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.get("/a");
    client.response();
    assert_eq!(head.report(), ("/a".to_owned(), complete(3)));
}

#[test]
fn a_large_body_is_sent() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.get("/big");
    client.half_close();
    assert!(client.until_closed().len() > BIG);
    assert_eq!(head.report(), ("/big".to_owned(), complete(BIG as u64)));
}

#[test]
fn responses_without_a_body_are_complete_at_once() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.send("HEAD /a HTTP/1.1\r\nHost: head\r\n\r\n");
    client.get("/not-modified");
    client.get("/b");
    assert_eq!(head.report(), ("/a".to_owned(), complete(0)));
    assert_eq!(head.report(), ("/not-modified".to_owned(), complete(0)));
    assert_eq!(head.report(), ("/b".to_owned(), complete(3)));
    client.half_close();
    assert!(client.until_closed().ends_with("\r\n\r\n/b\n"));
}

#[test]
fn pipelined_bodies_are_told_apart() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.send("GET /a HTTP/1.1\r\n\r\nGET /bcd HTTP/1.1\r\n\r\nGET /ef HTTP/1.1\r\n\r\n");
    for (path, bytes) in [("/a", 3), ("/bcd", 5), ("/ef", 4)] {
        assert_eq!(head.report(), (path.to_owned(), complete(bytes)));
    }
}

#[test]
fn a_body_that_is_cut_off_is_not_complete() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.get("/big");
    client.0.read_exact(&mut [0; 1 << 20]).unwrap();
    // With bytes unread, this is a reset.
    drop(client);
    let (path, sent) = head.report();
    assert_eq!((path.as_str(), sent.complete), ("/big", false));
    assert!((1 << 19..BIG as u64).contains(&sent.bytes), "{sent:?}");
}

#[test]
fn a_client_that_leaves_before_the_answer_gets_nothing() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.get("/wait");
    head.request_is_waiting();
    // A reset, which the head's write then meets.
    rustix::net::sockopt::set_socket_linger(&client.0, Some(Duration::ZERO)).unwrap();
    drop(client);
    head.release.add_permits(1);
    let (path, sent) = head.report();
    assert_eq!((path.as_str(), sent.complete), ("/wait", false));
}

#[test]
fn a_body_of_unknown_length_is_complete_when_the_connection_closes() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.send("GET /unknown-length HTTP/1.0\r\n\r\n");
    client.until_closed();
    assert_eq!(head.report(), ("/unknown-length".to_owned(), complete(18)));
}
