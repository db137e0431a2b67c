//! `GET /ledger`: who fetched what.

use http::Response;
use serde_json::json;

use super::list;
use crate::{
    Error,
    call::Call,
    ledger::{Filter, Position},
    reply::{self, Body},
};

/// `GET /ledger`: newest first, or with `after=ID` oldest first from there on.
pub(crate) async fn list(call: &mut Call) -> Result<Response<Body>, Error> {
    let query = &call.query;
    let node = match query.text("node") {
        Some(id) => {
            let node = call.state.node(id).map(|node| node.uid);
            // A node that was deleted has a past all the same.
            let uid = node.or_else(|| id.parse().ok());
            Some(uid.ok_or_else(|| Error::NotFound(format!("there is no node {id:?}")))?)
        }
        None => None,
    };
    let position = match (query.value("after")?, query.value("cursor")?) {
        (Some(id), _) => Position::After(id),
        (None, Some(cursor)) => Position::Before(cursor),
        (None, None) => Position::Newest,
    };
    let filter = Filter {
        node,
        since: query.value("since")?,
        until: query.value("until")?,
        status: query.value("status")?,
        limit: list::limit(call, Filter::default().limit, Filter::MOST)?,
        position,
    };
    let ledger = call.head.ledger.clone();
    let page = tokio::task::spawn_blocking(move || ledger.query(&filter)).await?;
    let page =
        page.map_err(|error| Error::Unavailable(format!("the ledger cannot be read: {error}")))?;
    let envelope = json!({
        "success": true,
        "data": page.entries,
        "next": page.next.map(|cursor| cursor.to_string()),
        "gaps": page.gaps,
    });
    Ok(reply::json(http::StatusCode::OK, &envelope))
}
