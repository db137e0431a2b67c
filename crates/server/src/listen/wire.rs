use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::meter::Meter;

/// What has passed through a connection. [`WatchedStream`] writes it, and whoever judges the connection reads it; both
/// on the connection's own task, so its lock is never contended.
#[derive(Default)]
pub(super) struct Wire {
    /// Bytes that came.
    pub(super) received: u64,
    /// Bytes that the stream accepted for sending.
    pub(super) accepted: u64,
    /// Whether the last read found nothing yet.
    pub(super) starved: bool,
    /// Whether the last write, flush or shutdown has to wait for the peer.
    pub(super) blocked: bool,
    /// Whether the peer has said its last.
    pub(super) ended: bool,
    /// Requests whose header was complete.
    pub(super) requests: u64,
    /// Whether a byte has come since the last of them.
    pub(super) head_begun: bool,
    /// Whether the last of them has a body.
    pub(super) body_begun: bool,
    /// Finds the responses among the bytes sent. On HTTP/2 it is told of none.
    pub(super) meter: Meter,
}

impl Wire {
    /// The header of a request is complete, and a body follows or not.
    pub(super) fn asked(&mut self, body: bool) {
        self.requests += 1;
        self.head_begun = false;
        self.body_begun = body;
        self.meter.asked();
    }
}

/// A [`Wire`] in two hands.
#[derive(Clone, Default)]
pub(super) struct SharedWire(Arc<Mutex<Wire>>);

impl SharedWire {
    pub(super) fn lock(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports the responses that have been written whole.
    pub(super) fn report_written(&self) {
        loop {
            let Some(mut receipt) = self.lock().meter.take_written() else {
                return;
            };
            receipt.complete();
        }
    }
}

/// A stream that keeps a [`Wire`] of what passes.
pub(super) struct WatchedStream<T> {
    stream: T,
    wire: SharedWire,
    /// Whether the stream may hold accepted bytes back until it is flushed, as TLS does.
    buffers: bool,
}

impl<T> WatchedStream<T> {
    pub(super) fn new(stream: T, wire: SharedWire, buffers: bool) -> Self {
        Self {
            stream,
            wire,
            buffers,
        }
    }

    fn wrote(
        &self,
        written: Poll<io::Result<usize>>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.wire.lock();
        wire.blocked = written.is_pending();
        let count = *ready!(&written).as_ref().unwrap_or(&0);
        wire.accepted += count as u64;
        let mut left = count;
        for slice in slices {
            let taken = left.min(slice.len());
            wire.meter.accepted(&slice[..taken]);
            left -= taken;
            if left == 0 {
                break;
            }
        }
        drop(wire);
        if !self.buffers {
            self.wire.report_written();
        }
        written
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WatchedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let mut wire = self.wire.lock();
        wire.starved = read.is_pending();
        if let Poll::Ready(Ok(())) = read {
            let count = buffer.filled().len() - before;
            wire.received += count as u64;
            wire.ended |= count == 0;
            wire.head_begun |= count > 0;
        }
        drop(wire);
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WatchedStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(written, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.buffers {
            return Pin::new(&mut self.stream).poll_flush(cx);
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.wire.lock().blocked = flushed.is_pending();
        if let Poll::Ready(Ok(())) = flushed {
            self.wire.report_written();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.wire.lock().blocked = shut.is_pending();
        shut
    }
}
