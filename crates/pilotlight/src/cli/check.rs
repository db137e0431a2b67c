//! `pilotlight check`

use clap::Args;

use super::Session;
use crate::client::Ask;
use crate::error::Error;
use crate::table::{Table, cell};

/// Render every node's boot files, and list what would fail before a node finds out
#[derive(Debug, Args)]
#[command(after_help = "Example:
  pilotlight check || echo 'some node would not install'")]
pub(crate) struct Check {}

impl Check {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        let data = session.client.ask(Ask::get("/check")).await?.data;
        let problems = data["problems"].as_array().map_or(0, Vec::len);
        let checked = cell(&data["checked"]);
        if session.output.is_json() {
            session.output.json(&data)?;
        } else if problems > 0 {
            let mut table = Table::new(["node", "file", "reason"]);
            for problem in data["problems"].as_array().into_iter().flatten() {
                table.row([
                    cell(&problem["node"]),
                    cell(&problem["file"]),
                    cell(&problem["reason"]),
                ]);
            }
            session.output.table(&table)?;
        }
        match problems {
            0 => session
                .output
                .remark(&format!("{checked} nodes checked, every boot file renders")),
            _ => Err(Error::Found(format!(
                "{checked} nodes checked, {problems} would not get their boot file"
            ))),
        }
    }
}
