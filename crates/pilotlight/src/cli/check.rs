//! `pilotlight check`

use clap::Args;

use super::Session;
use crate::client::Ask;
use crate::error::Error;
use crate::table::{Table, cell, counted};

/// Render every node's boot files, and list what would fail before a node finds out
#[derive(Debug, Args)]
#[command(after_help = "Example:
  pilotlight check || echo 'some node would not install'")]
pub(crate) struct Check {}

impl Check {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        let data = session.client.ask(Ask::get("/check")).await?.data;
        let problems = data["problems"].as_array().map_or(0, Vec::len);
        let checked = data["checked"].as_u64().unwrap_or_default();
        let checked = counted(checked.try_into().unwrap_or(usize::MAX), "node");
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
        for warning in data["warnings"].as_array().into_iter().flatten() {
            session.output.warn(&cell(warning));
        }
        if problems > 0 {
            return Err(Error::Found(format!(
                "{checked} checked, {problems} would not get their boot file"
            )));
        }
        let without: Vec<_> = (data["without"].as_array().into_iter().flatten())
            .filter_map(|name| name.as_str())
            .collect();
        let without = match without[..] {
            [] => String::new(),
            [first, .., last] if without.len() > NAMED => {
                format!(
                    "; {} have none: {first} to {last}",
                    counted(without.len(), "node")
                )
            }
            _ => format!("; without one: {}", without.join(", ")),
        };
        session.output.remark(&format!(
            "{checked} checked, every boot file renders{without}"
        ))
    }
}

/// How many nodes are named one by one.
const NAMED: usize = 10;
