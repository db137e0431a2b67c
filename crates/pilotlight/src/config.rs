//! What can be configured, and where each value came from.
//!
//! A value is taken from the command line, else from `PILOTLIGHT_SECTION_KEY` in the environment, else from the
//! configuration file, else it is the default. Reading never stops at the first fault: an administrator should
//! see all of them at once.

mod choice;
mod duration;
mod fault;
mod listen;
mod network;
mod reader;
mod settings;
mod size;
mod written;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use duration::parse as parse_duration;
pub(crate) use fault::{Fault, Origin};
pub(crate) use listen::ListenAddress;
pub(crate) use settings::*;

use crate::error::Error;

/// The file that is read when `--config` names none and this one exists.
pub(crate) const STANDARD_FILE: &str = "/etc/pilotlight/pilotlight.toml";

/// Everything that may set a value, strongest last: file, environment, flags.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The configuration file, if there is one.
    pub(crate) file: Option<ConfigFile>,
    /// The environment's `PILOTLIGHT_…` variables.
    pub(crate) environment: BTreeMap<String, String>,
    /// The flags of `pilotlight serve`.
    pub(crate) flags: Flags,
}

/// A configuration file as read.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    /// Where it was read.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) text: String,
}

/// The flags that stand for a setting.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct Flags {
    /// Directory that holds the head's state [default: /var/lib/pilotlight]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address to listen on, besides those configured; port 0 takes a free one (repeatable)
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Vec<ListenAddress>,
    /// Directory of the boot files [default: <data>/kickstarts]
    #[arg(long, value_name = "DIR")]
    pub(crate) kickstarts: Option<PathBuf>,
    /// Directory of the client packages [default: <data>/clientpkgs]
    #[arg(long, value_name = "DIR")]
    pub(crate) clientpkgs: Option<PathBuf>,
}

impl Sources {
    /// The file at `config`, or the standard one where it exists; this process's environment; `flags`.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read, or is not UTF-8.
    pub(crate) fn gather(config: Option<&Path>, flags: Flags) -> Result<Self, Error> {
        let path = config.unwrap_or(Path::new(STANDARD_FILE));
        let file = match std::fs::read_to_string(path) {
            Ok(text) => Some(ConfigFile {
                path: path.to_owned(),
                text,
            }),
            Err(error) if config.is_none() && error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::file("read", path, error)),
        };
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with("PILOTLIGHT_"))
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect();
        Ok(Self {
            file,
            environment,
            flags,
        })
    }

    /// Reads every setting from these sources.
    pub(crate) fn load(&self) -> Loaded {
        let mut reader = reader::Reader::new(self);
        let settings = Settings::read(&mut reader, &self.flags);
        let (origins, faults) = reader.finish();
        Loaded {
            settings,
            origins,
            faults,
        }
    }
}

/// The settings in force, and how they came to be.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The settings; a faulty one has its default.
    pub(crate) settings: Settings,
    /// Every key (`limits.body`) in the order of the documentation, with what set it.
    pub(crate) origins: Vec<(&'static str, Origin)>,
    /// Everything wrong with the sources; in the order of the file's lines, the rest behind.
    pub(crate) faults: Vec<Fault>,
}

impl Loaded {
    /// The settings, if nothing is wrong with them.
    ///
    /// # Errors
    /// [`Error::Settings`] with every fault.
    pub(crate) fn without_faults(self) -> Result<Settings, Error> {
        if self.faults.is_empty() {
            Ok(self.settings)
        } else {
            Err(Error::Settings(self.faults))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
