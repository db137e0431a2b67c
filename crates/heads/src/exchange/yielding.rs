//! [`Yielding`]: a stream whose threads let others go first.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    thread,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) fn y(what: &str) { static Y: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| std::env::var("YIELDS").unwrap_or_default()); if Y.contains(what) { thread::yield_now(); } }
/// A stream of which each piece, once it was read or written, is followed by a chance for other threads.
pub(super) struct Yielding<S>(pub(super) S);

impl<S: AsyncRead + Unpin> AsyncRead for Yielding<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.0).poll_read(context, buffer);
        if read.is_ready() {
            y("r");
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Yielding<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(context, bytes);
        if written.is_ready() {
            y("w");
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write_vectored(context, slices);
        if written.is_ready() {
            y("w");
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
