//! `GET /render/…`: what a node would get, and where each value in it comes from.

use std::sync::Arc;

use content::{ContentError, FileName, Sha256Digest};
use http::Response;
use model::{Name, Node, Uid};
use serde::Serialize;
use template::{Dictionary, Form, Origin, Substitution};

use crate::{
    Error,
    boot::{
        boot_file,
        ignition::{self, configs::finding, document::Place},
        values::NodeValues,
        ztp,
    },
    call::Call,
    envelope,
    reply::Body,
};

/// A boot file as a node would get it.
#[derive(Serialize, schemars::JsonSchema)]
pub(crate) struct Preview {
    file: String,
    node: Name,
    node_uid: Uid,
    /// The text; bytes that are not UTF-8 are shown as U+FFFD.
    text: String,
    /// Of the bytes the node would get.
    sha256: String,
    values: Vec<Used>,
    /// What the author of a config may want to know.
    warnings: Vec<String>,
}

/// One value that was put in.
#[derive(Serialize, schemars::JsonSchema)]
struct Used {
    file: String,
    line: usize,
    /// As it is written in the file.
    form: String,
    value: String,
    /// `node`, `group:NAME` or `default:NAME` for an attribute; else `hardware`, `status`, `node`, `head`,
    /// `bootconfig:NAME`; `the form's default`, or `nothing`.
    from: String,
}

/// `GET /render/kickstart/<NAME>?node=N`
pub(crate) async fn kickstart(call: &mut Call) -> Result<Response<Body>, Error> {
    let name = FileName::parse(call.param("name").as_bytes()).map_err(ContentError::from)?;
    let node = node(call)?;
    preview(call, &name, node).await
}

/// `GET /render/ztp?node=N`
pub(crate) async fn ztp(call: &mut Call) -> Result<Response<Body>, Error> {
    let node = node(call)?;
    let name = ztp::script_name(&call.state, &node)?;
    preview(call, &name, node).await
}

/// `GET /render/ignition?node=N`
pub(crate) async fn ignition(call: &mut Call) -> Result<Response<Body>, Error> {
    let node = node(call)?;
    let place = Place::required(&call.state, &node)?;
    let (document, config) = ignition::config_at(&call.head, &place).await?;
    let values = NodeValues::for_node(call, Arc::clone(&node)).reading();
    let rendered = tokio::task::spawn_blocking(move || {
        let mut used = Vec::new();
        let bytes = ignition::fill(&values, &document, &config, |substitution| {
            used.push(Used::new(&values, &node, &substitution));
        });
        let mut warnings: Vec<_> = config.warnings.iter().map(finding).collect();
        warnings.extend(document.stale.as_deref().map(str::to_owned));
        bytes.map(|bytes| Preview {
            warnings,
            ..Preview::new(document.name.to_string(), &node, &bytes, used)
        })
    });
    Ok(envelope::data(rendered.await??))
}

fn node(call: &Call) -> Result<Arc<Node>, Error> {
    let id = call
        .query
        .text("node")
        .ok_or_else(|| Error::Malformed("node: say for which node".into()))?;
    call.state
        .node(id)
        .cloned()
        .ok_or_else(|| Error::NotFound(format!("there is no node {id:?}")))
}

async fn preview(call: &Call, name: &FileName, node: Arc<Node>) -> Result<Response<Body>, Error> {
    let file = boot_file(&call.head, name).await?;
    let values = NodeValues::for_node(call, Arc::clone(&node)).reading();
    let missing = call.head.settings.missing;
    let rendered = tokio::task::spawn_blocking(move || {
        let mut used = Vec::new();
        let bytes = values.fill(&file, missing, |substitution| {
            used.push(Used::new(&values, &node, &substitution));
        });
        bytes.map(|bytes| Preview::new(file.name.to_string(), &node, &bytes, used))
    });
    Ok(envelope::data(rendered.await??))
}

impl Preview {
    fn new(file: String, node: &Node, bytes: &[u8], values: Vec<Used>) -> Self {
        Self {
            file,
            node: node.name.clone(),
            node_uid: node.uid,
            text: String::from_utf8_lossy(bytes).into_owned(),
            sha256: Sha256Digest::of(bytes).to_string(),
            values,
            warnings: Vec::new(),
        }
    }
}

impl Used {
    fn new(values: &NodeValues, node: &Node, substitution: &Substitution<'_>) -> Self {
        Self {
            file: substitution.file.to_owned(),
            line: substitution.line,
            form: String::from_utf8_lossy(substitution.written).into_owned(),
            value: String::from_utf8_lossy(substitution.value).into_owned(),
            from: match substitution.origin {
                Origin::Value => source(values, node, substitution.form),
                Origin::Default => "the form's default".into(),
                Origin::Nothing => "nothing".into(),
            },
        }
    }
}

/// Where a value comes from.
fn source(values: &NodeValues, node: &Node, form: Form<'_>) -> String {
    match form {
        Form::Value {
            dictionary: Dictionary::Attributes,
            name,
        } => values
            .state
            .attribute(node, name)
            .map_or_else(String::new, |(_, from)| from.to_string()),
        Form::Value {
            dictionary: Dictionary::Hardware,
            ..
        } => "hardware".into(),
        Form::Value {
            dictionary: Dictionary::Status,
            ..
        } => "status".into(),
        Form::Value {
            dictionary: Dictionary::Node,
            ..
        } => "node".into(),
        Form::Value {
            dictionary: Dictionary::Head,
            ..
        }
        | Form::BaseUrl => "head".into(),
        Form::RootUrl => values
            .state
            .boot_config(node)
            .map_or_else(String::new, |config| format!("bootconfig:{}", config.name)),
    }
}
