//! Paging and filtering, the same for every list.

use http::Response;
use serde_json::{Map, Value};

use crate::{Error, call::Call, envelope, reply::Body};

/// A page's length when the request does not say.
const PAGE: usize = 1000;
/// The longest page.
const LONGEST_PAGE: usize = 10_000;

/// Answers with one page of `items`, which are in the order of their names and begin after the request's cursor.
///
/// Each item is its name, the key it stands under, and its view, which is made only for those on the page.
pub(crate) fn page<'a, V: FnOnce() -> Value>(
    call: &Call,
    items: impl Iterator<Item = (&'a str, String, V)>,
) -> Result<Response<Body>, Error> {
    let limit = call.query.value::<usize>("limit")?.unwrap_or(PAGE);
    if limit == 0 || limit > LONGEST_PAGE {
        return Err(Error::Malformed(format!(
            "limit={limit}: from 1 to {LONGEST_PAGE}"
        )));
    }
    let mut items = items.peekable();
    let mut data = Map::new();
    let mut next = None;
    while let Some((name, key, view)) = items.next() {
        data.insert(key, view());
        if data.len() == limit {
            next = items.peek().is_some().then(|| name.to_owned());
            break;
        }
    }
    Ok(envelope::page(data, next.as_deref()))
}
