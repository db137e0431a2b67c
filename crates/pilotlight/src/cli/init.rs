//! `pilotlight init`

use std::path::{Path, PathBuf};

use clap::Args;

use super::Output;
use crate::config::{Flags, Sources};
use crate::data_directory::DataDirectory;
use crate::error::Error;

/// Make a new cluster in an empty data directory, without serving it
///
/// `pilotlight serve` does so by itself. A directory that holds a cluster is left as it is.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  pilotlight init --data /srv/pilotlight --password-file first-password")]
pub(crate) struct Init {
    #[command(flatten)]
    flags: Flags,
    /// Configuration file [default: /etc/pilotlight/pilotlight.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take the cluster's password from this file's first line instead of making one up; - is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Init {
    pub(super) fn run(self, mut output: Output) -> Result<(), Error> {
        let sources = Sources::gather(self.config.as_deref(), self.flags)?;
        let directory = sources.load().without_faults()?.data;
        if directory.join("pilotlight.db").exists() {
            let there = format!("{} holds a cluster already", directory.display());
            return output.remark(&there);
        }
        // As when it is served: what a head keeps is its own business.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let password_file = match self.password_file.as_deref() {
            Some(file) if file == Path::new("-") => Some(Path::new("/dev/stdin")),
            file => file,
        };
        let data = DataDirectory::hold(&directory)?;
        data.open_store(password_file)?;
        let made = format!("made a new cluster in {}", directory.display());
        output.remark(&made)?;
        match password_file {
            Some(_) => Ok(()),
            None => {
                let file = data.file("admin_pass");
                let told = format!(
                    "the password of its administrator, admin, is in {}",
                    file.display()
                );
                output.remark(&told)
            }
        }
    }
}
