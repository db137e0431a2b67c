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
/// `shown` gives the key an item stands under and what a client sees of it; it is asked for those on the page only.
pub(crate) fn page<T>(
    call: &Call,
    items: impl Iterator<Item = T>,
    name: impl Fn(&T) -> String,
    shown: impl Fn(T) -> (String, Value),
) -> Result<Response<Body>, Error> {
    let limit = limit(call, PAGE, LONGEST_PAGE)?;
    let mut items = items.peekable();
    let mut data = Map::new();
    while let Some(item) = items.next() {
        let cursor = (data.len() + 1 == limit && items.peek().is_some()).then(|| name(&item));
        let (key, view) = shown(item);
        data.insert(key, view);
        if cursor.is_some() {
            return Ok(envelope::page(data, cursor.as_deref()));
        }
    }
    Ok(envelope::data(data))
}

/// How many items the request wants at most: `usual` when it does not say.
pub(super) fn limit(call: &Call, usual: usize, most: usize) -> Result<usize, Error> {
    match call.query.value("limit")?.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        limit => Err(Error::Malformed(format!("limit={limit}: from 1 to {most}"))),
    }
}
