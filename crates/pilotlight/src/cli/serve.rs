//! `pilotlight serve` and `pilotlight demo`: the commands that are a head.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Flags, ListenAddress, LogLevel, Sources};
use crate::error::Error;

/// Run a head
///
/// An empty data directory is initialised. The password of the first administrator, admin, is then in its file
/// admin_pass.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pilotlight serve --data /srv/pilotlight --listen 0.0.0.0:80
  pilotlight serve --config /etc/pilotlight/pilotlight.toml")]
pub(crate) struct Serve {
    #[command(flatten)]
    flags: Flags,
    /// Configuration file [default: /etc/pilotlight/pilotlight.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// On first start, take the password in this file instead of making one up
    #[arg(long, value_name = "FILE")]
    admin_pass_file: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self, verbose: bool) -> Result<(), Error> {
        let sources = Sources::gather(self.config.as_deref(), self.flags)?;
        let mut settings = sources.load().without_faults()?;
        if verbose && settings.log.level != LogLevel::Trace {
            settings.log.level = LogLevel::Debug;
        }
        Ok(crate::serve::run(
            &settings,
            self.admin_pass_file.as_deref(),
        )?)
    }
}

/// Run a head with sample nodes and boot files, to try things out
///
/// Everything is in a fresh temporary directory that is gone afterwards. This machine's own address is a node.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  pilotlight demo --listen 127.0.0.1:8080")]
pub(crate) struct Demo {
    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: ListenAddress,
}

impl Demo {
    pub(super) fn run(self) -> Result<(), Error> {
        Ok(crate::demo::run(&self.listen)?)
    }
}
