//! `/nodes` and `/node/<UID>`. Clients write and read groups by name; stored are their UIDs.

use std::sync::Arc;

use http::Response;
use model::{ClusterState, Collection, Facts, Ip, MacAddr, Node, NodeSpec};
use serde_json::{Map, Value, json};

use super::objects::{self, Resource};
use crate::{Error, call::Call, envelope, glob, head::Head, reply::Body, reports::Status};

/// A node as a client sees it.
#[derive(schemars::JsonSchema)]
#[allow(dead_code, reason = "views are made as JSON")]
pub(crate) struct NodeView {
    #[serde(flatten)]
    spec: NodeSpec,
    /// What it last reported of itself; and `state`, which is `up`, `down` or `unknown`, and `last_seen`.
    status: Facts,
}

impl Resource for NodeSpec {
    const FILTERS: &'static [&'static str] = &[
        "name",
        "mac",
        "ip",
        "index",
        "type",
        "description",
        "group",
        "hostname",
        "domain",
        "uid",
        "attr.*",
        "hardware.*",
        "status.*",
    ];

    fn all(state: &ClusterState) -> &Collection<Self> {
        &state.nodes
    }

    fn find<'a>(state: &'a ClusterState, id: &str) -> Option<&'a Arc<Node>> {
        state.node(id)
    }

    fn accept(state: &ClusterState, body: &mut Map<String, Value>) -> Result<(), Error> {
        if body.contains_key("status") {
            return Err(Error::Malformed(
                "status: it is what the node itself reports (POST /node/<UID>/status), and cannot be set".into(),
            ));
        }
        let Some(groups) = body.get_mut("groups") else {
            return Ok(());
        };
        let not_names = || Error::Malformed("groups: it is a list of group names".into());
        let names = groups.as_array().ok_or_else(not_names)?;
        let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
        let mut uids = state.group_uids(names.ok_or_else(not_names)?)?;
        // A group named twice counts where it stands last: there it wins over the most.
        let mut seen = Vec::new();
        uids.reverse();
        uids.retain(|uid| {
            !seen.contains(uid) && {
                seen.push(*uid);
                true
            }
        });
        uids.reverse();
        *groups = json!(uids);
        Ok(())
    }

    fn show(state: &ClusterState, view: &mut Map<String, Value>) {
        let name = |uid: &Value| {
            // A group deleted under the node, by another head's hand in the same moment, counts for nothing.
            let group = state.groups.find(uid.as_str()?)?;
            Some(Value::from(group.name.as_str()))
        };
        let groups = view.get("groups").and_then(Value::as_array);
        let names: Vec<Value> = groups.into_iter().flatten().filter_map(name).collect();
        view.insert("groups".into(), names.into());
        for map in ["attributes", "hardware"] {
            view.entry(map).or_insert_with(|| Map::new().into());
        }
    }

    fn observe(head: &Head, state: &ClusterState, node: &Node, view: &mut Map<String, Value>) {
        let status = Status::of(&head.reports, state, node);
        view.insert("status".into(), json!(status.facts()));
    }

    fn passes(
        head: &Head,
        state: &ClusterState,
        node: &Node,
        field: &str,
        pattern: &str,
    ) -> Option<bool> {
        let is = |text: &str| glob::matches(pattern, text);
        Some(match field {
            "group" => node
                .groups
                .iter()
                .filter_map(|uid| state.groups.get(*uid))
                .any(|group| is(group.name.as_str())),
            // An address in any spelling, of any interface; or a pattern.
            "mac" => match pattern.parse::<MacAddr>() {
                Ok(wanted) => node.addresses().any(|(mac, _)| mac == wanted),
                Err(_) => node.addresses().any(|(mac, _)| is(&mac.to_string())),
            },
            "ip" => match pattern.parse::<Ip>() {
                Ok(wanted) => node.addresses().any(|(_, ip)| ip == Some(wanted)),
                Err(_) => node
                    .addresses()
                    .any(|(_, ip)| ip.is_some_and(|ip| is(&ip.to_string()))),
            },
            _ => {
                if let Some(name) = field.strip_prefix("attr.") {
                    return state.attribute(node, name).map(|(value, _)| is(value));
                }
                if let Some(name) = field.strip_prefix("hardware.") {
                    return node.hardware_key(name).map(|value| is(&value));
                }
                if let Some(name) = field.strip_prefix("status.") {
                    let status = Status::of(&head.reports, state, node);
                    return status.get(name).map(|value| is(&value));
                }
                let domain = state
                    .cluster()
                    .domain
                    .as_ref()
                    .map(|domain| domain.as_str());
                is(&node.field(field, domain)?)
            }
        })
    }
}

/// `GET /node/<UID>`; with `?effective=true` also what its groups give it, and which.
pub(crate) async fn show(call: &mut Call) -> Result<Response<Body>, Error> {
    let node = objects::find::<NodeSpec>(call, &call.state)?;
    let mut view = objects::view(&call.head, &call.state, &node);
    if call.query.value("effective")?.unwrap_or(false) {
        view.insert("effective".into(), effective(&call.state, &node));
    }
    Ok(envelope::object(view, node.revision))
}

/// `PUT /node/<UID>`. A node that was read is written back with its status, which by then may be another.
pub(crate) async fn replace(call: &mut Call) -> Result<Response<Body>, Error> {
    let mut body: Map<String, Value> = call.json().await?;
    body.remove("status");
    objects::edit::<NodeSpec>(call, |_, _| Ok(body.clone())).await
}

fn effective(state: &ClusterState, node: &Node) -> Value {
    let attributes = state.effective(node);
    let shown = attributes.iter().map(|(name, (value, from))| {
        (
            name.as_str().to_owned(),
            json!({"value": value, "from": from.to_string()}),
        )
    });
    Value::Object(shown.collect())
}
