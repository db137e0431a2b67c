//! `GET /check`: renders every node's boot files, before any node finds out.

use std::sync::Arc;

use content::{ContentError, FileName};
use http::Response;
use model::{Name, Node};
use serde::Serialize;

use crate::{
    Error,
    boot::{values::NodeValues, ztp},
    call::Call,
    envelope,
    reply::Body,
};

/// What would fail.
#[derive(Serialize, schemars::JsonSchema)]
pub(crate) struct Report {
    /// How many nodes have boot files to render.
    checked: usize,
    /// The nodes that have none: no `_boot_config`, or one that names no file.
    without: Vec<Name>,
    problems: Vec<Problem>,
}

/// One node's file that would fail.
#[derive(Serialize, schemars::JsonSchema)]
struct Problem {
    node: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    reason: String,
}

/// `GET /check`
pub(crate) async fn get(call: &mut Call) -> Result<Response<Body>, Error> {
    let nodes: Vec<Arc<Node>> = call.state.nodes.iter().cloned().collect();
    let mut values = NodeValues::of_call(call).reading();
    let report = tokio::task::spawn_blocking(move || {
        let mut report = Report {
            checked: 0,
            without: Vec::new(),
            problems: Vec::new(),
        };
        for node in nodes {
            values.node = Some(Arc::clone(&node));
            match boot_file_of(&values, &node) {
                Ok(None) => report.without.push(node.name.clone()),
                Ok(Some(file)) => {
                    report.checked += 1;
                    if let Err(error) = renders(&values, &file) {
                        report
                            .problems
                            .push(problem(&node, Some(file.to_string()), &error));
                    }
                }
                Err(error) => {
                    report.checked += 1;
                    report.problems.push(problem(&node, None, &error));
                }
            }
        }
        report
    });
    Ok(envelope::data(report.await?))
}

fn problem(node: &Node, file: Option<String>, error: &Error) -> Problem {
    Problem {
        node: node.name.clone(),
        file,
        reason: error.to_string(),
    }
}

/// The file that this node will ask for, if its `_boot_config` leads to one.
fn boot_file_of(values: &NodeValues, node: &Node) -> Result<Option<FileName>, Error> {
    let state = &values.state;
    let Some((wanted, from)) = state.attribute(node, "_boot_config") else {
        return Ok(None);
    };
    if wanted.starts_with("ztp:") {
        return ztp::script_name(state, node).map(Some);
    }
    let Some(boot_config) = state.boot_config(node) else {
        return Err(Error::NotFound(format!(
            "_boot_config {wanted:?} (set by {from}) names no boot configuration"
        )));
    };
    let Some(kickstart) = &boot_config.kickstart else {
        return Ok(None);
    };
    let in_config = |error| {
        Error::NotFound(format!(
            "boot configuration {}: kickstart: {error}",
            boot_config.name
        ))
    };
    FileName::parse(kickstart.as_bytes())
        .map(Some)
        .map_err(in_config)
}

fn renders(values: &NodeValues, name: &FileName) -> Result<(), Error> {
    let file = values
        .head
        .boot_files
        .boot_file(name)
        .map_err(|error: ContentError| Error::from(error))?;
    values
        .fill(&file, values.head.settings.missing, |_| {})
        .map(drop)
}
