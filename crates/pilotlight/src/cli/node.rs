//! `pilotlight node`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::Session;
use super::object::{Clear, Create, Delete, Kind, List, Set, Show, Update};
use super::words::{Field, Form};
use crate::client::{Ask, escaped};
use crate::error::Error;
use crate::table::{Table, cell};

const NODES: Kind = Kind {
    noun: "node",
    collection: "/nodes",
    item: "/node",
    fields: &[
        Field {
            name: "name",
            form: Form::Text,
        },
        Field {
            name: "mac",
            form: Form::Text,
        },
        Field {
            name: "ip",
            form: Form::Text,
        },
        Field {
            name: "index",
            form: Form::Number,
        },
        Field {
            name: "type",
            form: Form::Text,
        },
        Field {
            name: "description",
            form: Form::Text,
        },
        Field {
            name: "groups",
            form: Form::List,
        },
        Field {
            name: "interfaces",
            form: Form::Json,
        },
    ],
    has_attributes: true,
    columns: &[
        "name",
        "status.state",
        "status.last_seen",
        "mac",
        "ip",
        "index",
        "type",
        "groups",
        "description",
    ],
};

/// How often joining or leaving is tried anew when somebody else changes the node at the same moment.
const TRIES: usize = 5;

/// Nodes: the machines and switches that boot from the head
///
/// Wherever a node is named, its UID, a MAC or an IP will do too.
#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// List nodes
    #[command(after_help = "Examples:
  pilotlight node list
  pilotlight node list name='n*' group=gpu
  pilotlight node list attr._boot_config=ztp:cumulus.sh --limit 10")]
    List(List),
    /// Show one node
    #[command(after_help = "Examples:
  pilotlight node show n4
  pilotlight node show 10.0.0.4 --effective")]
    Show(ShowNode),
    /// Create a node
    ///
    /// Fields: mac (required), ip, index, type, description, groups=A,B, interfaces:=JSON, attr.NAME=VALUE.
    #[command(after_help = "Examples:
  pilotlight node create n4 mac=52:54:00:aa:00:04 ip=10.0.0.4 groups=gpu attr._boot_config=rocky9
  pilotlight node create n5 mac=52:54:00:aa:00:05 \\
    interfaces:='[{\"name\":\"ib0\",\"mac\":\"52:54:00:bb:00:05\"}]'")]
    Create(Create),
    /// Set attributes of a node
    #[command(after_help = "Example:
  pilotlight node set n4 disk=sda _boot_config=rocky9")]
    Set(Set),
    /// Remove attributes of a node
    #[command(after_help = "Example:
  pilotlight node clear n4 disk")]
    Clear(Clear),
    /// Change fields of a node
    ///
    /// Fields: name, mac, ip, index, type, description, groups=A,B, interfaces:=JSON, attr.NAME=VALUE. An empty value
    /// clears a field.
    #[command(after_help = "Example:
  pilotlight node update n4 ip=10.0.0.14 description=")]
    Update(Update),
    /// Delete nodes
    #[command(after_help = "Example:
  pilotlight node delete n4 n5")]
    Delete(Delete),
    /// Add a node to attribute groups, behind those it has
    #[command(after_help = "Example:
  pilotlight node join n4 gpu rack7")]
    Join(Groups),
    /// Take a node out of attribute groups
    #[command(after_help = "Example:
  pilotlight node leave n4 gpu")]
    Leave(Groups),
}

/// The node to show.
#[derive(Debug, Args)]
pub(crate) struct ShowNode {
    #[command(flatten)]
    node: Show,
    /// Show the attributes in force, with the group that sets each
    #[arg(long)]
    effective: bool,
}

/// A node and groups.
#[derive(Debug, Args)]
pub(crate) struct Groups {
    /// The node's name, UID, MAC or IP
    #[arg(value_name = "NODE")]
    node: String,
    /// The groups' names or UIDs
    #[arg(value_name = "GROUP", required = true)]
    groups: Vec<String>,
}

impl Node {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Self::List(list) => NODES.list(session, list).await,
            Self::Show(show) => show.run(session).await,
            Self::Create(create) => NODES.create(session, create).await,
            Self::Set(set) => NODES.set(session, set).await,
            Self::Clear(clear) => NODES.clear(session, clear).await,
            Self::Update(update) => NODES.update(session, update).await,
            Self::Delete(delete) => NODES.delete(session, delete).await,
            Self::Join(join) => join.change(session, joined).await,
            Self::Leave(leave) => leave.change(session, left).await,
        }
    }
}

impl ShowNode {
    async fn run(self, session: &mut Session) -> Result<(), Error> {
        if !self.effective {
            return NODES.show(session, &self.node).await;
        }
        let path = format!("{}?effective=true", NODES.path(&self.node.name)?);
        let answer = session.client.ask(Ask::get(path)).await?;
        session
            .output
            .show(&answer.data, |node| effective(&node["effective"]))
    }
}

fn effective(attributes: &Value) -> Table {
    let mut table = Table::new(["attribute", "value", "from"]);
    for (name, attribute) in attributes.as_object().into_iter().flatten() {
        table.row([
            name.clone(),
            cell(&attribute["value"]),
            cell(&attribute["from"]),
        ]);
    }
    table
}

impl Groups {
    /// Changes the node's list of groups, unless somebody else changes the node meanwhile.
    async fn change(
        self,
        session: &mut Session,
        change: impl Fn(Vec<String>, &[String]) -> Vec<String>,
    ) -> Result<(), Error> {
        let path = NODES.path(&self.node)?;
        let mut names = Vec::new();
        for group in &self.groups {
            // A node has its groups by name; those given may be UIDs, or misspelt.
            let ask = Ask::get(format!("/attrib/{}", escaped(group)));
            names.push(cell(&session.client.ask(ask).await?.data["name"]));
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let node = session.client.ask(Ask::get(&path)).await?;
            let groups = node.data["groups"].as_array();
            let before: Vec<String> = groups.into_iter().flatten().map(cell).collect();
            let after = change(before.clone(), &names);
            if after == before {
                let sentence = format!("node {} is as it was", self.node);
                return session.output.done(&node.data, None, &sentence);
            }
            let ask = Ask::new(Method::PATCH, &path)
                .json(&json!({"groups": after}))
                .if_match(node.etag);
            match session.client.ask(ask).await {
                Err(Error::Refused { status: 412, .. }) if tries < TRIES => {}
                answer => return NODES.updated(session, &self.node, &answer?.data),
            }
        }
    }
}

fn joined(mut groups: Vec<String>, new: &[String]) -> Vec<String> {
    for group in new {
        if !groups.contains(group) {
            groups.push(group.clone());
        }
    }
    groups
}

fn left(mut groups: Vec<String>, old: &[String]) -> Vec<String> {
    groups.retain(|group| !old.contains(group));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn joining_adds_behind_and_once() {
        assert_eq!(
            joined(names(&["b", "a"]), &names(&["c", "a", "c"])),
            names(&["b", "a", "c"])
        );
    }

    #[test]
    fn leaving_keeps_the_order_of_the_others() {
        assert_eq!(
            left(names(&["c", "b", "a"]), &names(&["b", "x"])),
            names(&["c", "a"])
        );
    }
}
