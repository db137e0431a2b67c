//! `GET /repo/head/…`: the packages of this very head, for dnf (`rpm/`), for apt (`deb/`), and as a tar (`tar/`).

use std::sync::Arc;

use content::FileName;
use http::HeaderMap;
use package::Kind;

use crate::{Error, boot::Delivery, call::Call};

pub(crate) async fn get(call: &Call) -> Result<Delivery, Error> {
    let absent =
        || Error::NotFound("the head's own packages have no such file: rpm/, deb/ and tar/".into());
    let name = FileName::parse(call.param("name").as_bytes()).map_err(|_| absent())?;
    let offered = call.head.offered_packages().await?;
    let package = name.as_str().split_once('/').and_then(|(kind, file)| {
        let kind: Kind = kind.parse().ok()?;
        Some((kind, offered.find(kind, file)?.sha256))
    });
    let Some((kind, sha256)) = package else {
        return super::index(call, Arc::clone(&offered.indices), name).await;
    };
    let opening = {
        let offered = Arc::clone(&offered);
        tokio::task::spawn_blocking(move || offered.open(kind))
    };
    let file = opening.await?.map_err(|error| {
        Error::Unavailable(format!(
            "cannot open {name} of the head's own packages: {error}"
        ))
    })?;
    Ok(Delivery::of_file(file, sha256, HeaderMap::new()))
}
