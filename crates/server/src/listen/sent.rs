use http::StatusCode;

/// What became of one response's body.
///
/// On plain connections the count is what the kernel accepted, to the byte. Under TLS, what had not left the TLS
/// buffer when a connection broke counts as sent (at most 64 KiB), but a body is complete only once the kernel has
/// it all. On HTTP/2, where streams share the connection, bytes count as they are handed to flow control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of the body (no header) that were accepted for sending.
    pub bytes: u64,
    /// Whether that is all of them. True at once for a response that has no body.
    pub complete: bool,
}

/// Takes the fate of a response. It runs on the connection's task, so it must not block.
pub type OnSent = Box<dyn FnOnce(Sent) + Send>;

/// Counts one response's body, and reports exactly once: cut off, unless it was said to be complete.
#[derive(Default)]
pub(super) struct Receipt {
    /// Bytes of the body so far.
    pub(super) bytes: u64,
    on_sent: Option<OnSent>,
}

impl Receipt {
    pub(super) fn new(on_sent: Option<OnSent>) -> Self {
        Self { bytes: 0, on_sent }
    }

    pub(super) fn complete(&mut self) {
        self.report(true);
    }

    fn report(&mut self, complete: bool) {
        if let Some(on_sent) = self.on_sent.take() {
            on_sent(Sent {
                bytes: self.bytes,
                complete,
            });
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.report(false);
    }
}

/// Whether a response has a body at all (RFC 9110 §6.4.1); `to_head`: its request's method was HEAD.
pub(super) fn may_have_body(to_head: bool, status: StatusCode) -> bool {
    let never = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !to_head && !never
}
