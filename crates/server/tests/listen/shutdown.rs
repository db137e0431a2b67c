//! A clean end.

use super::*;

#[test]
fn a_running_response_is_finished_and_nothing_more_is_accepted() {
    let head = Head::start(PATIENT);
    let (mut running, mut idle, mut silent) = (head.connect(), head.connect(), head.connect());
    idle.is_open();
    running.get("/wait");
    head.request_is_waiting();
    eventually("all are accepted", || head.connections.open() == 3);
    head.shutdown.cancel();
    assert_eq!(idle.until_closed(), "");
    assert_eq!(silent.until_closed(), "");
    eventually("the port is closed", || {
        TcpStream::connect(head.http).is_err()
    });
    assert!(!head.served.is_finished());
    head.release.add_permits(1);
    assert!(running.until_closed().ends_with("\r\n\r\nwaited\n"));
    assert!(!head.socket.exists());
    head.ended();
}

#[test]
fn a_response_that_outlasts_the_grace_is_dropped() {
    let head = Head::start(Limits {
        shutdown_grace: SHORT,
        ..PATIENT
    });
    let mut client = head.connect();
    client.get("/wait");
    head.request_is_waiting();
    head.shutdown.cancel();
    assert_eq!(client.until_closed(), "");
    head.ended();
}

#[test]
fn a_download_that_runs_is_finished() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.get("/big");
    client.0.read_exact(&mut [0; 1 << 16]).unwrap();
    head.shutdown.cancel();
    assert!(client.until_closed().len() > BIG - (1 << 16));
    assert!(head.report().1.complete);
    head.ended();
}
