//! `pilotlight completions` and `pilotlight man`: documents made from the command line's own definition.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::{Cli, Output};
use crate::error::Error;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:
  pilotlight completions bash > /etc/bash_completion.d/pilotlight")]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(self, mut output: Output) -> Result<(), Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "pilotlight", &mut script);
        output.bytes(&script)
    }
}

/// Print the manual page, or write those of all commands
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pilotlight man | man -l -
  pilotlight man --out /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Write a page for each command into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, mut output: Output) -> Result<(), Error> {
        if let Some(directory) = self.out {
            return std::fs::create_dir_all(&directory)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), &directory))
                .map_err(|error| Error::file("write the pages into", &directory, error));
        }
        let mut page = Vec::new();
        // As in the pages of all commands: `help` has no page.
        clap_mangen::Man::new(Cli::command().disable_help_subcommand(true))
            .render(&mut page)
            .map_err(anyhow::Error::from)?;
        output.bytes(&page)
    }
}
