//! `GET /ignition/<UID>`: a node's Ignition config, from where its `_ignition` says. Valid, or not sent at all.

pub(crate) mod accept;
pub(crate) mod configs;
pub(crate) mod document;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use ignition::RenderError;
use model::Node;
use template::{Substitution, Template};

use self::{
    configs::{Config, explained},
    document::{Document, Place},
};
use super::{
    Delivery,
    renderings::{self, Occasion, Rendering},
    values::NodeValues,
};
use crate::{
    Error,
    call::Call,
    head::Head,
    reply::{Body, Content, ContentType, ETag, LastModified},
};

pub(crate) async fn get(call: &Call) -> Result<Delivery, Error> {
    let id = call.param("id");
    let asker = call.asker.as_ref().map(|asker| &asker.node);
    // As nearly every node asks for its own.
    let node = asker.filter(|node| node.name.as_str() == id);
    let node = node.or_else(|| call.state.node(id));
    let node = node.ok_or_else(|| Error::NotFound(format!("there is no node {id:?}")))?;
    let place = Place::required(&call.state, node)?;
    let (document, config) = config_at(&call.head, &place).await?;
    accept::check(call.headers(), config.prepared.version())?;
    let rendering = rendering(call, node, &document, &config).await?;
    Ok(Delivery {
        content: Content {
            body: Body::Full(rendering.bytes.clone()),
            content_type: ContentType::JSON,
            etag: ETag::of_sha256(rendering.sha256.as_bytes()),
            last_modified: None::<LastModified>,
            fields: HeaderMap::new(),
        },
        sha256: *rendering.sha256.as_bytes(),
        file_revision: document.revision.clone(),
        remark: document.stale.clone(),
    })
}

/// What stands at a place now, and the config that it is.
pub(crate) async fn config_at(
    head: &Arc<Head>,
    place: &Place,
) -> Result<(Arc<Document>, Arc<Config>), Error> {
    let document = Arc::new(Document::at(place, head).await?);
    let config = head.configs.of(head, &document).await?;
    Ok((document, config))
}

/// The config with the node's values in it.
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
    let occasion = (config.can_be_kept).then(|| Occasion::of_config(config.sha256, &values));
    let (document, config) = (Arc::clone(document), Arc::clone(config));
    let fill = move |values: &NodeValues| fill(values, &document, &config, |_| {});
    renderings::rendering(occasion, values, fill).await
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
    let mut fill = |template: &Template| {
        let missing = values.head.settings.missing;
        let filled = values.fill_template(template, missing, &mut trace)?;
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
