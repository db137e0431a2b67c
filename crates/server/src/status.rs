//! `POST /node/<UID>/status`: what a node reports of itself, from its own address and of nobody else.

use http::Response;
use model::{Facts, NodeSpec};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    Error,
    asking::Asker,
    call::Call,
    envelope,
    manage::objects::{self, merge},
    reply::Body,
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

pub(crate) async fn post(call: &mut Call) -> Result<Response<Body>, Error> {
    // The same for a node that does not exist: nobody learns here which do.
    let reported_on = objects::find::<NodeSpec>(call, &call.state).ok();
    let reporter = call.asker.as_ref().map(|Asker { node, .. }| node.uid);
    if reporter.is_none() || reporter != reported_on.map(|node| node.uid) {
        return Err(Error::Forbidden(
            "only a node itself reports its status, from its own address".to_owned(),
        ));
    }
    let Report { status, hardware } = call.json().await?;
    objects::edit::<NodeSpec>(call, |_, before| {
        let mut after = before.clone();
        for (field, facts) in [("status", &status), ("hardware", &hardware)] {
            let facts = facts
                .0
                .iter()
                .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
                .collect();
            merge(
                &mut after,
                Map::from_iter([(field.to_owned(), Value::Object(facts))]),
            );
        }
        Ok(after)
    })
    .await?;
    Ok(envelope::done())
}
