//! `POST /node/<UID>/status`: what a node reports of itself, from its own address and of nobody else.

use http::Response;
use jiff::Timestamp;
use model::{Facts, NodeSpec};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::{
    Error,
    asking::Asker,
    call::Call,
    envelope,
    install::attributes,
    manage::objects::{self, merge},
    reply::Body,
    reports::period::status_secs,
};

/// What a node reports. Keys it reported before and does not name now stay as they are.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StatusReport")]
pub(crate) struct Report {
    /// How it is, for `<s[NAME]>`.
    #[serde(default)]
    status: Facts,
    /// What it is made of, for `<h[NAME]>`.
    #[serde(default)]
    hardware: Facts,
}

/// What a node is to know.
#[derive(Serialize, schemars::JsonSchema)]
pub(crate) struct Taken {
    /// The `ETag`, without its quotes, of what `/install/client/attributes` would give it now.
    attributes: String,
    /// After how many seconds it is to report again.
    status_secs: u32,
}

pub(crate) async fn post(call: &mut Call) -> Result<Response<Body>, Error> {
    // The same for a node that does not exist: nobody learns here which do.
    let reported_on = objects::find::<NodeSpec>(call, &call.state).ok();
    let reporter = call.asker.as_ref().map(|Asker { node, .. }| node.uid);
    let Some(node) = reported_on.filter(|node| reporter == Some(node.uid)) else {
        return Err(Error::Forbidden(
            "only a node itself reports its status, from its own address".to_owned(),
        ));
    };
    let Report { status, hardware } = call.json().await?;
    let known = node.hardware.overlaid(&hardware);
    known.validate("hardware")?;
    // In memory first: a node whose hardware cannot be written down is up all the same.
    call.head
        .reports
        .take(node.uid, &status, Timestamp::now())?;
    call.head.metrics.report();
    if known != node.hardware {
        let hardware = serde_json::to_value(hardware).map_err(Error::internal)?;
        objects::edit::<NodeSpec>(call, |_, before| {
            let mut after = before.clone();
            merge(
                &mut after,
                Map::from_iter([("hardware".to_owned(), hardware.clone())]),
            );
            Ok(after)
        })
        .await?;
    }
    let tag = attributes::tag_of(&call.state, &node);
    Ok(envelope::data(Taken {
        attributes: tag.opaque().to_owned(),
        status_secs: status_secs(&call.state, &node),
    }))
}
