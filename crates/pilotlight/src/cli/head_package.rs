//! `pilotlight head-package`: the packages of this very program, which a head makes for others to install.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use head_package::{Documents, Page};

use super::{Cli, Output};
use crate::error::Error;

/// Make the packages of this program, as rpm, deb and tar
///
/// A head does so by itself when it is first asked for them.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  pilotlight head-package --out packages")]
pub(crate) struct HeadPackage {
    /// The directory to make them in, which must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl HeadPackage {
    pub(super) fn run(self, mut output: Output) -> Result<(), Error> {
        // Nodes that boot meanwhile come first. Where this is not allowed, it is done all the same.
        let _ = rustix::process::nice(10);
        let documents = documents().map_err(anyhow::Error::from)?;
        // Also if its file was replaced since this was started.
        let executable = Path::new("/proc/self/exe");
        let packages = head_package::write(executable, &documents, &self.out)
            .map_err(|error| Error::Found(error.to_string()))?;
        let data = serde_json::to_value(&packages).map_err(anyhow::Error::from)?;
        let sentence = format!("made the packages in {}", self.out.display());
        output.done(&data, None, &sentence)
    }
}

fn documents() -> io::Result<Documents> {
    let completions = |shell: Shell| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "pilotlight", &mut script);
        script
    };
    Ok(Documents {
        manual: manual()?,
        bash: completions(Shell::Bash),
        zsh: completions(Shell::Zsh),
        fish: completions(Shell::Fish),
    })
}

/// The pages of all commands.
fn manual() -> io::Result<Vec<Page>> {
    let directory = tempfile::tempdir()?;
    clap_mangen::generate_to(Cli::command(), directory.path())?;
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(directory.path())? {
        let entry = entry?;
        pages.push(Page {
            file: entry.file_name().to_string_lossy().into_owned(),
            text: std::fs::read(entry.path())?,
        });
    }
    // The same packages each time.
    pages.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(pages)
}
