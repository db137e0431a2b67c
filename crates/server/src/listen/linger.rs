use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// How long a peer that was told its last may go on talking.
const TIME: Duration = Duration::from_secs(2);

/// Reads on, and throws away, until the peer closes or its time is up.
///
/// Closing a socket that holds unread bytes resets the connection, and a reset may destroy the answer before the peer
/// has read it (RFC 9112 §9.6).
pub(super) async fn linger(mut stream: impl AsyncRead + Unpin) {
    let mut ignored = vec![0; 16 * 1024];
    let end = async { while matches!(stream.read(&mut ignored).await, Ok(1..)) {} };
    // Out of time is as good an end as any.
    let _ = timeout(TIME, end).await;
}
