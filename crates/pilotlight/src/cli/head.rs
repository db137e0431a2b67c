//! `pilotlight head`

use clap::{Args, Subcommand};
use http::Method;

use super::Session;
use super::object::{Kind, List, Show};
use crate::client::Ask;
use crate::error::Error;

const HEADS: Kind = Kind {
    noun: "head",
    collection: "/heads",
    item: "/head",
    fields: &[],
    has_attributes: false,
    columns: &["name", "url", "exchange", "version"],
};

/// Heads: the servers that serve this cluster
///
/// A head joins with the script that another hands out: curl -s http://HEAD/api/v1/install/head/scyld-install.
#[derive(Debug, Subcommand)]
pub(crate) enum Head {
    /// List the heads; a single one is not listed
    #[command(after_help = "Example:
  pilotlight head list")]
    List(List),
    /// Show one head
    #[command(after_help = "Example:
  pilotlight head show head2")]
    Show(Show),
    /// Take a head out of the cluster: one that is to leave, or one that will not come back
    ///
    /// Refused when changes could not be made without it, or when it has files that no other head has yet.
    #[command(visible_alias = "delete")]
    #[command(after_help = "Examples:
  pilotlight head remove head2
  pilotlight head remove head3 --force")]
    Remove(Remove),
    /// Take the head that is asked, which is the one on this machine, out of the cluster
    ///
    /// It hands over first. Then it serves what it last knew until it is stopped.
    #[command(after_help = "Example:
  pilotlight head leave")]
    Leave(Leave),
}

/// The head to remove.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Its name or UID
    name: String,
    /// Even if changes cannot be made then, or files are lost
    #[arg(long)]
    force: bool,
}

/// How to leave.
#[derive(Debug, Args)]
pub(crate) struct Leave {
    /// Even if changes cannot be made then, or files are lost
    #[arg(long)]
    force: bool,
}

impl Head {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Self::List(list) => HEADS.list(session, list).await,
            Self::Show(show) => HEADS.show(session, &show).await,
            Self::Remove(Remove { name, force }) => remove(session, &name, force).await,
            Self::Leave(Leave { force }) => {
                let status = session.client.ask(Ask::get("/cluster/status")).await?;
                let heads = status.data["heads"].as_array();
                let here =
                    heads.and_then(|heads| heads.iter().find(|head| head["is_here"] == true));
                let name = here.and_then(|head| head["name"].as_str());
                let name = name.ok_or_else(|| {
                    Error::Usage(
                        "this head is the only one of its cluster, or none of it any more"
                            .to_owned(),
                    )
                })?;
                remove(session, name, force).await
            }
        }
    }
}

async fn remove(session: &mut Session, name: &str, force: bool) -> Result<(), Error> {
    let mut path = HEADS.path(name)?;
    if force {
        path.push_str("?force=true");
    }
    let answer = session.client.ask(Ask::new(Method::DELETE, path)).await?;
    let sentence = format!("head {name} removed");
    session.output.done(&answer.data, None, &sentence)
}
