//! What goes over the wire, byte by byte.

use super::*;

#[test]
fn header_names_are_in_title_case() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.get("/a");
    let (header, body) = client.response();
    let mut names: Vec<_> = (header.lines().skip(1))
        .filter_map(|line| Some(line.split_once(": ")?.0))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["Content-Length", "Content-Type", "Date"]);
    assert_eq!(body, "/a\n");
}

#[test]
fn http_1_0_is_closed_unless_asked_otherwise() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.send("GET /a HTTP/1.0\r\n\r\n");
    let answer = client.until_closed();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nContent-Length: 3\r\n"), "{answer}");
    assert!(!answer.contains("Transfer-Encoding"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n/a\n"), "{answer}");
}

#[test]
fn http_1_0_with_keep_alive_is_kept() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    for path in ["/a", "/b"] {
        client.send(format!(
            "GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        ));
        let (header, body) = client.response();
        assert!(
            header.contains("\r\nConnection: keep-alive\r\n"),
            "{header}"
        );
        assert_eq!(body, format!("{path}\n"));
    }
}

#[test]
fn a_body_of_unknown_length_ends_the_connection() {
    let head = Head::start(PATIENT);
    for version in ["1.0", "1.1"] {
        let mut client = head.connect();
        client.send(format!(
            "GET /unknown-length HTTP/{version}\r\nHost: head\r\n\r\n"
        ));
        let answer = client.until_closed();
        assert_eq!(
            answer.contains("Transfer-Encoding: chunked"),
            version == "1.1"
        );
        assert!(answer.contains("length\n"), "{answer}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    let paths: Vec<_> = (0..40).map(|number| format!("/{number}")).collect();
    let requests: String = (paths.iter())
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: head\r\n\r\n"))
        .collect();
    client.send(requests);
    for path in paths {
        assert_eq!(client.response().1, format!("{path}\n"));
    }
}

#[test]
fn a_client_that_has_closed_its_side_is_answered() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.get("/wait");
    head.request_is_waiting();
    client.half_close();
    // Time for a head that minds to hang up.
    std::thread::sleep(SHORT);
    head.release.add_permits(1);
    assert!(client.until_closed().ends_with("\r\n\r\nwaited\n"));
}

#[test]
fn oversized_headers_are_answered() {
    let head = Head::start(PATIENT);
    let long = |length| "x".repeat(length);
    for (status, request) in [
        (
            "431",
            format!("GET /a HTTP/1.1\r\nX: {}\r\n\r\n", long(1 << 20)),
        ),
        (
            "431",
            format!("GET /a HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000)),
        ),
        ("431", format!("GET /{} HTTP/1.1\r\n\r\n", long(1 << 20))),
        ("414", format!("GET /{} HTTP/1.1\r\n\r\n", long(70_000))),
        ("200", format!("GET /{} HTTP/1.1\r\n\r\n", long(60_000))),
    ] {
        let mut client = head.connect();
        client.send(request);
        client.half_close();
        let answer = client.until_closed();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {answer:.99}"
        );
        assert!(answer.contains("\r\nContent-Length: "), "{answer:.99}");
    }
}

#[test]
fn what_is_not_http_is_answered_or_closed() {
    let head = Head::start(PATIENT);
    for (request, answer) in [
        ("\x16\x03\x01\x02\x00\x01\x00\x01", "HTTP/1.1 400 "),
        ("GET /a SMTP/1.1\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /a HTTP/1.1\r\nno colon\r\n\r\n", "HTTP/1.1 400 "),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
    ] {
        let mut client = head.connect();
        client.send(request);
        let got = client.until_closed();
        assert!(got.starts_with(answer), "{request:?}: {got}");
    }
}

#[test]
fn an_answer_survives_the_body_that_nobody_reads() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    let length = 4 << 20;
    client.send(format!(
        "POST /a HTTP/1.1\r\nHost: head\r\nContent-Length: {length}\r\n\r\n"
    ));
    assert_eq!(client.response().1, "/a\n");
    client.send(vec![0; length]);
    assert_eq!(client.until_closed(), "");
}

#[test]
fn a_body_is_asked_for_when_it_is_wanted() {
    let head = Head::start(PATIENT);
    let mut client = head.connect();
    client.send(
        "POST /length HTTP/1.1\r\nHost: head\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.response().0, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("12345");
    assert_eq!(client.response().1, "5\n");
    assert_eq!(
        head.report().1,
        Sent {
            bytes: 2,
            complete: true
        }
    );
}
