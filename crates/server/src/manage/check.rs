//! `GET /check`: renders every node's boot files, before any node finds out.

use std::{collections::BTreeSet, sync::Arc};

use content::{ContentError, FileName};
use http::Response;
use model::{Name, Node};
use serde::Serialize;

use crate::{
    Error,
    boot::{
        ignition::{self, document::Place},
        values::NodeValues,
        ztp,
    },
    call::Call,
    envelope,
    reply::Body,
    reports::period,
};

/// What would fail.
#[derive(Serialize, schemars::JsonSchema)]
pub(crate) struct Report {
    /// How many nodes have boot files to render.
    checked: usize,
    /// The nodes that have none: no `_ignition`, and no `_boot_config` or one that names no file.
    without: Vec<Name>,
    problems: Vec<Problem>,
    /// What does not count as it is written.
    warnings: BTreeSet<String>,
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
    let mut nodes = Vec::new();
    for node in call.state.nodes.iter() {
        // By way of the caches, as when the nodes themselves ask: once for all that share a config.
        let config = match Place::of(&call.state, node) {
            Ok(None) => None,
            Ok(Some(place)) => {
                let config = ignition::config_at(&call.head, &place).await;
                Some(config.map_err(|error| (Some(place.name()), error)))
            }
            Err(error) => Some(Err((None, error))),
        };
        nodes.push((Arc::clone(node), config));
    }
    let mut values = NodeValues::of_call(call).reading();
    let report = tokio::task::spawn_blocking(move || {
        let mut report = Report {
            checked: 0,
            without: Vec::new(),
            problems: Vec::new(),
            warnings: BTreeSet::new(),
        };
        for (node, config) in nodes {
            report.warnings.extend(period::fault(&values.state, &node));
            values.node = Some(Arc::clone(&node));
            let boot_file = boot_file_of(&values, &node);
            if matches!(boot_file, Ok(None)) && config.is_none() {
                report.without.push(node.name.clone());
                continue;
            }
            report.checked += 1;
            let boot_file = match boot_file {
                Ok(None) => Ok(()),
                Ok(Some(file)) => {
                    renders(&values, &file).map_err(|error| (Some(file.to_string()), error))
                }
                Err(error) => Err((None, error)),
            };
            let config = match config {
                None => Ok(()),
                Some(Ok((document, config))) => ignition::fill(&values, &document, &config, |_| {})
                    .map(drop)
                    .map_err(|error| (Some(document.name.to_string()), error)),
                Some(Err(fault)) => Err(fault),
            };
            for (file, error) in [boot_file, config].into_iter().filter_map(Result::err) {
                report.problems.push(problem(&node, file, &error));
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
