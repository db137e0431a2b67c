//! What a server did under a load.

use std::{fmt, time::Duration};

/// What a server did under a load.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Requests a second.
    pub rate: f64,
    /// The time that half of the requests took at most, as the client saw it.
    pub p50: Duration,
    /// The time that 99 of 100 took at most.
    pub p99: Duration,
    /// Microseconds of the server's CPU for each request, while the load lasted.
    pub cpu_micros: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rate,
            p50,
            p99,
            cpu_micros,
        } = self;
        write!(
            f,
            "{rate:>6.0} requests/s, p50 {p50:>8.2?}, p99 {p99:>8.2?}, CPU {cpu_micros:.1} µs a request"
        )
    }
}
