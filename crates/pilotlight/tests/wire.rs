//! What goes over the wire, byte by byte: much of what boots compares bytes and knows one way of HTTP only.
#![allow(clippy::unwrap_used)]

mod head;

use std::collections::BTreeSet;
use std::io::Write;

use head::{Head, Reply, get_request, read_to_end};

#[test]
fn every_answer_has_a_length_and_none_leads_elsewhere() {
    let head = Head::start();
    head.node("n1", "127.0.0.1", &["attr._boot_config=ztp:a.ks"]);
    head.put("a.ks", "<n[name]>\n");
    head.put("plain.ks", "plain\n");
    head.put("empty.ks", "");
    head.put("faulty.ks", "<a[gone]>\n");
    let requests = [
        get_request("/api/v1/kickstart/a.ks", ""),
        get_request("/api/v1/kickstart/plain.ks", ""),
        get_request("/api/v1/kickstart/plain.ks", "Range: bytes=1-2\r\n"),
        get_request("/api/v1/kickstart/plain.ks", "Range: bytes=99-\r\n"),
        get_request("/api/v1/kickstart/plain.ks", "If-Match: \"other\"\r\n"),
        get_request(
            "/api/v1/kickstart/plain.ks",
            "TE: trailers, chunked\r\nAccept-Encoding: gzip, br\r\n",
        ),
        get_request("/api/v1/kickstart/gone.ks", ""),
        get_request("/api/v1/kickstart/empty.ks", ""),
        get_request("/api/v1/kickstart/faulty.ks", ""),
        get_request("/api/v1/kickstart/../secret", ""),
        get_request("/api/v1/kickstart/", ""),
        get_request("/api/v1/kickstart", ""),
        get_request("/api/v1/ztp/script", ""),
        get_request("/api/v1/ztp/script/", ""),
        get_request("/", ""),
        get_request("/healthz", ""),
        get_request("/metrics", ""),
        get_request("/openapi.json", ""),
        get_request("/api/v1/nodes", ""),
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: head\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "POST /api/v1/kickstart/a.ks HTTP/1.1\r\nHost: head\r\nContent-Length: 2\r\n\r\n{}"
            .to_owned(),
        "BREW /api/v1/kickstart/a.ks HTTP/1.1\r\nHost: head\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: head\r\n\r\n".to_owned(),
        "GET nonsense HTTP/1.1\r\nHost: head\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        get_request(&format!("/api/v1/kickstart/{}", "a".repeat(70_000)), ""),
        get_request("/", &format!("X-Long: {}\r\n", "a".repeat(200_000))),
    ];
    for request in requests {
        let shown = &request[..request.len().min(80)];
        let mut alike = vec![request.clone()];
        if let Some(rest) = request.strip_prefix("GET ") {
            alike.push(format!("HEAD {rest}"));
        }
        for request in alike {
            let reply = head.ask_raw(&request);
            let length = reply.header("Content-Length");
            assert!(length.is_some(), "{shown:?}: no length: {reply:?}");
            assert_eq!(
                reply.header("Transfer-Encoding"),
                None,
                "{shown:?}: {reply:?}"
            );
            assert_eq!(
                reply.header("Content-Encoding"),
                None,
                "{shown:?}: {reply:?}"
            );
            assert_eq!(reply.header("Location"), None, "{shown:?}: {reply:?}");
            let status = reply.status;
            assert!(
                status != 204 && !(300..400).contains(&status),
                "{shown:?}: {reply:?}"
            );
            // What is no HTTP, or too much of it, is refused by the status alone.
            assert!(
                matches!(status, 400 | 414 | 431) || length != Some("0"),
                "{shown:?}: an empty answer: {reply:?}"
            );
        }
    }
}

#[test]
fn header_names_go_out_in_title_case() {
    let head = Head::start();
    head.put("a.ks", "a boot file\n");
    let mut names = BTreeSet::new();
    for request in [
        get_request("/api/v1/kickstart/a.ks", ""),
        get_request("/api/v1/kickstart/a.ks", "Range: bytes=0-3\r\n"),
        get_request("/api/v1/kickstart/gone.ks", ""),
        get_request("/api/v1/nodes", ""),
        "POST /api/v1/kickstart/a.ks HTTP/1.1\r\nHost: head\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
        "nonsense\r\n\r\n".to_owned(),
    ] {
        let reply = head.ask_raw(request);
        names.extend(reply.headers.into_iter().map(|(name, _)| name));
    }
    for name in [
        "Content-Length",
        "Content-Type",
        "Content-Range",
        "Etag",
        "Date",
        "Allow",
        "Www-Authenticate",
        "Accept-Ranges",
    ] {
        assert!(names.contains(name), "no {name} in {names:?}");
    }
    for name in &names {
        let title_case = name.split('-').all(|word| {
            let (first, rest) = word.split_at(1);
            first == first.to_uppercase() && rest == rest.to_lowercase()
        });
        assert!(title_case, "{name}");
    }
}

#[test]
fn the_status_line_has_a_reason() {
    let head = Head::start();
    head.put("a.ks", "a boot file\n");
    // iPXE takes no status line that ends with the code.
    assert!(
        head.exchange(get_request("/api/v1/kickstart/a.ks", ""))
            .starts_with(b"HTTP/1.1 200 OK\r\n")
    );
    assert!(
        head.exchange(get_request("/api/v1/kickstart/b.ks", ""))
            .starts_with(b"HTTP/1.1 404 Not Found\r\n")
    );
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let head = Head::start();
    head.put("a.ks", "a boot file\n");
    let mut stream = head.connect();
    stream
        .write_all(b"GET /api/v1/kickstart/a.ks HTTP/1.0\r\n\r\n")
        .unwrap();
    // Not closed by us: the head closes.
    let answer = read_to_end(&mut stream);
    let (reply, rest) = Reply::parse(&answer, false);
    assert_eq!(
        (reply.status, reply.text(), rest),
        (200, "a boot file\n", &b""[..])
    );
    assert_eq!(reply.header("Content-Length"), Some("12"));
}

#[test]
fn http_1_0_may_keep_the_connection() {
    let head = Head::start();
    head.put("a.ks", "a boot file\n");
    let request = "GET /api/v1/kickstart/a.ks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let answer = head.exchange(request.repeat(2));
    let (first, rest) = Reply::parse(&answer, false);
    assert!(
        first
            .header("Connection")
            .unwrap()
            .eq_ignore_ascii_case("keep-alive"),
        "{first:?}"
    );
    let (second, rest) = Reply::parse(rest, false);
    assert_eq!(
        (first.text(), second.text(), rest),
        ("a boot file\n", "a boot file\n", &b""[..])
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let head = Head::start();
    let mut requests = String::new();
    for number in 0..50 {
        head.put(&format!("{number}.ks"), format!("file {number}\n"));
        requests += &get_request(&format!("/api/v1/kickstart/{number}.ks"), "");
        requests += &get_request("/api/v1/kickstart/gone.ks", "");
    }
    let answers = head.exchange(requests);
    let mut rest = &answers[..];
    for number in 0..50 {
        for (status, text) in [(200, format!("file {number}\n")), (404, String::new())] {
            let reply;
            (reply, rest) = Reply::parse(rest, false);
            assert_eq!(reply.status, status, "{number}");
            assert!(
                text.is_empty() || reply.text() == text,
                "{number}: {reply:?}"
            );
        }
    }
    assert!(rest.is_empty());
}

#[test]
fn head_and_then_get_on_one_connection() {
    // As UEFI HTTP boot asks.
    let head = Head::start();
    head.put("a.ks", "a boot file\n");
    let get = get_request("/api/v1/kickstart/a.ks", "User-Agent: UefiHttpBoot/1.0\r\n");
    let answer = head.exchange(get.replace("GET", "HEAD") + &get);
    let (first, rest) = Reply::parse(&answer, true);
    assert_eq!(
        (first.status, first.header("Content-Length")),
        (200, Some("12"))
    );
    let (second, rest) = Reply::parse(rest, false);
    assert_eq!(
        (second.status, second.text(), rest),
        (200, "a boot file\n", &b""[..])
    );
}

#[test]
fn odd_headers_of_real_clients_are_no_trouble() {
    let head = Head::start();
    head.put("a.ks", "a boot file\n");
    for lines in [
        // ONIE
        "ONIE-SECURITY-KEY: \r\nONIE-SERIAL-NUMBER:X\r\n",
        // Cisco IOS-XR
        "X-cisco-serial*: UTF-8''FOC1234\r\n",
        // curl -C - on a whole file is another matter; a range that cannot be read is none.
        "Range: bytes=\r\n",
        "Range: lines=1-2\r\n",
        "Accept: application/vnd.coreos.ignition+json;version=3.3.0, */*;q=0.1\r\n",
        "Accept-Encoding: gzip, deflate\r\n",
        "Cache-Control: no-cache\r\nPragma: no-cache\r\n",
        "X-Latin-1: gr\u{fc}n\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
        "Content-Length: 0\r\n",
        "Connection: close\r\n",
    ] {
        let reply = head.ask_raw(get_request("/api/v1/kickstart/a.ks", lines));
        assert_eq!(
            (reply.status, reply.text()),
            (200, "a boot file\n"),
            "{lines:?}"
        );
    }
    // iPXE's Host comes last, and some say no Host at all.
    let host_last =
        "GET /api/v1/kickstart/a.ks HTTP/1.1\r\nUser-Agent: iPXE/1.0.0+\r\nHost: head\r\n\r\n";
    assert_eq!(head.ask_raw(host_last).status, 200);
    let absolute = "GET http://head/api/v1/kickstart/a.ks HTTP/1.1\r\nHost: head\r\n\r\n";
    assert_eq!(head.ask_raw(absolute).status, 200);
}

#[test]
fn a_request_in_single_bytes_is_understood() {
    let head = Head::start();
    head.put("a.ks", "a boot file\n");
    let mut stream = head.connect();
    stream.set_nodelay(true).unwrap();
    for byte in get_request("/api/v1/kickstart/a.ks", "Connection: close\r\n").bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    let answer = read_to_end(&mut stream);
    assert_eq!(Reply::parse(&answer, false).0.text(), "a boot file\n");
}

#[test]
fn ambiguous_requests_are_refused_and_the_connection_closed() {
    // Two readers of these may disagree on where the request ends, and so on whose request the next one is.
    let head = Head::start();
    let next = "GET /smuggled HTTP/1.1\r\nHost: head\r\n\r\n";
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5,6\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Content-Length : 5\r\n",
        " Folded: x\r\n",
        "No-Colon\r\n",
        "Na me: x\r\n",
        "X: a\0b\r\n",
    ] {
        let request =
            format!("POST /api/v1/auth/login HTTP/1.1\r\nHost: head\r\n{lines}\r\n{next}");
        let answer = head.exchange(request);
        let (reply, _) = Reply::parse(&answer, false);
        assert!(reply.status >= 400, "{lines:?}: {reply:?}");
        assert!(
            !String::from_utf8_lossy(&answer).contains("smuggled"),
            "{lines:?}"
        );
    }
}
