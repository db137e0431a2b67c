//! The accept loop, seen from the other end of real sockets.
//!
//! A test that expects a connection to be closed waits for that and nothing else; [`GUARD`] is when it gives up.

#![allow(clippy::unwrap_used)]

mod admission;
mod framing;
mod http2;
mod sent;
mod shutdown;
mod timeouts;
mod tls;
mod unix;

use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use server::listen::{
    Answer, Connection, Connections, Error, Limits, Listeners, Sent, Service, Tls, serve,
};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// When a test gives up.
const GUARD: Duration = Duration::from_secs(10);

/// Limits that no test reaches by itself.
const PATIENT: Limits = Limits {
    first_byte_time: Duration::from_secs(120),
    header_time: Duration::from_secs(120),
    idle_time: Duration::from_secs(120),
    shutdown_grace: Duration::from_secs(120),
};

/// A limit that a test waits for.
const SHORT: Duration = Duration::from_millis(200);

/// Larger than any socket buffers.
const BIG: usize = 64 << 20;

/// A head on loopback: a plain port, a TLS port and a Unix socket.
struct Head {
    runtime: Runtime,
    http: SocketAddr,
    https: SocketAddr,
    socket: PathBuf,
    certificate: Vec<u8>,
    connections: Arc<Connections>,
    /// What became of each response's body, by path.
    reports: Mutex<Receiver<(String, Sent)>>,
    /// Lets requests for `/wait` be answered.
    release: Arc<Semaphore>,
    /// Says that a request for `/wait` has come.
    waiting: Mutex<Receiver<()>>,
    shutdown: CancellationToken,
    served: JoinHandle<Result<(), Error>>,
    _directory: tempfile::TempDir,
}

impl Head {
    fn start(limits: Limits) -> Self {
        Self::start_with(limits, Connections::new(1000, 1000))
    }

    fn start_with(limits: Limits, connections: Arc<Connections>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(at("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let mut listeners = Listeners::default();
        listeners.http("127.0.0.1:0").unwrap();
        let tls = Tls::load(&at("cert.pem"), &at("key.pem")).unwrap();
        listeners.https("127.0.0.1:0", &tls).unwrap();
        let socket = at("api.sock");
        listeners.unix(&socket).unwrap();
        let addresses: Vec<_> = listeners.addresses().collect();

        let (report, reports) = channel();
        let (wait, waiting) = channel();
        let release = Arc::new(Semaphore::new(0));
        let service = Sample {
            report,
            wait,
            release: Arc::clone(&release),
        };
        let shutdown = CancellationToken::new();
        let runtime = Runtime::new().unwrap();
        let served = runtime.spawn(serve(
            listeners,
            service,
            limits,
            Arc::clone(&connections),
            shutdown.clone(),
        ));
        Self {
            runtime,
            http: addresses[0],
            https: addresses[1],
            socket,
            certificate: made.cert.der().to_vec(),
            connections,
            reports: Mutex::new(reports),
            release,
            waiting: Mutex::new(waiting),
            shutdown,
            served,
            _directory: directory,
        }
    }

    fn connect(&self) -> Client {
        Client(TcpStream::connect(self.http).unwrap())
    }

    /// The next report.
    fn report(&self) -> (String, Sent) {
        self.reports.lock().unwrap().recv_timeout(GUARD).unwrap()
    }

    /// Returns when a request for `/wait` is being answered.
    fn request_is_waiting(&self) {
        self.waiting.lock().unwrap().recv_timeout(GUARD).unwrap();
    }

    /// Waits for the end of [`serve`].
    fn ended(self) {
        let Self {
            runtime, served, ..
        } = self;
        let ended = runtime.block_on(async { tokio::time::timeout(GUARD, served).await });
        ended.expect("serve has not returned").unwrap().unwrap();
    }
}

/// What the head under test serves.
struct Sample {
    report: Sender<(String, Sent)>,
    wait: Sender<()>,
    release: Arc<Semaphore>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl Service for Sample {
    type Body = Body;

    async fn call(
        &self,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> Answer<Self::Body> {
        let path = request.uri().path().to_owned();
        let mut response = match path.as_str() {
            "/big" => text(vec![b'x'; BIG]),
            "/wait" => {
                self.wait.send(()).unwrap();
                self.release.acquire().await.unwrap().forget();
                text("waited\n")
            }
            "/length" => match request.into_body().collect().await {
                Ok(body) => text(format!("{}\n", body.to_bytes().len())),
                Err(error) => text(format!("{error}\n")),
            },
            "/peer" => text(format!("{connection:?}\n")),
            "/unknown-length" => {
                let frames = ["of ", "unknown ", "length\n"]
                    .map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes()))));
                Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
            }
            "/not-modified" => {
                let mut response = text("");
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response
            }
            path => text(format!("{path}\n")),
        };
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        let report = self.report.clone();
        // Nobody may be listening any more when a test has seen enough.
        let on_sent = move |sent| drop(report.send((path, sent)));
        Answer {
            response,
            on_sent: Some(Box::new(on_sent)),
        }
    }
}

fn text(text: impl Into<Bytes>) -> Response<Body> {
    Response::new(Full::new(text.into()).boxed_unsync())
}

/// The other end of a raw connection.
struct Client<T = TcpStream>(T);

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: head\r\n\r\n"));
    }

    fn half_close(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// One response whose length is given: its header and its body.
    fn response(&mut self) -> (String, String) {
        self.0.set_read_timeout(Some(GUARD)).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// Everything up to the end of the connection, which must come.
    fn until_closed(&mut self) -> String {
        self.0.set_read_timeout(Some(GUARD)).unwrap();
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => (),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => (),
            Err(error) => panic!("the connection is still open: {error}"),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asserts that the connection is open, by using it.
    fn is_open(&mut self) {
        self.get("/open");
        assert_eq!(self.response().1, "/open\n");
    }
}

/// Waits until `condition` holds.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < GUARD, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
