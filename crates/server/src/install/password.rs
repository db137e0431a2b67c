//! `POST /install/password`: whether this is the cluster database password, which lets a server join.

use http::Response;
use serde::Deserialize;

use crate::{Error, auth::attempt, call::Call, envelope, reply::Body};

/// The longest body that is read, in bytes: no password is longer.
pub(super) const LONGEST: u64 = 8 << 10;

/// What is tried.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Try {
    /// The cluster database password.
    admin_pass: String,
}

/// `POST /install/password`
pub(crate) async fn post(call: &mut Call) -> Result<Response<Body>, Error> {
    let body = call.json_within(LONGEST).await;
    // The reason that the parser gives repeats what it read.
    let Try { admin_pass } = body.map_err(|error| match error {
        Error::Malformed(_) => Error::Malformed(r#"the body is not {"admin_pass": "…"}"#.into()),
        error => error,
    })?;
    attempt(call, async {
        let hash = call.state.cluster().database_password.clone();
        match call.head.passwords.verify(admin_pass, Some(hash)).await? {
            true => Ok(()),
            false => Err(wrong()),
        }
    })
    .await?;
    Ok(envelope::done())
}

/// The refusal of a wrong password.
pub(super) fn wrong() -> Error {
    Error::Forbidden("this is not the cluster database password".into())
}
