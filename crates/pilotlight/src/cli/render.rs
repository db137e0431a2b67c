//! `pilotlight render`

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Session;
use crate::client::{Ask, escaped, escaped_path};
use crate::error::Error;
use crate::table::{Table, cell};

/// Print what a node would get, byte for byte
#[derive(Debug, Subcommand)]
pub(crate) enum Render {
    /// Print a kickstart as a node would get it
    #[command(after_help = "Examples:
  pilotlight render kickstart basic.ks --node n4
  pilotlight render kickstart basic.ks --node n4 --provenance")]
    Kickstart(Kickstart),
    /// Print the Ignition config of a node
    #[command(after_help = "Example:
  pilotlight render ignition --node n4")]
    Ignition(For),
    /// Print the ZTP script of a switch
    #[command(after_help = "Example:
  pilotlight render ztp --node leaf1")]
    Ztp(For),
}

/// A kickstart for a node.
#[derive(Debug, Args)]
pub(crate) struct Kickstart {
    /// The boot file's name
    name: String,
    #[command(flatten)]
    node: For,
}

/// For which node to render.
#[derive(Debug, Args)]
pub(crate) struct For {
    /// The node's name, UID, MAC or IP
    #[arg(long)]
    node: String,
    /// Behind the text, list every value with the group that set it
    #[arg(long)]
    provenance: bool,
}

impl Render {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        let (path, node) = match self {
            Self::Kickstart(kickstart) => (
                format!("kickstart/{}", escaped_path(&kickstart.name)),
                kickstart.node,
            ),
            Self::Ignition(node) => ("ignition".to_owned(), node),
            Self::Ztp(node) => ("ztp".to_owned(), node),
        };
        let ask = Ask::get(format!("/render/{path}?node={}", escaped(&node.node)));
        let rendered = session.client.ask(ask).await?.data;
        if session.output.is_json() {
            return session.output.json(&rendered);
        }
        for warning in rendered["warnings"].as_array().into_iter().flatten() {
            session.output.warn(&cell(warning));
        }
        session
            .output
            .bytes(rendered["text"].as_str().unwrap_or_default().as_bytes())?;
        if node.provenance {
            session.output.bytes(b"\n")?;
            session.output.table(&values(&rendered["values"]))?;
        }
        Ok(())
    }
}

fn values(values: &Value) -> Table {
    let mut table = Table::new(["line", "form", "value", "from"]);
    for value in values.as_array().into_iter().flatten() {
        let line = format!("{}:{}", cell(&value["file"]), cell(&value["line"]));
        table.row([
            line,
            cell(&value["form"]),
            cell(&value["value"]),
            cell(&value["from"]),
        ]);
    }
    table
}
