//! What is written in the document or in local files becomes part of the config: contents, keys and units.

use super::{
    Allowance, Files, LocalError, Release, Report, files,
    schema::{RESOURCES, each_at},
};
use crate::{
    Severity::Error,
    Tree, Value, Version,
    data_url::{self, DataUrl},
};

/// Puts everything but trees into the config.
pub(super) fn embed(
    config: &mut Tree,
    release: &Release,
    files: Option<&dyn Files>,
    allowance: &mut Allowance,
    report: &mut Report,
) {
    for place in RESOURCES {
        each_at(config, place, &mut |resource| {
            if let Some((written, contents)) = contents_of(resource, files, report) {
                let carried = carry(resource, &written, &contents, release, allowance);
                carried.unwrap_or_else(|error| report.at(Error, &written, error.to_string()));
            }
        });
    }
    each_at(config, &["passwd", "users"], &mut |user| {
        embed_keys(user, files, allowance, report);
    });
    for place in [&["systemd", "units"][..], &["systemd", "units", "dropins"]] {
        each_at(config, place, &mut |unit| {
            embed_unit(unit, files, allowance, report);
        });
    }
}

/// What a resource contains by itself, and where that is written.
fn contents_of(
    resource: &mut Tree,
    files: Option<&dyn Files>,
    report: &mut Report,
) -> Option<(Tree, Vec<u8>)> {
    if let Some(inline) = resource.take("inline") {
        let contents = inline.text()?.as_bytes().to_vec();
        return Some((inline, contents));
    }
    let local = resource.take("local")?;
    match read(local.text()?, files) {
        Ok(contents) => Some((local, contents)),
        Err(error) => {
            report.at(Error, &local, error.to_string());
            None
        }
    }
}

/// Makes a resource of what it contains.
pub(super) fn carry(
    resource: &mut Tree,
    origin: &Tree,
    contents: &[u8],
    release: &Release,
    allowance: &mut Allowance,
) -> Result<(), LocalError> {
    // The first version knew only one way to write it.
    if release.ignition == Version::V3_0 {
        let source = data_url::plain(contents);
        return put_source(resource, origin, source, allowance);
    }
    let compressed = resource
        .get("compression")
        .and_then(Tree::text)
        .is_some_and(|by| !by.is_empty());
    let DataUrl { source, gzip } = data_url::shortest(contents, !compressed);
    if !compressed {
        // Even if there is none: else, the config this one is merged into could say otherwise.
        let compression = if gzip { "gzip" } else { "" };
        resource.put("compression", Tree::made_from(origin, compression.into()));
    }
    put_source(resource, origin, source, allowance)
}

fn put_source(
    resource: &mut Tree,
    origin: &Tree,
    source: String,
    allowance: &mut Allowance,
) -> Result<(), LocalError> {
    if !allowance.take(source.len()) {
        return Err(LocalError::TooLarge(
            origin
                .text()
                .unwrap_or("these contents")
                .chars()
                .take(80)
                .collect(),
        ));
    }
    resource.put("source", Tree::made_from(origin, source.into()));
    Ok(())
}

fn read(written: &str, files: Option<&dyn Files>) -> Result<Vec<u8>, LocalError> {
    let files = files.ok_or(LocalError::NoFiles)?;
    files.read(&files::name(written)?)
}

/// The text of a local file, if the config may grow by it.
fn read_text(
    local: &Tree,
    files: Option<&dyn Files>,
    allowance: &mut Allowance,
) -> Result<String, LocalError> {
    let name = local.text().unwrap_or_default();
    let contents = read(name, files)?;
    if !allowance.take(contents.len()) {
        return Err(LocalError::TooLarge(name.into()));
    }
    Ok(String::from_utf8_lossy(&contents).into_owned())
}

/// Adds the keys of local files, one a line, to those that a user has.
fn embed_keys(
    user: &mut Tree,
    files: Option<&dyn Files>,
    allowance: &mut Allowance,
    report: &mut Report,
) {
    let Some(local) = user
        .take("ssh_authorized_keys_local")
        .filter(|local| !local.items().is_empty())
    else {
        return;
    };
    if files.is_none() {
        return report.at(Error, &local, LocalError::NoFiles.to_string());
    }
    let none = Tree::made_from(&local, Value::List(Vec::new()));
    let mut keys = user.take("sshAuthorizedKeys").unwrap_or(none);
    for file in local.items() {
        match (read_text(file, files, allowance), &mut keys.value) {
            (Ok(text), Value::List(keys)) => {
                let lines = text
                    .split('\n')
                    .map(|line| line.strip_suffix('\r').unwrap_or(line));
                let lines = lines.filter(|line| !line.is_empty());
                keys.extend(lines.map(|line| Tree::made_from(file, line.into())));
            }
            (Err(error), _) => report.at(Error, file, error.to_string()),
            (Ok(_), _) => {}
        }
    }
    user.put("sshAuthorizedKeys", keys);
}

/// Gives a unit or drop-in its contents from a local file.
fn embed_unit(
    unit: &mut Tree,
    files: Option<&dyn Files>,
    allowance: &mut Allowance,
    report: &mut Report,
) {
    let Some(local) = unit
        .take("contents_local")
        .filter(|local| local.text() != Some(""))
    else {
        return;
    };
    match read_text(&local, files, allowance) {
        Ok(text) => unit.put("contents", Tree::made_from(&local, text.into())),
        Err(error) => report.at(Error, &local, error.to_string()),
    }
}
