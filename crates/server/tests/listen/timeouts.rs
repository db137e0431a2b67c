//! No peer holds a connection for ever.

use std::io::Write;
use std::thread::sleep;

use super::*;

#[test]
fn a_silent_connection_is_closed() {
    let head = Head::start(Limits {
        first_byte_time: SHORT,
        ..PATIENT
    });
    assert_eq!(head.connect().until_closed(), "");
}

#[test]
fn half_a_header_is_closed() {
    let head = Head::start(Limits {
        header_time: SHORT,
        ..PATIENT
    });
    let mut client = head.connect();
    client.send("GET /a HTTP/1.1\r\nHost: he");
    assert_eq!(client.until_closed(), "");
}

#[test]
fn a_header_that_drips_is_closed() {
    let head = Head::start(Limits {
        header_time: SHORT,
        ..PATIENT
    });
    let mut client = head.connect();
    client.send("GET /a HTTP/1.1\r\nX: ");
    let start = Instant::now();
    while client.0.write_all(b"x").is_ok() {
        assert!(start.elapsed() < GUARD, "the drip goes on");
        sleep(SHORT / 10);
    }
}

#[test]
fn a_second_header_is_bounded_as_the_first() {
    let head = Head::start(Limits {
        header_time: SHORT,
        ..PATIENT
    });
    let mut client = head.connect();
    client.is_open();
    client.send("GET");
    assert_eq!(client.until_closed(), "");
}

#[test]
fn an_idle_connection_is_closed() {
    let head = Head::start(Limits {
        idle_time: SHORT,
        ..PATIENT
    });
    let mut client = head.connect();
    client.is_open();
    assert_eq!(client.until_closed(), "");
    eventually("the place is given back", || head.connections.open() == 0);
}

#[test]
fn between_two_requests_only_the_idle_limit_counts() {
    let head = Head::start(Limits {
        first_byte_time: SHORT,
        header_time: SHORT,
        ..PATIENT
    });
    let mut client = head.connect();
    client.is_open();
    sleep(SHORT * 3);
    client.is_open();
}

#[test]
fn a_service_may_take_longer_than_a_peer() {
    let head = Head::start(Limits {
        first_byte_time: SHORT,
        header_time: SHORT,
        idle_time: SHORT,
        ..PATIENT
    });
    let mut client = head.connect();
    client.get("/wait");
    sleep(SHORT * 3);
    head.release.add_permits(1);
    assert_eq!(client.response().1, "waited\n");
}

#[test]
fn a_body_that_stalls_is_closed() {
    let head = Head::start(Limits {
        idle_time: SHORT,
        ..PATIENT
    });
    let mut client = head.connect();
    client.send("POST /length HTTP/1.1\r\nHost: head\r\nContent-Length: 100\r\n\r\nten bytes.");
    assert_eq!(client.until_closed(), "");
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let head = Head::start(Limits {
        idle_time: SHORT,
        ..PATIENT
    });
    let mut client = head.connect();
    client.get("/big");
    let (path, sent) = head.report();
    assert_eq!((path.as_str(), sent.complete), ("/big", false));
    assert!(sent.bytes < BIG as u64);
    eventually("the place is given back", || head.connections.open() == 0);
}
