//! `GET /healthz` and `GET /readyz`: what load balancers and monitors ask.

use std::sync::Arc;

use http::{Response, StatusCode};

use crate::{
    Error,
    call::Call,
    reply::{self, Body},
};

/// `GET /healthz`: this head can serve boot files.
pub(crate) async fn healthz(call: &mut Call) -> Result<Response<Body>, Error> {
    let files = Arc::clone(&call.head.boot_files);
    // What a boot request does first: resolve a name in the kickstarts directory.
    let readable =
        tokio::task::spawn_blocking(move || std::fs::read_dir(files.root().path()).map(drop))
            .await?;
    let refuse =
        |error| Error::Unavailable(format!("the kickstarts directory cannot be read: {error}"));
    readable.map_err(refuse)?;
    Ok(reply::text(StatusCode::OK, "ok"))
}

/// `GET /readyz`: changes can be made, too.
pub(crate) async fn readyz(call: &mut Call) -> Result<Response<Body>, Error> {
    healthz(call).await?;
    if !call.head.membership.is_settled() {
        return Err(Error::Unavailable(
            "this head is becoming one of its cluster; until then it serves what it has".into(),
        ));
    }
    call.head
        .live
        .store()
        .writable()
        .await
        .map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok(reply::text(StatusCode::OK, "ready"))
}
