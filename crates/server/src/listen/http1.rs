use std::convert::Infallible;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::linger::linger;
use super::patience::{self, Wait};
use super::sent::may_have_body;
use super::wire::{SharedWire, WatchedStream, Wire};
use super::{Answer, Connection, Server, Service};

/// Bytes of a request's line and headers. More is answered with 431; within it, a target of 64 KiB with 414.
const MAX_HEAD: usize = 96 * 1024;

/// Bytes of a message that may wait in memory, each way.
const MAX_BUFFER: usize = 256 * 1024;

/// Serves one HTTP/1 connection to its end. `buffers`: whether the stream may hold bytes back until it is flushed.
pub(super) async fn serve<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    buffers: bool,
    connection: Arc<Connection>,
    server: &Arc<Server<S>>,
) {
    let wire = SharedWire::default();
    let stream = WatchedStream::new(stream, wire.clone(), buffers);
    let session = Arc::new(Session {
        server: Arc::clone(server),
        connection,
        wire: wire.clone(),
    });
    let respond = service_fn(move |request| {
        let session = Arc::clone(&session);
        async move { session.respond(request).await }
    });
    let mut http = http1::Builder::new()
        // Some firmware compares header names byte by byte.
        .title_case_headers(true)
        // A client may close its side after the request and still wait for the answer.
        .half_close(true)
        // The library's timer cannot tell an idle connection from a slow header; `patience` can.
        .header_read_timeout(None)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), respond);
    let end = patience::run(
        &mut http,
        http1::Connection::graceful_shutdown,
        || wire.lock().waiting(),
        &server.limits,
        &server.shutdown,
    )
    .await;
    let Some(end) = end else { return };
    if end.is_ok() {
        wire.lock().meter.closed();
        wire.report_written();
    }
    // Only such a peer may still be talking, not knowing that nobody listens.
    let cut_short = end.is_err_and(|error| error.is_parse()) || wire.lock().body_begun;
    if cut_short && !wire.lock().ended {
        linger(http.into_parts().io.into_inner()).await;
    }
}

impl Wire {
    /// What an HTTP/1 connection waits for.
    fn waiting(&self) -> Wait {
        if self.blocked {
            Wait::Reader(self.accepted)
        } else if !self.meter.is_idle() {
            // While it answers, the connection reads nothing but the request's body.
            match self.starved {
                true => Wait::Body(self.received),
                false => Wait::Service,
            }
        } else if self.received == 0 {
            Wait::FirstByte
        } else if self.head_begun {
            Wait::Head(self.requests)
        } else {
            Wait::Request(self.requests)
        }
    }
}

/// One connection's way to the service.
struct Session<S> {
    server: Arc<Server<S>>,
    connection: Arc<Connection>,
    wire: SharedWire,
}

impl<S: Service> Session<S> {
    async fn respond(&self, request: Request<Incoming>) -> Result<Response<S::Body>, Infallible> {
        let to_head = request.method() == Method::HEAD;
        self.wire.lock().asked(!request.body().is_end_stream());
        let Answer {
            mut response,
            on_sent,
        } = self.server.service.call(request, &self.connection).await;
        let length = if may_have_body(to_head, response.status()) {
            response.body().size_hint().exact()
        } else {
            Some(0)
        };
        if length.is_none() {
            // Where such a body ends could not be told from outside, nor where the next response begins.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        self.wire.lock().meter.answered(length, on_sent);
        Ok(response)
    }
}
