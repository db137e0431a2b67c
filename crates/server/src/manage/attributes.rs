//! `…/attributes` of nodes and groups: single attributes, without touching the rest.

use http::Response;
use serde_json::{Map, Value};

use super::objects::{self, Resource};
use crate::{Error, call::Call, envelope, reply::Body};

pub(crate) async fn show<R: Resource>(call: &mut Call) -> Result<Response<Body>, Error> {
    let object = objects::find::<R>(call, &call.state)?;
    let mut fields = objects::editable(&call.state, &object.spec);
    let attributes = fields
        .remove("attributes")
        .unwrap_or_else(|| Map::new().into());
    Ok(envelope::object(attributes, object.revision))
}

pub(crate) async fn patch<R: Resource>(call: &mut Call) -> Result<Response<Body>, Error> {
    let attributes: Map<String, Value> = call.json().await?;
    objects::patch_with::<R>(
        call,
        Map::from_iter([("attributes".to_owned(), attributes.into())]),
    )
    .await
}

pub(crate) async fn replace<R: Resource>(call: &mut Call) -> Result<Response<Body>, Error> {
    let attributes: Map<String, Value> = call.json().await?;
    objects::edit::<R>(call, |_, before| {
        let mut after = before.clone();
        after.insert("attributes".into(), attributes.clone().into());
        Ok(after)
    })
    .await
}

/// Takes one name or a list of them. A name that is not there is an error: it may be misspelt.
pub(crate) async fn remove<R: Resource>(call: &mut Call) -> Result<Response<Body>, Error> {
    let names = match call.any_json().await? {
        Value::String(name) => vec![name],
        names => serde_json::from_value::<Vec<String>>(names)
            .map_err(|_| Error::Malformed("the body is not a list of attribute names".into()))?,
    };
    objects::edit::<R>(call, |_, before| {
        let mut after = before.clone();
        for name in &names {
            let attributes = after.get_mut("attributes").and_then(Value::as_object_mut);
            if attributes
                .and_then(|attributes| attributes.remove(name))
                .is_none()
            {
                return Err(Error::NotFound(format!("there is no attribute {name:?}")));
            }
        }
        Ok(after)
    })
    .await
}
