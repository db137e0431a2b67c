use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::patience::{self, Wait};
use super::sent::{Receipt, may_have_body};
use super::wire::{SharedWire, WatchedStream};
use super::{Answer, Connection, Server, Service};

/// Requests that one connection may have running.
const MAX_STREAMS: u32 = 128;

/// Bytes of a request's headers, names and values, as HTTP/2 counts them.
const MAX_HEAD: u32 = 64 * 1024;

/// Bytes handed to flow control at a time: a default frame. A body counts as sent in such steps.
const STEP: usize = 16 * 1024;

/// Serves one HTTP/2 connection to its end.
pub(super) async fn serve<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: Arc<Connection>,
    server: &Arc<Server<S>>,
) {
    let wire = SharedWire::default();
    let stream = WatchedStream::new(stream, wire.clone(), true);
    let streams = Streams::default();
    let session = Arc::new(Session {
        server: Arc::clone(server),
        connection,
        streams: streams.clone(),
    });
    let respond = service_fn(move |request| {
        let session = Arc::clone(&session);
        async move { session.respond(request).await }
    });
    let ended = CancellationToken::new();
    let executor = StreamTasks {
        tasks: server.tasks.clone(),
        ended: ended.clone(),
    };
    let _streams_end_with_us = ended.drop_guard();
    let mut http = http2::Builder::new(executor)
        .timer(TokioTimer::new())
        // A peer that has lost power answers no ping.
        .keep_alive_interval(server.limits.idle_time)
        .keep_alive_timeout(server.limits.idle_time)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), respond);
    patience::run(
        &mut http,
        http2::Connection::graceful_shutdown,
        || {
            let wire = wire.lock();
            match wire.blocked {
                true => Wait::Reader(wire.accepted),
                false => streams.count().waiting(),
            }
        },
        &server.limits,
        &server.shutdown,
    )
    .await;
}

/// Runs the tasks of one connection's streams, which end with it.
#[derive(Clone)]
struct StreamTasks {
    tasks: TaskTracker,
    ended: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for StreamTasks {
    fn execute(&self, stream: F) {
        let stream = self.ended.clone().run_until_cancelled_owned(stream);
        self.tasks.spawn(stream);
    }
}

/// The streams of one connection.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<Count>>);

#[derive(Default)]
struct Count {
    /// Requests so far.
    requests: u64,
    /// Requests whose responses have not been handed over whole.
    open: usize,
    /// Those of them that wait for us rather than for the peer to take more.
    working: usize,
    /// Steps of all bodies that the peer has made room for.
    steps: u64,
}

impl Streams {
    fn count(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> Stream {
        let mut count = self.count();
        count.requests += 1;
        count.open += 1;
        count.working += 1;
        Stream {
            streams: self.clone(),
            working: true,
        }
    }
}

impl Count {
    /// What the connection waits for, unless its socket is full.
    fn waiting(&self) -> Wait {
        if self.working > 0 {
            Wait::Service
        } else if self.open > 0 {
            Wait::Reader(self.steps)
        } else if self.requests == 0 {
            Wait::Head(0)
        } else {
            Wait::Request(self.requests)
        }
    }
}

/// One of the [`Streams`], from its request to the end of its response.
struct Stream {
    streams: Streams,
    working: bool,
}

impl Stream {
    fn is_working(&mut self, working: bool) {
        if self.working != working {
            self.working = working;
            let mut count = self.streams.count();
            match working {
                true => count.working += 1,
                false => count.working -= 1,
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.is_working(false);
        self.streams.count().open -= 1;
    }
}

/// One connection's way to the service.
struct Session<S> {
    server: Arc<Server<S>>,
    connection: Arc<Connection>,
    streams: Streams,
}

impl<S: Service> Session<S> {
    async fn respond(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<SteppedBody<S::Body>>, Infallible> {
        let to_head = request.method() == Method::HEAD;
        let stream = self.streams.begin();
        let Answer { response, on_sent } =
            self.server.service.call(request, &self.connection).await;
        let bodiless = !may_have_body(to_head, response.status());
        Ok(response.map(|body| SteppedBody {
            ended: bodiless || body.is_end_stream(),
            body: Box::pin(body),
            step: Bytes::new(),
            receipt: Receipt::new(on_sent),
            stream,
        }))
    }
}

/// A body that is handed over in small steps, and counted by them: HTTP/2 asks for the next when the peer has made
/// room, and where in the connection's bytes they end up cannot be told from outside.
struct SteppedBody<B> {
    body: Pin<Box<B>>,
    /// What is left of the frame at hand.
    step: Bytes,
    /// Whether nothing follows the frame at hand.
    ended: bool,
    receipt: Receipt,
    stream: Stream,
}

impl<B: Body<Data = Bytes>> Body for SteppedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.step.is_empty() && !this.ended {
            let Poll::Ready(frame) = this.body.as_mut().poll_frame(cx) else {
                this.stream.is_working(true);
                return Poll::Pending;
            };
            this.ended = frame.is_none() || this.body.is_end_stream();
            match frame.map(|frame| frame.map(Frame::into_data)) {
                None => (),
                Some(Ok(Ok(data))) => this.step = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => {
                    this.ended = false;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        this.stream.is_working(false);
        this.stream.streams.count().steps += 1;
        if this.step.is_empty() && this.ended {
            return Poll::Ready(None);
        }
        let step = this.step.split_to(this.step.len().min(STEP));
        this.receipt.bytes += step.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(step))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.step.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.step.len() as u64;
        if self.ended {
            return SizeHint::with_exact(left);
        }
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + left);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + left);
        }
        hint
    }
}

impl<B> Drop for SteppedBody<B> {
    fn drop(&mut self) {
        if self.ended && self.step.is_empty() {
            self.receipt.complete();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use futures_util::{FutureExt, StreamExt, stream};
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::super::Sent;
    use super::*;

    type Reported = Receiver<Sent>;

    fn stepped<B: Body<Data = Bytes>>(body: B, streams: &Streams) -> (SteppedBody<B>, Reported) {
        let (report, reported) = channel();
        let on_sent = Box::new(move |sent| report.send(sent).unwrap());
        let body = SteppedBody {
            ended: body.is_end_stream(),
            body: Box::pin(body),
            step: Bytes::new(),
            receipt: Receipt::new(Some(on_sent)),
            stream: streams.begin(),
        };
        (body, reported)
    }

    #[tokio::test]
    async fn a_step_that_the_peer_made_room_for_is_progress() {
        let streams = Streams::default();
        assert_eq!(streams.count().waiting(), Wait::Head(0));
        let (mut body, reported) = stepped(Full::new(Bytes::from(vec![0; STEP + 1])), &streams);
        assert_eq!(streams.count().waiting(), Wait::Service);
        for (step, length, left) in [(1, STEP, 1), (2, 1, 0)] {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap().len(), length);
            assert_eq!(body.size_hint().exact(), Some(left));
            assert_eq!(streams.count().waiting(), Wait::Reader(step));
        }
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(streams.count().waiting(), Wait::Request(1));
        let sent = Sent {
            bytes: STEP as u64 + 1,
            complete: true,
        };
        assert_eq!(reported.try_recv(), Ok(sent));
    }

    #[tokio::test]
    async fn a_body_that_is_not_ready_is_our_own_delay() {
        let streams = Streams::default();
        let first = stream::once(async { Ok::<_, Infallible>(Frame::data(Bytes::from("ab"))) });
        let body = StreamBody::new(Box::pin(first.chain(stream::pending())));
        let (mut body, reported) = stepped(body, &streams);
        body.frame().await.unwrap().unwrap();
        assert_eq!(streams.count().waiting(), Wait::Reader(1));
        assert!(body.frame().now_or_never().is_none());
        assert_eq!(streams.count().waiting(), Wait::Service);
        drop(body);
        let sent = Sent {
            bytes: 2,
            complete: false,
        };
        assert_eq!(reported.try_recv(), Ok(sent));
    }
}
