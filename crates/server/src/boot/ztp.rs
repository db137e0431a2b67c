//! `GET /ztp/script`: the script or configuration that the asking switch's `_boot_config` names, as `ztp:<NAME>`.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use content::FileName;
use model::{ClusterState, Node};

use crate::{
    Error,
    boot::{self, Delivery},
    call::Call,
    reply::Body,
};

pub(crate) async fn get(call: &Call) -> Result<Delivery, Error> {
    let Some(asker) = &call.asker else {
        let nobody = boot::values::NodeValues::of_call(call).nobody();
        return Err(Error::NotFound(nobody));
    };
    let name = script_name(&call.state, &asker.node)?;
    let delivery = boot::deliver(call, &name).await?;
    if let Body::Full(script) = &delivery.content.body {
        let markers = &call.head.markers;
        markers.look_for(&name, script, &delivery.file_revision);
    }
    Ok(delivery)
}

/// The file that a switch's `_boot_config` names.
///
/// # Errors
/// It has none, or one that names no ZTP file: the reason tells what it is.
pub(crate) fn script_name(state: &ClusterState, node: &Node) -> Result<FileName, Error> {
    let Some((value, from)) = state.attribute(node, "_boot_config") else {
        return Err(Error::NotFound(format!(
            "node {} has no attribute \"_boot_config\"",
            node.name
        )));
    };
    let Some(name) = value.strip_prefix("ztp:") else {
        return Err(Error::NotFound(format!(
            "node {} has _boot_config {value:?} (set by {from}), which is not ztp:<NAME>",
            node.name
        )));
    };
    FileName::parse(name.as_bytes())
        .map_err(|error| Error::NotFound(format!("node {}: {error}", node.name)))
}

/// Cumulus Linux runs no script without this text in it.
const MARKER: &[u8] = b"CUMULUS-AUTOPROVISIONING";

/// More scripts than this are warned about anew.
const REMEMBERED: usize = 1000;

/// Remembers which scripts were found to lack Cumulus' marker, to warn once per revision of a file.
#[derive(Default)]
pub(crate) struct MissingMarkers(Mutex<HashSet<(FileName, Box<str>)>>);

impl MissingMarkers {
    fn look_for(&self, name: &FileName, script: &[u8], revision: &str) {
        if !script.starts_with(b"#!") || memchr::memmem::find(script, MARKER).is_some() {
            return;
        }
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() >= REMEMBERED {
            warned.clear();
        }
        if warned.insert((name.clone(), revision.into())) {
            tracing::warn!(file = %name, "this ZTP script has no CUMULUS-AUTOPROVISIONING in it: Cumulus Linux will not run it");
        }
    }
}
