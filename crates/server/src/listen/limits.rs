use std::time::Duration;

/// How much a connection, or all of them, may ask of the head (`[limits]` of the configuration).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From accept to the first byte of the first request.
    pub first_byte_time: Duration,
    /// From the first byte of a request to the end of its header; a TLS handshake gets as long.
    pub header_time: Duration,
    /// Between two requests; and, within one, without a byte taken by or coming from the peer.
    pub idle_time: Duration,
    /// For responses that run when the head is told to stop.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte_time: Duration::from_secs(10),
            header_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            shutdown_grace: Duration::from_secs(30),
        }
    }
}
