//! HTTP/2, by a real client of it.

use http_body_util::Empty;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::tls::connect;
use super::*;

type Requests = SendRequest<Empty<Bytes>>;

/// Opens a connection; its end is told by the handle.
async fn open(head: &Head) -> (Requests, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(connect(head, "h2").await);
    let (requests, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    (requests, tokio::spawn(connection))
}

async fn request(requests: &Requests, method: &str, path: &str) -> Response<Incoming> {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .body(Empty::new())
        .unwrap();
    requests.clone().send_request(request).await.unwrap()
}

#[test]
fn bodies_are_sent_and_metered() {
    let head = Head::start(PATIENT);
    head.runtime.block_on(async {
        let (requests, _connection) = open(&head).await;
        for (path, length) in [("/a", 3), ("/big", BIG)] {
            let body = request(&requests, "GET", path).await.into_body();
            assert_eq!(body.collect().await.unwrap().to_bytes().len(), length);
            let sent = Sent {
                bytes: length as u64,
                complete: true,
            };
            assert_eq!(head.report(), (path.to_owned(), sent));
        }
    });
}

#[test]
fn responses_without_a_body_are_complete() {
    let head = Head::start(PATIENT);
    head.runtime.block_on(async {
        let (requests, _connection) = open(&head).await;
        for (method, path) in [("HEAD", "/a"), ("GET", "/not-modified")] {
            let response = request(&requests, method, path).await;
            let body = response.into_body().collect().await.unwrap();
            assert!(body.to_bytes().is_empty());
            let sent = Sent {
                bytes: 0,
                complete: true,
            };
            assert_eq!(head.report(), (path.to_owned(), sent));
        }
    });
}

#[test]
fn streams_do_not_wait_for_each_other() {
    let head = Head::start(PATIENT);
    head.runtime.block_on(async {
        let (requests, _connection) = open(&head).await;
        let waiting = tokio::spawn({
            let requests = requests.clone();
            async move { request(&requests, "GET", "/wait").await.status() }
        });
        let other = request(&requests, "GET", "/a").await;
        assert_eq!(other.status(), 200);
        head.release.add_permits(1);
        assert_eq!(waiting.await.unwrap(), 200);
    });
}

#[test]
fn a_stream_that_is_cut_off_is_not_complete() {
    let head = Head::start(PATIENT);
    head.runtime.block_on(async {
        let (requests, _connection) = open(&head).await;
        let mut body = request(&requests, "GET", "/big").await.into_body();
        body.frame().await.unwrap().unwrap();
        // Resets this stream; the connection goes on.
        drop(body);
        assert_eq!(request(&requests, "GET", "/a").await.status(), 200);
    });
    let (path, sent) = [head.report(), head.report()]
        .into_iter()
        .find(|(path, _)| path == "/big")
        .unwrap();
    assert_eq!((path.as_str(), sent.complete), ("/big", false));
    assert!((1..BIG as u64).contains(&sent.bytes), "{sent:?}");
}

#[test]
fn a_client_that_makes_no_room_is_given_up() {
    let head = Head::start(Limits {
        idle_time: SHORT,
        ..PATIENT
    });
    head.runtime.block_on(async {
        let (requests, connection) = open(&head).await;
        let _unread = request(&requests, "GET", "/big").await;
        let (path, sent) = head.report();
        assert_eq!((path.as_str(), sent.complete), ("/big", false));
        let _ = connection.await.unwrap();
    });
}

#[test]
fn an_idle_connection_is_closed() {
    let head = Head::start(Limits {
        idle_time: SHORT,
        ..PATIENT
    });
    head.runtime.block_on(async {
        let (requests, connection) = open(&head).await;
        request(&requests, "GET", "/a").await;
        let ended = tokio::time::timeout(GUARD, connection).await;
        assert!(ended.is_ok(), "the connection is still open");
    });
}

#[test]
fn a_running_stream_is_finished_at_the_end() {
    let head = Head::start(PATIENT);
    head.runtime.block_on(async {
        let (requests, _connection) = open(&head).await;
        let waiting = tokio::spawn(async move {
            let response = request(&requests, "GET", "/wait").await;
            response.into_body().collect().await.unwrap().to_bytes()
        });
        tokio::task::block_in_place(|| head.request_is_waiting());
        head.shutdown.cancel();
        head.release.add_permits(1);
        assert_eq!(waiting.await.unwrap(), "waited\n");
    });
    head.ended();
}
