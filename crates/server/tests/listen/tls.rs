//! Encrypted connections.

use std::process::Command;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// An encrypted connection that offers `protocol`.
pub(crate) async fn connect(head: &Head, protocol: &str) -> TlsStream<tokio::net::TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(head.certificate.clone()))
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = tokio::net::TcpStream::connect(head.https).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    assert_eq!(
        stream.get_ref().1.alpn_protocol(),
        Some(protocol.as_bytes())
    );
    stream
}

#[test]
fn http_1_is_spoken_and_metered() {
    let head = Head::start(PATIENT);
    let answer = head.runtime.block_on(async {
        let mut stream = connect(&head, "http/1.1").await;
        stream
            .write_all(b"GET /a HTTP/1.1\r\n\r\nGET /peer HTTP/1.0\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    });
    assert!(answer.contains("\r\nContent-Length: 3\r\n"), "{answer}");
    assert!(
        answer.contains("\r\n\r\n/a\nHTTP/1.0 200 OK\r\n"),
        "{answer}"
    );
    assert!(answer.contains("tls: true"), "{answer}");
    assert_eq!(
        head.report(),
        (
            "/a".to_owned(),
            Sent {
                bytes: 3,
                complete: true
            }
        )
    );
}

#[test]
fn a_body_that_is_cut_off_is_not_complete() {
    let head = Head::start(PATIENT);
    head.runtime.block_on(async {
        let mut stream = connect(&head, "http/1.1").await;
        stream
            .write_all(b"GET /big HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        stream.read_exact(&mut vec![0; 1 << 20]).await.unwrap();
    });
    let (path, sent) = head.report();
    assert_eq!((path.as_str(), sent.complete), ("/big", false));
    assert!((1 << 19..BIG as u64).contains(&sent.bytes), "{sent:?}");
}

#[test]
fn a_handshake_that_never_comes_is_closed() {
    let head = Head::start(Limits {
        header_time: SHORT,
        ..PATIENT
    });
    let mut client = Client(TcpStream::connect(head.https).unwrap());
    assert_eq!(client.until_closed(), "");
    eventually("the place is given back", || head.connections.open() == 0);
}

#[test]
fn plain_http_is_closed() {
    let head = Head::start(PATIENT);
    let mut client = Client(TcpStream::connect(head.https).unwrap());
    client.get("/a");
    assert!(!client.until_closed().contains("HTTP"));
}

#[test]
fn curl_speaks_both_versions() {
    let head = Head::start(PATIENT);
    let url = format!("https://{}/a", head.https);
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let curl = Command::new("curl")
            .args([
                option,
                "--insecure",
                "--silent",
                "--show-error",
                "--max-time",
                "10",
            ])
            .args(["--write-out", "%{http_version}", &url])
            .output();
        let Ok(curl) = curl else {
            eprintln!("skipped: no curl here");
            return;
        };
        let answer = String::from_utf8(curl.stdout).unwrap();
        assert_eq!(answer, format!("/a\n{version}"), "{:?}", curl.stderr);
    }
}
