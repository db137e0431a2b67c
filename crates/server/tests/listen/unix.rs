//! The local socket.

use std::os::unix::net::UnixStream;

use super::*;

fn ask(head: &Head, path: &str) -> String {
    let mut stream = UnixStream::connect(&head.socket).unwrap();
    stream.set_read_timeout(Some(GUARD)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_local_peer_is_known_by_its_credentials() {
    let head = Head::start(PATIENT);
    let peer = format!(
        "Unix(UnixCredentials {{ uid: {}, gid: {}, pid: Some({}) }}), local: None, tls: false",
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
        std::process::id()
    );
    let answer = ask(&head, "/peer");
    assert!(answer.contains(&peer), "{answer}");
}

#[test]
fn a_local_peer_gets_in_when_the_network_is_full() {
    let head = Head::start_with(PATIENT, Connections::new(1, 1000));
    let mut network = head.connect();
    network.is_open();
    assert!(ask(&head, "/a").ends_with("\r\n\r\n/a\n"));
    network.is_open();
}

#[test]
fn the_file_is_removed_in_the_end() {
    let head = Head::start(PATIENT);
    let socket = head.socket.clone();
    ask(&head, "/a");
    head.shutdown.cancel();
    eventually("the file is gone", || !socket.exists());
    head.ended();
}
