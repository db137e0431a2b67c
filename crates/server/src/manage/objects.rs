//! What nodes, groups, boot configurations, git repositories and administrators have in common: list, create, show,
//! change, delete.
//!
//! PATCH merges into the object as a PUT of it would be written (RFC 7396), so creating, changing and replacing all end
//! in the same parsing and the same checks.

use std::{collections::BTreeMap, sync::Arc};

use http::Response;
use model::{ClusterState, Collection, Name, Object, Revision, Spec, Transaction, Uid, creation};
use serde_json::{Map, Value};
use store::StoreError;

use super::list;
use crate::{
    Error,
    call::Call,
    envelope, glob,
    head::{Head, new_uid},
    reply::Body,
};

/// How often a change that lost a race is made anew. Each time, somebody else's change was made.
const TRIES: u32 = 1000;

/// A kind of object as the API shows it.
pub(crate) trait Resource: Spec {
    /// What a list can be filtered by; `attr.*` is any `attr.NAME`.
    const FILTERS: &'static [&'static str];

    /// The objects of this kind.
    fn all(state: &ClusterState) -> &Collection<Self>;

    /// The object a path names.
    fn find<'a>(state: &'a ClusterState, id: &str) -> Option<&'a Arc<Object<Self>>> {
        Self::all(state).find(id)
    }

    /// From what a client wrote to what is stored.
    fn accept(_state: &ClusterState, _body: &mut Map<String, Value>) -> Result<(), Error> {
        Ok(())
    }

    /// From what is stored to what a client may write back.
    fn show(_state: &ClusterState, _view: &mut Map<String, Value>) {}

    /// What a client sees beside that.
    fn observe(
        _head: &Head,
        _state: &ClusterState,
        _object: &Object<Self>,
        _view: &mut Map<String, Value>,
    ) {
    }

    /// Whether the object passes a filter; `None` where this kind has no such field.
    fn passes(
        _head: &Head,
        state: &ClusterState,
        object: &Object<Self>,
        field: &str,
        pattern: &str,
    ) -> Option<bool> {
        let view = editable(state, &object.spec);
        let value = view.get(field)?;
        Some(value.as_str().map_or_else(
            || glob::matches(pattern, &value.to_string()),
            |text| glob::matches(pattern, text),
        ))
    }

    /// What must also happen when an object is replaced or (`new` is none) deleted.
    ///
    /// # Errors
    /// It must not be.
    fn consequences(
        _state: &ClusterState,
        _old: &Object<Self>,
        _new: Option<&Self>,
        _transaction: &mut Transaction,
    ) -> Result<(), Error> {
        Ok(())
    }
}

/// An object as a client sees it: what can be written of it, and what the head adds. The shape alone, for OpenAPI.
#[derive(schemars::JsonSchema)]
#[schemars(rename = "Shown{S}")]
#[allow(dead_code, reason = "views are made as JSON")]
pub(crate) struct Shown<S> {
    #[serde(flatten)]
    spec: S,
    uid: Uid,
    /// Named by `If-Match`.
    revision: Revision,
}

/// Objects by their UIDs.
pub(crate) type Listed<S> = BTreeMap<String, Shown<S>>;

/// One page of the objects that pass the filters.
pub(crate) async fn list<R: Resource>(call: &mut Call) -> Result<Response<Body>, Error> {
    let call = &*call;
    let filters: Vec<_> = call.query.others(&["limit", "cursor"]).collect();
    if let Some((unknown, _)) = filters.iter().find(|(field, _)| !is_filter::<R>(field)) {
        return Err(Error::Malformed(format!(
            "there is no filter {unknown}; there are {}",
            R::FILTERS.join(", ")
        )));
    }
    let (head, state) = (&call.head, &call.state);
    let wanted = |object: &&Arc<Object<R>>| {
        filters
            .iter()
            .all(|(field, pattern)| R::passes(head, state, object, field, pattern) == Some(true))
    };
    let all = R::all(state);
    let matching: Box<dyn Iterator<Item = &Arc<Object<R>>>> =
        match call.query.value::<Name>("cursor")? {
            Some(cursor) => Box::new(all.after(&cursor).filter(wanted)),
            None => Box::new(all.iter().filter(wanted)),
        };
    let named = |object: &&'_ Arc<Object<R>>| object.name().to_string();
    let shown =
        |object: &Arc<Object<R>>| (object.uid.to_string(), view(head, state, object).into());
    list::page(call, matching, named, shown)
}

fn is_filter<R: Resource>(asked: &str) -> bool {
    let is = |filter: &&str| {
        filter
            .strip_suffix('*')
            .map_or(**filter == *asked, |prefix| asked.starts_with(prefix))
    };
    R::FILTERS.iter().any(is)
}

pub(crate) async fn create<R: Resource>(call: &mut Call) -> Result<Response<Body>, Error> {
    let body = call.json().await?;
    create_from::<R>(call, body).await
}

pub(crate) async fn create_from<R: Resource>(
    call: &mut Call,
    mut body: Map<String, Value>,
) -> Result<Response<Body>, Error> {
    if body.contains_key("uid") {
        return Err(Error::Malformed("uid: it is given by the head".into()));
    }
    body.remove("revision");
    let spec = parse::<R>(&call.state, body)?;
    let uid = new_uid()?;
    let transaction = creation(uid, &spec)?;
    call.head
        .commit(transaction)
        .await
        .map_err(|error| call.refused(&error))?;
    Ok(envelope::created(uid))
}

pub(crate) async fn show<R: Resource>(call: &mut Call) -> Result<Response<Body>, Error> {
    let object = find::<R>(call, &call.state)?;
    Ok(envelope::object(
        view(&call.head, &call.state, &object),
        object.revision,
    ))
}

pub(crate) async fn patch<R: Resource>(call: &mut Call) -> Result<Response<Body>, Error> {
    let body: Map<String, Value> = call.json().await?;
    patch_with::<R>(call, body).await
}

pub(crate) async fn patch_with<R: Resource>(
    call: &mut Call,
    body: Map<String, Value>,
) -> Result<Response<Body>, Error> {
    edit::<R>(call, |_, before| {
        let mut after = before.clone();
        merge(&mut after, body.clone());
        Ok(after)
    })
    .await
}

pub(crate) async fn replace<R: Resource>(call: &mut Call) -> Result<Response<Body>, Error> {
    let body: Map<String, Value> = call.json().await?;
    edit::<R>(call, |_, _| Ok(body.clone())).await
}

/// Changes an object from its editable form to another, again from the start if somebody else was faster; unless the
/// client said which revision it means.
pub(crate) async fn edit<R: Resource>(
    call: &mut Call,
    change: impl Fn(&ClusterState, &Map<String, Value>) -> Result<Map<String, Value>, Error>,
) -> Result<Response<Body>, Error> {
    for _ in 0..TRIES {
        let state = call.head.state();
        let old = find::<R>(call, &state)?;
        call.check_revision(old.revision)?;
        let mut body = change(&state, &editable(&state, &old.spec))?;
        drop_read_only(&mut body, &old)?;
        let spec = parse::<R>(&state, body)?;
        if spec == old.spec {
            return shown::<R>(call, &old);
        }
        let mut transaction = old.replacement(&spec)?;
        R::consequences(&state, &old, Some(&spec), &mut transaction)?;
        match call.head.commit(transaction).await {
            Ok(_) => return shown::<R>(call, &old),
            Err(StoreError::Conflict { key }) if key == R::KIND.key(old.uid) => {
                call.head.news_since(state.revision()).await;
            }
            Err(error) => return Err(call.refused(&error)),
        }
    }
    Err(Error::Conflict(
        "it is being changed by others all the time; try again".into(),
    ))
}

fn shown<R: Resource>(call: &Call, old: &Object<R>) -> Result<Response<Body>, Error> {
    let state = call.head.state();
    match R::all(&state).get(old.uid) {
        Some(object) => Ok(envelope::object(
            view(&call.head, &state, object),
            object.revision,
        )),
        None => Err(Error::NotFound(
            "it was deleted by somebody else meanwhile".into(),
        )),
    }
}

pub(crate) async fn delete<R: Resource>(call: &mut Call) -> Result<Response<Body>, Error> {
    for _ in 0..TRIES {
        let state = call.head.state();
        let object = find::<R>(call, &state)?;
        call.check_revision(object.revision)?;
        let mut transaction = object.deletion();
        R::consequences(&state, &object, None, &mut transaction)?;
        match call.head.commit(transaction).await {
            Ok(_) => return Ok(envelope::done()),
            Err(StoreError::Conflict { key }) if key == R::KIND.key(object.uid) => {
                call.head.news_since(state.revision()).await;
            }
            Err(error) => return Err(call.refused(&error)),
        }
    }
    Err(Error::Conflict(
        "it is being changed by others all the time; try again".into(),
    ))
}

/// The object the path names.
pub(crate) fn find<R: Resource>(
    call: &Call,
    state: &ClusterState,
) -> Result<Arc<Object<R>>, Error> {
    let id = call.param("id");
    let found = R::find(state, id).cloned();
    found.ok_or_else(|| Error::NotFound(format!("there is no {} {id:?}", R::KIND)))
}

/// What a client sees of an object.
pub(crate) fn view<R: Resource>(
    head: &Head,
    state: &ClusterState,
    object: &Object<R>,
) -> Map<String, Value> {
    let mut view = editable(state, &object.spec);
    R::observe(head, state, object, &mut view);
    view.remove("password");
    view.insert("uid".into(), object.uid.to_string().into());
    view.insert("revision".into(), object.revision.0.into());
    view
}

/// What a client may write back.
pub(crate) fn editable<R: Resource>(state: &ClusterState, spec: &R) -> Map<String, Value> {
    match serde_json::to_value(spec) {
        Ok(Value::Object(mut fields)) => {
            R::show(state, &mut fields);
            fields
        }
        // Every spec is a struct.
        _ => Map::new(),
    }
}

fn parse<R: Resource>(state: &ClusterState, mut body: Map<String, Value>) -> Result<R, Error> {
    R::accept(state, &mut body)?;
    let spec = serde_json::from_value(Value::Object(body));
    spec.map_err(|error| Error::Malformed(format!("not a valid {}: {error}", R::KIND)))
}

/// Takes out what a client got from us and sends back, as long as it does not contradict us.
fn drop_read_only<R: Resource>(
    body: &mut Map<String, Value>,
    old: &Object<R>,
) -> Result<(), Error> {
    for field in ["revision", "effective"] {
        body.remove(field);
    }
    match body.remove("uid") {
        Some(uid) if uid != old.uid.to_string() => {
            Err(Error::Malformed("uid: it cannot be changed".into()))
        }
        _ => Ok(()),
    }
}

/// Merges as RFC 7396 says: objects merge, null removes, anything else replaces.
pub(crate) fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.remove(&key)),
            Value::Object(patch) => {
                let inner = target.entry(key).or_insert_with(|| Map::new().into());
                if !inner.is_object() {
                    *inner = Map::new().into();
                }
                if let Value::Object(inner) = inner {
                    merge(inner, patch);
                }
            }
            value => drop(target.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other}"),
        }
    }

    /// The examples of RFC 7396, appendix A, whose target and patch are objects.
    #[test]
    fn patches_merge_as_rfc_7396_says() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!({"a": "foo"}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let mut merged = object(target);
            merge(&mut merged, object(patch));
            assert_eq!(Value::Object(merged), result);
        }
    }
}
