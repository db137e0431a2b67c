//! `/admins` and `/admin/<UID>`: who may change the cluster. A password comes in as text, and never goes out.

use http::Response;
use model::{AdminSpec, ClusterState, Collection, Expect, Kind, Object, Transaction};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::objects::{self, Resource};
use crate::{Error, auth, call::Call, reply::Body};

/// The shortest password, in characters.
const SHORTEST: usize = 8;
/// The longest password, in bytes.
const LONGEST: usize = 1024;

/// An administrator as a client writes one.
#[derive(Deserialize, schemars::JsonSchema)]
#[allow(
    dead_code,
    reason = "it documents the body; the fields are read as JSON"
)]
pub(crate) struct AdminBody {
    name: model::Name,
    description: Option<String>,
    /// At least 8 characters; kept as an argon2id hash.
    password: String,
}

/// An administrator as a client sees one.
#[derive(schemars::JsonSchema)]
#[allow(dead_code, reason = "views are made as JSON")]
pub(crate) struct AdminView {
    name: model::Name,
    description: Option<String>,
}

impl Resource for AdminSpec {
    const FILTERS: &'static [&'static str] = &["name", "description"];

    fn all(state: &ClusterState) -> &Collection<Self> {
        &state.admins
    }

    fn consequences(
        state: &ClusterState,
        old: &Object<Self>,
        new: Option<&Self>,
        transaction: &mut Transaction,
    ) -> Result<(), Error> {
        if new.is_none() {
            let other = state.admins.iter().find(|admin| admin.uid != old.uid);
            let other = other.ok_or_else(|| {
                Error::Conflict(format!("{} is the last administrator", old.name))
            })?;
            // Two who delete each other at the same moment would leave none.
            transaction.expect(Kind::Admin.key(other.uid), Expect::Present);
        }
        if new.is_none_or(|new| new.password != old.password) {
            auth::end_sessions(state, old.uid, transaction);
        }
        Ok(())
    }
}

/// `POST /admins`
pub(crate) async fn create(call: &mut Call) -> Result<Response<Body>, Error> {
    let body = body(call).await?;
    if !body.contains_key("password") {
        return Err(Error::Malformed("password: it is missing".into()));
    }
    objects::create_from::<AdminSpec>(call, body).await
}

/// `PATCH /admin/<UID>`
pub(crate) async fn patch(call: &mut Call) -> Result<Response<Body>, Error> {
    let body = body(call).await?;
    objects::patch_with::<AdminSpec>(call, body).await
}

/// `PUT /admin/<UID>`; without a password, the old one stays.
pub(crate) async fn replace(call: &mut Call) -> Result<Response<Body>, Error> {
    let body = body(call).await?;
    objects::edit::<AdminSpec>(call, |_, before| {
        let mut after = body.clone();
        let password = before.get("password").cloned().unwrap_or_default();
        after.entry("password").or_insert(password);
        Ok(after)
    })
    .await
}

/// The body, with the password hashed.
async fn body(call: &mut Call) -> Result<Map<String, Value>, Error> {
    let mut body: Map<String, Value> = call.json().await?;
    match body.remove("password") {
        None => {}
        Some(Value::String(password)) => {
            if password.chars().count() < SHORTEST || password.len() > LONGEST {
                return Err(Error::Malformed(format!(
                    "password: {SHORTEST} characters at least, {LONGEST} bytes at most"
                )));
            }
            let hash = call.head.passwords.hash(password).await?;
            body.insert("password".into(), hash.0.into());
        }
        Some(_) => return Err(Error::Malformed("password: it is a text".into())),
    }
    Ok(body)
}
