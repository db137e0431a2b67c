//! Pilotlight and nginx side by side, serving the same bytes under the same loads.
//!
//! Each load goes against both servers in turn, several times over, so that whatever else the machine does meanwhile
//! disturbs both. All of it happens on the loopback of a network namespace of its own, where a connection to 127.x.y.z
//! comes from 127.x.y.z: so one machine asks as thousands of nodes.

use std::{fmt::Display, ops::Range, path::Path, time::Duration};

use anyhow::{Result, ensure};

use super::{
    cluster::{self, NodeFile},
    nginx::Nginx,
    outcome::Outcome,
    pilotlight::Head,
    process::Process,
    storm, wrk,
};

/// How often each server is measured under each load: many short rounds, so that the two of one round see the same
/// machine.
pub(crate) const ROUNDS: usize = 11;
/// How long one measurement takes.
pub(crate) const ROUND: Duration = Duration::from_secs(2);
/// How many connections ask at once.
pub(crate) const CONNECTIONS: usize = 64;

/// What one round found.
pub(crate) struct Round<T = Outcome> {
    pub nginx: T,
    pub pilotlight: T,
}

/// Fails unless what measures and what is measured beside Pilotlight are installed.
pub(crate) fn require() -> Result<()> {
    wrk::require()?;
    Nginx::require()
}

/// Both servers, running.
pub(crate) struct SideBySide<'a> {
    head: &'a Head,
    nginx: Nginx,
    file: NodeFile,
    directory: &'a Path,
}

impl<'a> SideBySide<'a> {
    /// Starts nginx beside a head, with what the head gives each of these nodes.
    pub(crate) fn start(
        head: &'a Head,
        file: NodeFile,
        nodes: Range<usize>,
        directory: &'a Path,
    ) -> Result<Self> {
        let path_and_bytes = |node| Ok((file.path(node), storm::fetch(head.port(), node, file)?));
        let nginx = Nginx::start(directory, nodes.clone().map(path_and_bytes))?;
        for node in [nodes.start, nodes.end - 1] {
            ensure!(
                storm::fetch(nginx.port(), node, file)? == storm::fetch(head.port(), node, file)?,
                "nginx does not serve the rendered bytes"
            );
        }
        // The head goes on recording for some seconds what it has answered.
        head.process().settle()?;
        Ok(Self {
            head,
            nginx,
            file,
            directory,
        })
    }

    /// As many requests as the servers answer on connections that stay, from so many addresses.
    pub(crate) fn load(&self, addresses: usize) -> Result<Vec<Round>> {
        println!("{CONNECTIONS} connections from {addresses} addresses");
        rounds(self.head, &self.nginx, |round, port, server| {
            let load = wrk::Load {
                port,
                file: self.file,
                connections: CONNECTIONS,
                nodes: cluster::nodes(round * addresses, addresses),
                time: ROUND,
            };
            load.run(self.directory, server)
        })
    }

    /// A cluster that powers on, just after a change.
    pub(crate) fn storm(&self) -> Result<Vec<Round>> {
        println!("each of {} nodes once", cluster::NODES);
        rounds(self.head, &self.nginx, |round, port, server| {
            cluster::touch(self.head.socket(), round)?;
            storm::run(port, server, self.file)
        })
    }
}

/// Measures both servers again and again: `measure` is told the round, the port and the process.
pub(crate) fn rounds<T: Display>(
    head: &Head,
    nginx: &Nginx,
    measure: impl Fn(usize, u16, &Process) -> Result<T>,
) -> Result<Vec<Round<T>>> {
    let round = |round| {
        let ask_head = || measure(round, head.port(), head.process());
        let ask_nginx = || {
            // What the head is still recording is no fault of nginx.
            head.process().settle()?;
            measure(round, nginx.port(), nginx.process())
        };
        // Neither is always the first.
        let round = if round % 2 == 0 {
            let pilotlight = ask_head()?;
            let nginx = ask_nginx()?;
            Round { nginx, pilotlight }
        } else {
            let nginx = ask_nginx()?;
            let pilotlight = ask_head()?;
            Round { nginx, pilotlight }
        };
        println!(
            "  nginx       {}\n  Pilotlight  {}",
            round.nginx, round.pilotlight
        );
        Ok(round)
    };
    (0..ROUNDS).map(round).collect()
}
