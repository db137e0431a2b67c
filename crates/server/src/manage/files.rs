//! `/files`: the boot files, as they are stored.

use std::sync::Arc;

use bytes::Bytes;
use content::{ContentError, FileEntry, FileName, Sha256Digest, Stored};
use http::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;
use model::Tree;
use serde_json::{Value, json};

use super::{condition::Condition, list};
use crate::{
    Error,
    boot::{
        boot_file,
        ignition::{
            configs::{Config, finding},
            document::{Document, Language},
        },
    },
    call::Call,
    envelope, glob,
    head::Head,
    reply::{self, Body, Content, ContentType, ETag, LastModified},
};

/// `GET /files`
pub(crate) async fn list(call: &mut Call) -> Result<Response<Body>, Error> {
    if let Some((unknown, _)) = call.query.others(&["limit", "cursor", "name"]).next() {
        return Err(Error::Malformed(format!(
            "there is no filter {unknown}; there is name"
        )));
    }
    let files = Arc::clone(&call.head.boot_files);
    let entries = tokio::task::spawn_blocking(move || files.list()).await??;
    let (pattern, cursor) = (call.query.text("name"), call.query.text("cursor"));
    let wanted = |entry: &&FileEntry| {
        let name = entry.name.as_str();
        pattern.is_none_or(|pattern| glob::matches(pattern, name))
            && cursor.is_none_or(|cursor| name > cursor)
    };
    let named = |entry: &&FileEntry| entry.name.to_string();
    let shown = |entry: &FileEntry| (entry.name.to_string(), view(entry));
    list::page(call, entries.iter().filter(wanted), named, shown)
}

/// `GET /files/<NAME>`
pub(crate) async fn show(call: &mut Call) -> Result<Response<Body>, Error> {
    let name = name(call)?;
    let file = boot_file(&call.head, &name).await?;
    let content = Content {
        body: Body::Full(file.bytes.clone()),
        content_type: ContentType::BINARY,
        etag: ETag::of_sha256(file.sha256.as_bytes()),
        last_modified: LastModified::of(file.modified()),
        fields: HeaderMap::new(),
    };
    Ok(reply::content(call.method(), call.headers(), content))
}

/// `PUT /files/<NAME>`: 201 where there was none, 200 where one was replaced.
pub(crate) async fn put(call: &mut Call) -> Result<Response<Body>, Error> {
    let name = name(call)?;
    let condition = Condition::of(call.headers());
    let body = call.bytes(content::MAX_BOOT_FILE).await?;
    if body.is_empty() {
        // No node would be served it.
        return Err(Error::Unprocessable(format!("{name} would be empty")));
    }
    call.head.check_changeable()?;
    let path = name.to_string();
    let head = Arc::clone(&call.head);
    let stored = tokio::task::spawn_blocking(move || {
        let files = &head.boot_files;
        let stored =
            condition.with(|precondition| files.put(&name, body.as_ref(), precondition))?;
        Ok::<_, ContentError>((stored, warnings(&head, &name, &body)))
    });
    let (Stored { entry, created }, warnings) = stored.await??;
    call.head.publish(Tree::Kickstarts, &path).await?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut data = view(&entry);
    if !warnings.is_empty() {
        data["warnings"] = warnings.into();
    }
    Ok(reply::json(status, &json!({"success": true, "data": data})))
}

/// What is wrong with a config that was just stored: it may be half of the work, so it is kept all the same.
fn warnings(head: &Head, name: &FileName, bytes: &Bytes) -> Vec<String> {
    let language = match Language::of(name.as_str()) {
        // Much is JSON that is no config.
        Some(Language::Ignition) if !name.as_str().ends_with(".ign") => return Vec::new(),
        None => return Vec::new(),
        Some(language) => language,
    };
    let document = Document::of_file(name, bytes.clone(), Sha256Digest::of(bytes), language);
    let found = match Config::of(head, &document) {
        Ok(reading) => (reading.config).map_or_else(|found| found, |config| config.warnings),
        Err(error) => return vec![error.to_string()],
    };
    found
        .iter()
        .map(|found| format!("{}: {}", found.severity, finding(found)))
        .collect()
}

/// `DELETE /files/<NAME>`
pub(crate) async fn delete(call: &mut Call) -> Result<Response<Body>, Error> {
    let name = name(call)?;
    let condition = Condition::of(call.headers());
    call.head.check_changeable()?;
    let path = name.to_string();
    let files = Arc::clone(&call.head.boot_files);
    let deleted = tokio::task::spawn_blocking(move || {
        condition.with(|precondition| files.delete(&name, precondition))
    });
    deleted.await??;
    call.head.publish(Tree::Kickstarts, &path).await?;
    Ok(envelope::done())
}

fn name(call: &Call) -> Result<FileName, Error> {
    Ok(FileName::parse(call.param("name").as_bytes()).map_err(ContentError::from)?)
}

fn view(entry: &FileEntry) -> Value {
    let mtime = Timestamp::try_from(entry.modified)
        .map(|time| format!("{time:.3}"))
        .ok();
    json!({
        "name": entry.name.as_str(),
        "size": entry.size,
        "sha256": entry.sha256.as_ref().map(ToString::to_string),
        "mtime": mtime,
    })
}
