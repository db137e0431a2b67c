//! The body of a reply.

use std::io;
use std::mem;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use content::FileBody;
use http_body::{Frame, SizeHint};

/// The bytes of a reply. Its length is always known, so nothing is ever sent chunked.
#[derive(Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes in memory, sent as one frame.
    Full(Bytes),
    /// Bytes on disk, read as they are sent.
    File(FileBody),
}

impl Body {
    /// How many bytes there are to send.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Full(bytes) => bytes.len() as u64,
            Self::File(file) => file.len(),
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The part of the bytes that lies in `range`, without a copy.
    pub(super) fn slice(self, range: Range<u64>) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Full(bytes) => {
                let position =
                    |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
                let (start, end) = (position(range.start), position(range.end));
                Self::Full(bytes.slice(start.min(end)..end))
            }
            Self::File(file) => Self::File(file.slice(range)),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Full(bytes.into())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    /// A file that cannot be read, or changed since its length was promised.
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let data = match self.get_mut() {
            Self::File(file) => ready!(file.poll_chunk(context)),
            Self::Full(bytes) if !bytes.is_empty() => Some(Ok(mem::take(bytes))),
            Self::Full(_) | Self::Empty => None,
        };
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    fn frames(mut body: Body) -> Vec<Bytes> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut frames = Vec::new();
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
            frames.extend(frame.into_data());
        }
        assert!(body.is_end_stream());
        frames
    }

    #[test]
    fn the_size_is_exact_and_the_bytes_are_one_frame() {
        let body = Body::from("abc");
        assert_eq!(body.size_hint().exact(), Some(3));
        assert!(!body.is_end_stream());
        assert_eq!(frames(body), ["abc"]);
    }

    #[test]
    fn nothing_is_no_frame() {
        for body in [Body::Empty, Body::from("")] {
            assert_eq!(body.size_hint().exact(), Some(0));
            assert!(body.is_end_stream());
            assert_eq!(frames(body), [""; 0]);
        }
    }

    #[test]
    fn a_slice_shares_the_bytes_and_stays_inside() {
        let bytes = Bytes::from_static(b"0123456789");
        let slice = |range| match Body::from(bytes.clone()).slice(range) {
            Body::Full(slice) => slice,
            Body::Empty | Body::File(_) => Bytes::new(),
        };
        assert_eq!(slice(2..5), "234");
        assert_eq!(slice(2..5).as_ptr(), bytes[2..].as_ptr());
        assert_eq!(slice(8..u64::MAX), "89");
        assert_eq!(slice(u64::MAX - 1..u64::MAX), "");
    }
}
