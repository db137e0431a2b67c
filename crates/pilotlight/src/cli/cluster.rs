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
        let (name, status) = (cell(&head["name"]), &head["status"]);
        let count = |what: &str| status["files"][what].as_u64().unwrap_or_default();
        let differ = count("missing") + count("differing");
        let unpublished = count("unpublished");
        let link = match status["link"]["state"].as_str() {
            Some(link) => link.to_owned(),
            None => "no answer".to_owned(),
        };
        for fault in [&head["fault"], &status["link"]["why"]] {
            faults.extend(fault.as_str().map(|fault| format!("{name}: {fault}")));
        }
        if status["files"]["are_compared"] == false {
            faults.push(format!("{name}: it is still comparing its files"));
        }
        if differ > 0 {
            faults.push(format!(
                "{name}: {} not there yet, or in another version",
                counted(differ as usize, "file")
            ));
        }
        if unpublished > 0 {
            faults.push(format!(
                "{name}: {} that no other head knows of yet",
                counted(unpublished as usize, "file")
            ));
        }
        if status["conflicts"]
            .as_u64()
            .is_some_and(|conflicts| conflicts > 0)
        {
            faults.push(format!(
                "{name}: overridden versions of files lie in its directory conflicts"
            ));
        }
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
                (differ + unpublished).to_string()
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
