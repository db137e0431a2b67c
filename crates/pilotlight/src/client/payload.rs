//! [`Payload`]: what is sent with a request.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead as _, ReadBuf};

/// How much of a file is read at once.
const CHUNK: usize = 128 << 10;

/// What is to be sent. It can be sent again.
pub(crate) enum Payload {
    /// Nothing.
    None,
    /// A JSON document.
    Json(Bytes),
    /// Bytes as they are.
    Bytes(Bytes),
    /// A local file, however large.
    File(PathBuf),
}

impl Payload {
    /// The media type to declare.
    pub(super) fn media_type(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Json(_) => Some("application/json"),
            Self::Bytes(_) | Self::File(_) => Some("application/octet-stream"),
        }
    }

    /// The body of one request.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) async fn body(&self) -> io::Result<Sending> {
        Ok(match self {
            Self::None => Sending::Bytes(Bytes::new()),
            Self::Json(bytes) | Self::Bytes(bytes) => Sending::Bytes(bytes.clone()),
            Self::File(path) => {
                let file = File::open(path).await?;
                let metadata = file.metadata().await?;
                if !metadata.is_file() {
                    return Err(io::Error::other("it is no regular file"));
                }
                let left = metadata.len();
                Sending::File { file, left }
            }
        })
    }
}

/// A payload on its way.
pub(super) enum Sending {
    /// All of it, or nothing any more.
    Bytes(Bytes),
    /// As many bytes of a file are still to be sent.
    File { file: File, left: u64 },
}

impl Sending {
    /// How many bytes are still to be sent.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { left, .. } => *left,
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.len() == 0 {
            return Poll::Ready(None);
        }
        let (file, left) = match this {
            Self::Bytes(bytes) => return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::File { file, left } => (file, left),
        };
        // Its length was declared: what the file has grown by since is not sent.
        let mut chunk = vec![0; CHUNK.min(usize::try_from(*left).unwrap_or(CHUNK))];
        let mut buffer = ReadBuf::new(&mut chunk);
        let read = ready!(Pin::new(file).poll_read(context, &mut buffer));
        let length = buffer.filled().len();
        Poll::Ready(Some(match read {
            Err(error) => Err(error),
            Ok(()) if length == 0 => Err(io::Error::other(
                "the file became shorter while it was sent",
            )),
            Ok(()) => {
                *left -= length as u64;
                chunk.truncate(length);
                Ok(Frame::data(chunk.into()))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}
