//! The envelope of management answers: `{"success": true, "data": …}`.

use http::{HeaderValue, Response, StatusCode, header};
use model::Revision;
use serde::Serialize;
use serde_json::json;

use crate::reply::{self, Body};

/// The data asked for.
pub(crate) fn data(data: impl Serialize) -> Response<Body> {
    reply::json(StatusCode::OK, &json!({"success": true, "data": data}))
}

/// One page of a list, and the cursor of the next page where there is one.
pub(crate) fn page(data: impl Serialize, next: Option<&str>) -> Response<Body> {
    let mut envelope = json!({"success": true, "data": data});
    if let Some(next) = next {
        envelope["next"] = next.into();
    }
    reply::json(StatusCode::OK, &envelope)
}

/// One object, with its revision as the `ETag` that a later `If-Match` names.
pub(crate) fn object(data: impl Serialize, revision: Revision) -> Response<Body> {
    let mut response = self::data(data);
    response
        .headers_mut()
        .insert(header::ETAG, revision_tag(revision));
    response
}

/// What was created is known by this from now on.
pub(crate) fn created(uid: impl Serialize) -> Response<Body> {
    reply::json(StatusCode::CREATED, &json!({"success": true, "data": uid}))
}

/// It is done, and there is nothing more to say.
pub(crate) fn done() -> Response<Body> {
    reply::json(StatusCode::OK, &json!({"success": true}))
}

/// A revision as an entity tag.
pub(crate) fn revision_tag(revision: Revision) -> HeaderValue {
    // Digits between quotes always make a header value.
    HeaderValue::from_str(&format!("\"{revision}\"")).expect("digits")
}
