//! `GET /repo/…`: the client packages as repositories of dnf (`/repo/rpm/`) and of apt (`/repo/deb/`).

pub(crate) mod head;

use std::sync::Arc;

use content::{ContentError, FileName, FileRoot, OpenFile, packages::PackageFile};
use http::{HeaderMap, HeaderValue, header};
use package::Kind;

use crate::{Error, boot::Delivery, call::Call, install::download};

pub(crate) async fn get(call: &Call) -> Result<Delivery, Error> {
    let absent =
        || Error::NotFound("there is no such file in the repositories, rpm/ and deb/".into());
    let name = FileName::parse(call.param("name").as_bytes()).map_err(|_| absent())?;
    match package(&name) {
        Some(file) => {
            let listing = call.head.packages.list();
            let entry = listing.get(&file);
            let entry = entry.ok_or_else(|| download::absent(&call.head.packages, &file))?;
            download::delivery(call.head.packages.open_package(entry).await?)
        }
        None => index(call, Arc::clone(&call.head.repository), name).await,
    }
}

/// The package of this path; everything else belongs to the index.
fn package(name: &FileName) -> Option<PackageFile> {
    let (kind, file) = name.as_str().split_once('/')?;
    let kind = kind.parse().ok().filter(|kind| *kind != Kind::Tar)?;
    let file = FileName::parse(file.as_bytes()).ok()?;
    PackageFile::new(kind, file).ok()
}

/// A part of an index, as it was written last.
async fn index(call: &Call, indices: Arc<FileRoot>, name: FileName) -> Result<Delivery, Error> {
    // Its name is its digest, or it is asked for anew each time.
    let is_named_by_content = name.as_str().contains("/by-hash/")
        || (name.as_str().contains("/repodata/") && !name.as_str().contains("/repomd.xml"));
    let head = Arc::clone(&call.head);
    let (file, sha256) = tokio::task::spawn_blocking(move || {
        let file = OpenFile::beneath(&indices, &name).map_err(|error| match error {
            ContentError::NotFound { .. } if name.as_str() == "key.asc" => {
                Error::NotFound("the repositories are not signed".into())
            }
            ContentError::NotFound { .. } | ContentError::NotRegular { .. } => {
                Error::NotFound(format!("there is no {name} in the repositories"))
            }
            error => error.into(),
        })?;
        let sha256 = head.digests.of(&file);
        sha256.map(|sha256| (file, sha256)).map_err(|error| {
            Error::Unavailable(format!("cannot read {name} of the package index: {error}"))
        })
    })
    .await??;
    let caching = match is_named_by_content {
        true => HeaderValue::from_static("max-age=31536000, immutable"),
        false => HeaderValue::from_static("no-cache"),
    };
    Ok(Delivery::of_file(
        file,
        sha256,
        HeaderMap::from_iter([(header::CACHE_CONTROL, caching)]),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_from_what_lists_them() {
        let package = |name: &str| {
            let file = package(&name.parse().unwrap());
            file.map(|file| file.to_string())
        };
        for name in ["rpm/a-1-1.noarch.rpm", "rpm/sub/a.rpm", "deb/a_1_all.deb"] {
            assert_eq!(package(name).as_deref(), Some(name));
        }
        for name in [
            "rpm/repodata/repomd.xml",
            "deb/Packages.gz",
            "deb/InRelease",
            "deb/by-hash/SHA256/00",
            "key.asc",
            "tar/a.tar.gz",
            "rpm/a.deb",
        ] {
            assert_eq!(package(name), None, "{name}");
        }
    }
}
