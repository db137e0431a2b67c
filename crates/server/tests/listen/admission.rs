//! Connections are counted.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};
use server::listen::raise_open_files;

use super::*;

fn assert_refused(client: &mut Client) {
    let answer = client.until_closed();
    assert!(
        answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{answer}"
    );
    for line in [
        "Retry-After: 1",
        "Connection: close",
        "Content-Type: text/plain; charset=utf-8",
    ] {
        assert!(answer.contains(&format!("\r\n{line}\r\n")), "{answer}");
    }
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())));
    assert_eq!(body.lines().count(), 1);
}

/// A connection from another loopback address.
fn connect_from(address: [u8; 4], head: &Head) -> Client {
    let stream = head.runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        let from = SocketAddr::from((Ipv4Addr::from(address), 0));
        socket.bind(from).unwrap();
        socket.connect(head.http).await.unwrap()
    });
    let stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    Client(stream)
}

#[test]
fn an_address_may_hold_so_many_connections() {
    let head = Head::start_with(PATIENT, Connections::new(1000, 2));
    let (mut first, mut second) = (head.connect(), head.connect());
    first.is_open();
    second.is_open();
    let mut third = head.connect();
    third.get("/a");
    assert_refused(&mut third);
    connect_from([127, 0, 0, 2], &head).is_open();
    assert_eq!(head.connections.refused(), 1);
}

#[test]
fn a_full_head_says_so_and_recovers() {
    let head = Head::start_with(PATIENT, Connections::new(1, 1000));
    let mut first = head.connect();
    first.is_open();
    assert_refused(&mut head.connect());
    drop(first);
    eventually("the place is given back", || head.connections.open() == 0);
    head.connect().is_open();
}

#[test]
fn a_crowd_of_refused_connections_is_answered_and_seen_off() {
    let head = Head::start_with(PATIENT, Connections::new(1, 1000));
    let mut first = head.connect();
    first.is_open();
    let mut crowd: Vec<_> = (0..300).map(|_| head.connect()).collect();
    crowd.iter_mut().for_each(assert_refused);
    first.is_open();
    head.shutdown.cancel();
    head.ended();
}

/// Runs [`serve_with_few_files`] as another process, since the limit is a process's.
#[test]
fn running_out_of_files_does_not_stop_the_head() {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "admission::serve_with_few_files",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let address: SocketAddr = lines
        .find_map(|line| line.unwrap().strip_prefix("serving ")?.parse().ok())
        .unwrap();
    let connect = || Client(TcpStream::connect(address).unwrap());
    // More than it has files: the last of them wait in the backlog.
    let crowd: Vec<_> = (0..60).map(|_| connect()).collect();
    drop(crowd);
    connect().is_open();
    drop(process.stdin.take());
    assert!(process.wait().unwrap().success());
}

#[test]
#[ignore = "the other process of running_out_of_files_does_not_stop_the_head"]
fn serve_with_few_files() {
    let head = Head::start(PATIENT);
    let limit = Rlimit {
        current: Some(30),
        maximum: Some(40),
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    assert_eq!(raise_open_files(1000).unwrap(), 40);
    println!("serving {}", head.http);
    let _ = std::io::stdin().read(&mut [0]);
}
