//! Tries at the cluster database password, of whoever wants to join.

use std::time::Instant;

use http::StatusCode;

use super::source_address;
use crate::{Error, audit::Event, call::Call};

/// Tries a password, unless its address has tried too often; whatever becomes of it is in the audit log. What ends with
/// [`Error::Forbidden`] was wrong, and counts.
pub(crate) async fn attempt<T>(
    call: &Call,
    trying: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let from = source_address(call);
    let outcome = match call.head.throttle.take(from, Instant::now()) {
        Ok(()) => {
            let outcome = trying.await;
            if !matches!(outcome, Err(Error::Forbidden(_))) {
                call.head.throttle.forgive(from);
            }
            outcome
        }
        Err(refused) => Err(refused),
    };
    let status = outcome
        .as_ref()
        .map_or_else(Error::status, |_| StatusCode::OK);
    let event = Event {
        who: "nobody",
        from: &call.from(),
        action: &format!("{} {}", call.method(), call.path),
        status: status.as_u16(),
    };
    call.head.audit.record(event).await;
    outcome
}
