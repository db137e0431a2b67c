//! `GET /ignition/<UID>`: a node's Ignition config, from where its `_ignition` says. Valid, or not sent at all.

pub(crate) mod accept;
pub(crate) mod configs;
pub(crate) mod document;

use std::sync::Arc;

use bytes::Bytes;
use content::Sha256Digest;
use ignition::{Path, RenderError};
use model::Node;
use template::{Substitution, Template};

use self::{
    configs::{Config, explained},
    document::{Document, Place},
};
use super::{
    Delivery,
    renderings::{Occasion, Rendering},
    values::NodeValues,
};
use crate::{
    Error,
    call::Call,
    reply::{Body, Content, ContentType, ETag, LastModified},
};

pub(crate) async fn get(call: &Call) -> Result<Delivery, Error> {
    let id = call.param("id");
    let node = call.state.node(id);
    let node = node.ok_or_else(|| Error::NotFound(format!("there is no node {id:?}")))?;
    let place = Place::of(&call.state, node)?;
    let document = Arc::new(Document::at(&place, &call.head).await?);
    let config = call.head.configs.of(&call.head, &document).await?;
    accept::check(call.headers(), config.prepared.version())?;
    let rendering = rendering(call, node, &document, &config).await?;
    Ok(Delivery {
        content: Content {
            body: Body::Full(rendering.bytes.clone()),
            content_type: ContentType::JSON,
            etag: ETag::of_sha256(rendering.sha256.as_bytes()),
            last_modified: None::<LastModified>,
        },
        sha256: *rendering.sha256.as_bytes(),
        file_revision: document.revision.clone(),
        remark: document.stale.clone(),
    })
}

/// The config with the node's values in it; from memory, if it was asked for before and nothing changed since.
async fn rendering(
    call: &Call,
    node: &Arc<Node>,
    document: &Arc<Document>,
    config: &Arc<Config>,
) -> Result<Arc<Rendering>, Error> {
    if let Some(constant) = &config.constant {
        return Ok(Arc::clone(constant));
    }
    let values = NodeValues::for_node(call, Arc::clone(node));
    let renderings = &call.head.renderings;
    let occasion = (!config.includes).then(|| Occasion::of_config(config.sha256, &values));
    if let Some(known) = (occasion.as_ref()).and_then(|occasion| renderings.get(occasion)) {
        return Ok(known);
    }
    let bytes = match fill(&values, document, config, |_| {}) {
        // An included file is not in memory: where reading it may block, once more from the start.
        Err(_) if values.must_read() => {
            let (values, document, config) =
                (values.reading(), Arc::clone(document), Arc::clone(config));
            let filled = move || fill(&values, &document, &config, |_| {});
            tokio::task::spawn_blocking(filled).await??
        }
        filled => filled?,
    };
    let rendering = Arc::new(Rendering {
        sha256: Sha256Digest::of(&bytes),
        bytes,
    });
    if let Some(occasion) = occasion {
        renderings.keep(occasion, &rendering);
    }
    Ok(rendering)
}

/// Puts a node's values into the texts of a config, and tells `trace` of each.
pub(crate) fn fill(
    values: &NodeValues,
    document: &Document,
    config: &Config,
    mut trace: impl FnMut(Substitution<'_>),
) -> Result<Bytes, Error> {
    if let Some(constant) = &config.constant {
        return Ok(constant.bytes.clone());
    }
    let mut fill = |path: &Path, text: &[u8]| {
        let name = format!("{}: {path}", document.name);
        let template = Template::parse(name, Bytes::copy_from_slice(text));
        if template.is_plain() {
            return Ok(None);
        }
        let missing = values.head.settings.missing;
        let filled = values.fill_template(&template, missing, &mut trace)?;
        Ok(Some(filled.into()))
    };
    match config.prepared.render(&mut fill) {
        Ok(rendered) => Ok(rendered.text.into_owned().into()),
        Err(RenderError::Form { reason, .. }) => Err(reason),
        Err(error @ RenderError::NotText { .. }) => {
            Err(Error::Unprocessable(format!("{}: {error}", document.name)))
        }
        Err(RenderError::Invalid(found)) => Err(Error::Unprocessable(format!(
            "with the values of {}, {}: {}",
            values.whose(),
            document.name,
            explained(&found)
        ))),
    }
}
