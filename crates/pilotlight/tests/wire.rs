//! What goes over the wire, byte by byte: much of what boots compares bytes and knows one way of HTTP only.
#![allow(clippy::unwrap_used)]

mod head;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use head::{DEADLINE, Head, Reply, curl, run, until};

/// A GET as HTTP/1.1 has it, with more header lines.
fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: head\r\n{lines}\r\n")
}

/// The one answer to this request.
fn ask(head: &Head, request: impl AsRef<[u8]>) -> Reply {
    let to_head = request.as_ref().starts_with(b"HEAD");
    let answer = head.exchange(request);
    let (reply, rest) = Reply::parse(&answer, to_head);
    assert_eq!(String::from_utf8_lossy(rest), "", "more than one answer");
    reply
}

/// Sends nothing more, and reads until the head closes.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn every_answer_has_a_length_and_none_leads_elsewhere() {
    let head = Head::start();
    head.node("n1", "127.0.0.1", &["attr._boot_config=ztp:a.ks"]);
    head.put("a.ks", "<n[name]>\n");
    head.put("plain.ks", "plain\n");
    head.put("empty.ks", "");
    head.put("faulty.ks", "<a[gone]>\n");
    let requests = [
        get("/api/v1/kickstart/a.ks", ""),
        get("/api/v1/kickstart/plain.ks", ""),
        get("/api/v1/kickstart/plain.ks", "Range: bytes=1-2\r\n"),
        get("/api/v1/kickstart/plain.ks", "Range: bytes=99-\r\n"),
        get("/api/v1/kickstart/plain.ks", "If-Match: \"other\"\r\n"),
        get(
            "/api/v1/kickstart/plain.ks",
            "TE: trailers, chunked\r\nAccept-Encoding: gzip, br\r\n",
        ),
        get("/api/v1/kickstart/gone.ks", ""),
        get("/api/v1/kickstart/empty.ks", ""),
        get("/api/v1/kickstart/faulty.ks", ""),
        get("/api/v1/kickstart/../secret", ""),
        get("/api/v1/kickstart/", ""),
        get("/api/v1/kickstart", ""),
        get("/api/v1/ztp/script", ""),
        get("/api/v1/ztp/script/", ""),
        get("/", ""),
        get("/healthz", ""),
        get("/metrics", ""),
        get("/openapi.json", ""),
        get("/api/v1/nodes", ""),
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: head\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "POST /api/v1/kickstart/a.ks HTTP/1.1\r\nHost: head\r\nContent-Length: 2\r\n\r\n{}"
            .to_owned(),
        "BREW /api/v1/kickstart/a.ks HTTP/1.1\r\nHost: head\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: head\r\n\r\n".to_owned(),
        "GET nonsense HTTP/1.1\r\nHost: head\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        get(&format!("/api/v1/kickstart/{}", "a".repeat(70_000)), ""),
        get("/", &format!("X-Long: {}\r\n", "a".repeat(200_000))),
    ];
    for request in requests {
        let shown = &request[..request.len().min(80)];
        let mut alike = vec![request.clone()];
        if let Some(rest) = request.strip_prefix("GET ") {
            alike.push(format!("HEAD {rest}"));
        }
        for request in alike {
            let reply = ask(&head, &request);
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
        get("/api/v1/kickstart/a.ks", ""),
        get("/api/v1/kickstart/a.ks", "Range: bytes=0-3\r\n"),
        get("/api/v1/kickstart/gone.ks", ""),
        get("/api/v1/nodes", ""),
        "POST /api/v1/kickstart/a.ks HTTP/1.1\r\nHost: head\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
        "nonsense\r\n\r\n".to_owned(),
    ] {
        let reply = ask(&head, request);
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
        head.exchange(get("/api/v1/kickstart/a.ks", ""))
            .starts_with(b"HTTP/1.1 200 OK\r\n")
    );
    assert!(
        head.exchange(get("/api/v1/kickstart/b.ks", ""))
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
        requests += &get(&format!("/api/v1/kickstart/{number}.ks"), "");
        requests += &get("/api/v1/kickstart/gone.ks", "");
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
    let get = get("/api/v1/kickstart/a.ks", "User-Agent: UefiHttpBoot/1.0\r\n");
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
        let reply = ask(&head, get("/api/v1/kickstart/a.ks", lines));
        assert_eq!(
            (reply.status, reply.text()),
            (200, "a boot file\n"),
            "{lines:?}"
        );
    }
    // iPXE's Host comes last, and some say no Host at all.
    let host_last =
        "GET /api/v1/kickstart/a.ks HTTP/1.1\r\nUser-Agent: iPXE/1.0.0+\r\nHost: head\r\n\r\n";
    assert_eq!(ask(&head, host_last).status, 200);
    let absolute = "GET http://head/api/v1/kickstart/a.ks HTTP/1.1\r\nHost: head\r\n\r\n";
    assert_eq!(ask(&head, absolute).status, 200);
}

#[test]
fn a_request_in_single_bytes_is_understood() {
    let head = Head::start();
    head.put("a.ks", "a boot file\n");
    let mut stream = head.connect();
    stream.set_nodelay(true).unwrap();
    for byte in get("/api/v1/kickstart/a.ks", "Connection: close\r\n").bytes() {
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

#[test]
fn an_oversized_header_is_refused() {
    let head = Head::start();
    let long = "a".repeat(128 * 1024);
    for (request, status) in [
        (
            get("/api/v1/kickstart/a.ks", &format!("X-Long: {long}\r\n")),
            431,
        ),
        (
            get("/api/v1/kickstart/a.ks", &"X-Many: x\r\n".repeat(20_000)),
            431,
        ),
        (get(&format!("/{}", &long[..70_000]), ""), 414),
    ] {
        let reply = ask(&head, &request);
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
    let reply = ask(&head, request);
    assert_eq!(reply.status, 413, "{reply:?}");
    let chunked = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: head\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{body}\r\n0\r\n\r\n"
    );
    let reply = ask(&head, chunked);
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
            stream.write_all(get("/healthz", "").as_bytes()).unwrap();
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
            .set_read_timeout(Some(std::time::Duration::from_millis(10)))
            .unwrap();
        let _ = stream.write_all(b"X-Drip: x\r\n");
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes) {
            Ok(0) => Some(()),
            Ok(count) => {
                answer.extend_from_slice(&bytes[..count]);
                None
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
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
    idle.write_all(get("/healthz", "").as_bytes()).unwrap();
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
        .write_all(get("/api/v1/kickstart/big.img", "").as_bytes())
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

#[test]
fn a_hostile_host_never_lands_in_a_url() {
    let head = Head::start();
    head.put("a.sh", "curl <base_url()> <head[base_url]>\n");
    let own = format!("curl {0} {0}\n", head.url(""));
    for host in [
        "a;reboot",
        "a$(reboot)",
        "a`reboot`",
        "a'b",
        "a\"b",
        "a b",
        "a/b",
        "a@b",
        "a?b",
        "a#b",
        "a%20b",
        "a\\b",
        "a&b",
        "a|b",
        "a<b>",
        "<a[rootpw]>",
        "a:b",
        "a:99999",
        "a:80:80",
        "a:-1",
        "a:+1",
        "-a",
        "[::1",
        "[::1]x",
        "[a]",
        "::1",
        "\u{e4}",
        "",
        ":80",
        "a,b",
        "a\tb",
    ] {
        let request = format!("GET /api/v1/kickstart/a.sh HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let reply = ask(&head, request);
        match reply.status {
            200 => assert_eq!(reply.text(), own, "{host:?}"),
            400 => {}
            _ => panic!("{host:?}: {reply:?}"),
        }
    }
    // The same in an absolute target, and in what a proxy might say.
    let reply = ask(
        &head,
        "GET http://a;reboot/api/v1/kickstart/a.sh HTTP/1.1\r\nHost: b\r\n\r\n",
    );
    assert!(!reply.text().contains("reboot"), "{reply:?}");
    let reply = ask(
        &head,
        get(
            "/api/v1/kickstart/a.sh",
            "X-Forwarded-Host: a;reboot\r\nForwarded: host=evil\r\n",
        ),
    );
    assert_eq!(reply.text(), "curl http://head/api/v1 http://head/api/v1\n");
    // Two hosts are one too many.
    let reply = ask(
        &head,
        get("/api/v1/kickstart/a.sh", "Host: evil;reboot\r\n"),
    );
    assert!(!reply.text().contains("reboot"), "{reply:?}");
}

#[test]
fn the_base_url_is_the_one_the_client_used() {
    let head = Head::start();
    head.put("a.sh", "<base_url()>");
    for host in [
        "head",
        "head.cluster.example:8080",
        "10.0.0.1",
        "[fd00::1]:81",
        "a_b-c.d",
    ] {
        let request = format!("GET /api/v1/kickstart/a.sh HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(ask(&head, request).text(), format!("http://{host}/api/v1"));
    }
    // HTTP/1.0 clients may have no Host.
    let reply = ask(&head, "GET /api/v1/kickstart/a.sh HTTP/1.0\r\n\r\n");
    assert_eq!(reply.text(), head.url(""));
}

#[test]
fn a_configured_base_url_is_used_as_it_is() {
    let head = Head::with_config("base_url = \"http://10.0.0.1/api/v1\"\n");
    head.put("a.sh", "<base_url()>");
    assert_eq!(
        ask(&head, get("/api/v1/kickstart/a.sh", "")).text(),
        "http://10.0.0.1/api/v1"
    );
}

/// A head with a TLS listener, whose certificate for localhost is `cert.pem` beside its data directory.
fn head_with_tls() -> Head {
    let mut head = Head::stopped("");
    let (cert, key) = (head.path("cert.pem"), head.path("key.pem"));
    let made = run(Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ])
        .arg("-out")
        .arg(&cert)
        .arg("-keyout")
        .arg(&key));
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let config = format!("[tls]\nlisten = [\"127.0.0.1:0\"]\ncert = {cert:?}\nkey = {key:?}\n");
    std::fs::write(head.path("config.toml"), config).unwrap();
    head.start_again();
    head.node("n1", "127.0.0.11", &[]);
    head.put("a.ks", "<n[name]> <base_url()>\n");
    head
}

#[test]
fn tls_is_spoken_where_it_is_configured() {
    let head = head_with_tls();
    let cert = head.path("cert.pem");
    let (address, port) = (head.tls_address(), head.tls_address().port());
    for (version, host) in [
        ("--http1.1", address.to_string()),
        ("--http2", address.to_string()),
        ("--http2", format!("localhost:{port}")),
    ] {
        let url = format!("https://{host}/api/v1/kickstart/a.ks");
        let expected = format!("n1 https://{host}/api/v1\n");
        let options = [
            "--interface",
            "host!127.0.0.11",
            "--cacert",
            cert.to_str().unwrap(),
            "--ipv4",
            version,
        ];
        let reply = curl(options.iter().chain(&[&*url]));
        assert_eq!((reply.status, reply.text()), (200, &*expected), "{version}");
        let length = expected.len().to_string();
        assert_eq!(reply.header("Content-Length"), Some(&*length), "{version}");
        let about = curl(options.iter().chain(&["--head", &*url]));
        assert_eq!(
            (about.status, about.header("content-length")),
            (200, Some(&*length)),
            "{version}"
        );
    }
    // Who does not know the certificate does not get far.
    let url = format!("https://{address}/api/v1/kickstart/a.ks");
    assert_eq!(
        run(Command::new("curl").args(["-sS", &url])).status.code(),
        Some(60)
    );
}

#[test]
fn http_2_is_really_spoken() {
    let head = head_with_tls();
    let cert = head.path("cert.pem");
    let url = format!("https://{}/api/v1/kickstart/a.ks", head.tls_address());
    let output = run(Command::new("curl")
        .args([
            "-sS",
            "--http2",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_version} %{http_code}",
            "--cacert",
        ])
        .args([
            cert.to_str().unwrap(),
            "--interface",
            "host!127.0.0.11",
            &url,
        ]));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 200");
}

#[test]
fn plain_http_on_the_tls_port_and_tls_on_the_plain_one_end_quickly() {
    let head = head_with_tls();
    let mut stream = TcpStream::connect(head.tls_address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(get("/healthz", "").as_bytes()).unwrap();
    let mut answer = Vec::new();
    // Closed or reset; never an answer.
    let _ = stream.read_to_end(&mut answer);
    assert!(
        !answer.starts_with(b"HTTP"),
        "{}",
        String::from_utf8_lossy(&answer)
    );

    let url = format!("https://{}/healthz", head.address());
    let output = run(Command::new("curl").args(["-sS", "--max-time", "30", "--insecure", &url]));
    assert_eq!(
        output.status.code(),
        Some(35),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
