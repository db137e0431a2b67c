//! `pilotlight cluster`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::Session;
use super::object::Kind;
use super::words::{self, Assignment, Field, Form};
use crate::client::Ask;
use crate::error::Error;
use crate::table::{Table, cell, counted};

/// How many files that differ are named, for each head.
const NAMED: usize = 5;

/// The one object without a name in its path.
const CLUSTER: Kind = Kind {
    noun: "cluster",
    collection: "/cluster",
    item: "/cluster",
    fields: &[
        Field {
            name: "name",
            form: Form::Text,
        },
        Field {
            name: "domain",
            form: Form::Text,
        },
        Field {
            name: "default_group",
            form: Form::Text,
        },
    ],
    has_attributes: false,
    columns: &[],
};

/// The cluster: what holds for all its nodes
#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Show the cluster and how many objects it has
    #[command(after_help = "Example:
  pilotlight cluster show")]
    Show,
    /// Show how its heads are: who leads, who is behind, whose files differ
    ///
    /// Ends with exit code 1 when something is not in order.
    #[command(after_help = "Example:
  pilotlight cluster status")]
    Status,
    /// Change fields of the cluster
    ///
    /// Fields: name, domain, default_group. An empty value clears a field.
    #[command(after_help = "Example:
  pilotlight cluster update domain=cluster.example")]
    Update(UpdateCluster),
}

/// The fields to change.
#[derive(Debug, Args)]
pub(crate) struct UpdateCluster {
    /// The fields to change; an empty value clears
    #[arg(value_name = "FIELD=VALUE", required = true)]
    words: Vec<Assignment>,
}

impl Cluster {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Self::Show => {
                let answer = session.client.ask(Ask::get(CLUSTER.item)).await?;
                session
                    .output
                    .show(&answer.data, |cluster| CLUSTER.details(cluster))
            }
            Self::Status => status(session).await,
            Self::Update(update) => {
                let fields = words::fields(update.words, CLUSTER.fields, false)?;
                let ask = Ask::new(Method::PATCH, CLUSTER.item).json(&Value::Object(fields));
                let answer = session.client.ask(ask).await?;
                session.output.done(&answer.data, None, "cluster updated")
            }
        }
    }
}

async fn status(session: &mut Session) -> Result<(), Error> {
    let data = session.client.ask(Ask::get("/cluster/status")).await?.data;
    let heads = || data["heads"].as_array().into_iter().flatten();
    let mut faults = Vec::new();
    let mut table = Table::new([
        "head",
        "url",
        "leads",
        "link",
        "behind",
        "files",
        "differ",
        "conflicts",
    ]);
    for head in heads() {
        faults.extend(faults_of(head));
        let (name, status) = (cell(&head["name"]), &head["status"]);
        let count = |what: &str| status["files"][what].as_u64().unwrap_or_default();
        let differ = count("missing") + count("differing") + count("unpublished");
        let link = match status["link"]["state"].as_str() {
            Some(link) => link.to_owned(),
            None => "no answer".to_owned(),
        };
        let is_leader = data["etcd"]["leader"].as_str() == Some(&name);
        table.row([
            name,
            cell(&head["url"]),
            if is_leader { "leads" } else { "" }.to_owned(),
            link,
            cell(&head["behind"]),
            cell(&status["files"]["alike"]),
            if status.is_null() {
                String::new()
            } else {
                differ.to_string()
            },
            cell(&status["conflicts"]),
        ]);
    }
    let etcd = &data["etcd"];
    if let (Some(voters), Some(healthy), Some(needed)) = (
        etcd["voters"].as_u64(),
        etcd["healthy"].as_u64(),
        etcd["needed"].as_u64(),
    ) && healthy < voters
    {
        faults.push(format!(
            "etcd: {healthy} of {voters} members answer, {needed} are needed for changes"
        ));
    }
    faults.extend(etcd["fault"].as_str().map(|fault| format!("etcd: {fault}")));
    if session.output.is_json() {
        session.output.json(&data)?;
    } else if heads().next().is_none() {
        session
            .output
            .remark("this head is alone; its cluster is in its own database")?;
    } else {
        session.output.table(&table)?;
    }
    match faults[..] {
        [] => Ok(()),
        _ => Err(Error::Found(faults.join("\n"))),
    }
}

/// What is not in order with a head, a line each.
fn faults_of(head: &Value) -> Vec<String> {
    let (status, files) = (&head["status"], &head["status"]["files"]);
    let count = |what: &str| files[what].as_u64().unwrap_or_default();
    let mut faults = Vec::new();
    for fault in [&head["fault"], &status["link"]["why"]] {
        faults.extend(fault.as_str().map(str::to_owned));
    }
    if files["are_compared"] == false {
        faults.push("it is still comparing its files".to_owned());
    }
    let (behind, unpublished) = (count("missing") + count("differing"), count("unpublished"));
    if behind > 0 {
        let behind = counted(behind as usize, "file");
        faults.push(format!("{behind} not there yet, or in another version"));
    }
    if unpublished > 0 {
        let unpublished = counted(unpublished as usize, "file");
        faults.push(format!("{unpublished} that no other head knows of yet"));
    }
    let texts = |list: &Value| -> Vec<String> {
        let texts = list.as_array().into_iter().flatten();
        texts.map(cell).collect()
    };
    let examples = texts(&files["examples"]);
    if !examples.is_empty() {
        let named: Vec<_> = examples.iter().take(NAMED).cloned().collect();
        let others = (behind + unpublished).saturating_sub(named.len() as u64);
        let more = match others {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        faults.push(format!("those are {}{more}", named.join(", ")));
    }
    faults.extend(texts(&files["faults"]));
    if status["conflicts"]
        .as_u64()
        .is_some_and(|conflicts| conflicts > 0)
    {
        faults.push("overridden versions of files lie in its directory conflicts".to_owned());
    }
    let name = cell(&head["name"]);
    faults
        .iter()
        .map(|fault| format!("{name}: {fault}"))
        .collect()
}
