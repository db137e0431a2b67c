//! `pilotlight cluster`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::Session;
use super::object::Kind;
use super::words::{self, Assignment, Field, Form};
use crate::client::Ask;
use crate::error::Error;

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
            Self::Update(update) => {
                let fields = words::fields(update.words, CLUSTER.fields, false)?;
                let ask = Ask::new(Method::PATCH, CLUSTER.item).json(&Value::Object(fields));
                let answer = session.client.ask(ask).await?;
                session.output.done(&answer.data, None, "cluster updated")
            }
        }
    }
}
