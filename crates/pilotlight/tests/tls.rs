//! The TLS listener.
#![allow(clippy::unwrap_used)]

mod head;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use head::{DEADLINE, Head, curl, get_request, run};

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
    stream
        .write_all(get_request("/healthz", "").as_bytes())
        .unwrap();
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
