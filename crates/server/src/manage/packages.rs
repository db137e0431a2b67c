//! `/packages`: the client packages, and what is wrong with files that are none.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use content::{
    FileName,
    packages::{Conversion, Entry, PackageFile, Stored},
};
use http::{Response, StatusCode, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use model::Tree;
use package::Kind;
use serde_json::{Map, Value, json};

use super::{condition::Condition, list};
use crate::{
    Error,
    call::Call,
    envelope, glob,
    install::download::{absent, settled},
    reply::{self, Body},
};

/// The fields of a package that a list can be filtered by.
const FIELDS: [&str; 6] = ["name", "version", "release", "arch", "type", "file"];

/// How long a list waits for the first reading of the packages.
const PATIENCE: Duration = Duration::from_secs(10);

/// `GET /packages`
pub(crate) async fn list(call: &mut Call) -> Result<Response<Body>, Error> {
    settled(&call.head.packages, PATIENCE).await?;
    let mut filters = Vec::new();
    for (field, pattern) in call.query.others(&["limit", "cursor"]) {
        if !FIELDS.contains(&field) {
            return Err(Error::Malformed(format!(
                "there is no filter {field}; there are {}",
                FIELDS.join(", ")
            )));
        }
        filters.push((field, pattern));
    }
    let listing = call.head.packages.list();
    let cursor = call.query.text("cursor");
    let views = listing.entries().filter_map(|entry| {
        let view = view(entry);
        let matches = |(field, pattern): &(&str, &str)| {
            let value = view.get(*field).and_then(Value::as_str);
            value.is_some_and(|value| glob::matches(pattern, value))
        };
        let file = entry.file.to_string();
        let is_after = cursor.is_none_or(|cursor| file.as_str() > cursor);
        (is_after && filters.iter().all(matches)).then(|| (file, entry.id(), view))
    });
    let named = |(file, _, _): &(String, String, _)| file.clone();
    let shown = |(_, id, view): (_, String, Map<_, _>)| (id, view.into());
    list::page(call, views, named, shown)
}

/// `GET /packages/<ID>`
pub(crate) async fn show(call: &mut Call) -> Result<Response<Body>, Error> {
    let entry = by_id(call)?;
    Ok(envelope::data(whole_view(call, &entry)))
}

/// `GET /packages/{rpm|deb|tar}/<FILE>`
pub(crate) async fn show_file(call: &mut Call) -> Result<Response<Body>, Error> {
    let file = file(call)?;
    let listing = call.head.packages.list();
    let entry = listing.get(&file);
    let entry = entry.ok_or_else(|| absent(&call.head.packages, &file))?;
    Ok(envelope::data(whole_view(call, entry)))
}

/// `PUT /packages/{rpm|deb|tar}/<FILE>`: 201 where there was none, 200 where one was replaced.
pub(crate) async fn put(call: &mut Call) -> Result<Response<Body>, Error> {
    let file = file(call)?;
    let condition = Condition::of(call.headers()).of_package();
    call.head.check_changeable()?;
    let body = upload(call)?;
    let Stored { entry, created } = call.head.packages.put(&file, condition, body).await?;
    call.head
        .publish(Tree::Clientpkgs, &file.to_string())
        .await?;
    let status = match created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let stored = json!({"success": true, "data": view(&entry)});
    Ok(reply::json(status, &stored))
}

/// `DELETE /packages/{rpm|deb|tar}/<FILE>`
pub(crate) async fn delete(call: &mut Call) -> Result<Response<Body>, Error> {
    let file = file(call)?;
    let condition = Condition::of(call.headers()).of_package();
    call.head.check_changeable()?;
    call.head.packages.remove(&file, condition).await?;
    call.head
        .publish(Tree::Clientpkgs, &file.to_string())
        .await?;
    Ok(envelope::done())
}

/// `POST /packages/<ID>/convert`: makes the tar of an rpm, unless it is there.
pub(crate) async fn convert(call: &mut Call) -> Result<Response<Body>, Error> {
    let rpm = by_id(call)?;
    if rpm.kind() != Kind::Rpm || rpm.package().is_none() {
        return Err(Error::Unprocessable(format!(
            "{} is no whole rpm, and only those are made tars",
            rpm.file
        )));
    }
    let tar = call.head.packages.convert(&rpm).await?;
    Ok(envelope::data(view(&tar)))
}

fn by_id(call: &Call) -> Result<Arc<Entry>, Error> {
    let id = call.param("id");
    let listing = call.head.packages.list();
    let entry = listing.by_id(id).map(Arc::clone);
    entry.ok_or_else(|| absent(&call.head.packages, format_args!("{id:?}")))
}

/// The file that the path names.
fn file(call: &Call) -> Result<PackageFile, Error> {
    let kind = call.param("id");
    let kind = kind.parse().map_err(|error| {
        Error::NotFound(format!("no kind of package is called {kind:?}: {error}"))
    })?;
    let name =
        FileName::parse(call.param("name").as_bytes()).map_err(content::ContentError::from)?;
    Ok(PackageFile::new(kind, name)?)
}

/// The body as it comes: a package may be larger than memory.
fn upload(
    call: &mut Call,
) -> Result<impl futures_util::Stream<Item = io::Result<Bytes>> + Send + use<>, Error> {
    let limit = call.head.settings.upload_limit;
    let declared = call.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(Error::TooLarge(limit));
    }
    let (body, patience) = (call.take_body(), call.head.settings.body_time);
    let parts =
        futures_util::stream::try_unfold((body, 0), move |(mut body, mut length)| async move {
            let Some(incoming) = &mut body else {
                return Ok(None);
            };
            loop {
                let frame = tokio::time::timeout(patience, incoming.frame());
                let frame = frame.await.map_err(|_| io::Error::other(Error::SlowBody))?;
                let Some(frame) = frame.transpose().map_err(io::Error::other)? else {
                    return Ok(None);
                };
                // Trailers say nothing here.
                let Ok(part) = frame.into_data() else {
                    continue;
                };
                length += part.len() as u64;
                if length > limit {
                    return Err(io::Error::other(Error::TooLarge(limit)));
                }
                return Ok(Some((part, (body, length))));
            }
        });
    Ok(parts)
}

fn view(entry: &Entry) -> Map<String, Value> {
    let mtime = Timestamp::try_from(entry.file_id.mtime).map(|time| format!("{time:.3}"));
    let mut view = json!({
        "id": entry.id(),
        "type": entry.kind().to_string(),
        "file": entry.file.name().as_str(),
        "size": entry.file_id.size,
        "mtime": mtime.ok(),
        "sha256": entry.sha256().map(|sha256| sha256.to_string()),
    });
    match &entry.content {
        Ok(package) => {
            let identity = &package.identity;
            view["name"] = identity.name.as_str().into();
            view["version"] = identity.version.version().into();
            view["release"] = identity.version.release().into();
            if identity.version.epoch() != 0 {
                view["epoch"] = identity.version.epoch().into();
            }
            view["arch"] = identity.architecture.as_str().into();
            if let Some(rpm) = &package.made_of {
                view["made_of"] = rpm.to_string().into();
            }
        }
        Err(fault) => view["fault"] = fault.reason.as_str().into(),
    }
    match view {
        Value::Object(view) => view,
        _ => Map::new(),
    }
}

/// A package and what else can be known of it.
fn whole_view(call: &Call, entry: &Entry) -> Map<String, Value> {
    let mut view = view(entry);
    let Some(package) = entry.package() else {
        return view;
    };
    view.insert("scriptlets".into(), package.scriptlets.clone().into());
    if entry.kind() == Kind::Rpm {
        let conversion = match call.head.packages.conversion(entry) {
            Conversion::Idle => json!({"state": "idle"}),
            Conversion::Running { read } => json!({"state": "running", "read": read}),
            Conversion::Failed { reason } => json!({"state": "failed", "reason": reason}),
            Conversion::Done { tar } => json!({"state": "done", "tar": tar.name().as_str()}),
        };
        view.insert("conversion".into(), conversion);
    }
    view
}
