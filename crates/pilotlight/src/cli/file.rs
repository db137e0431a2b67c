//! `pilotlight file`

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Session;
use super::object::{Kind, List};
use crate::client::{Ask, escaped_path};
use crate::error::Error;
use crate::table::cell;
use clap::{Args, Subcommand};
use http::Method;

/// Files are listed as objects are, and for the rest are bytes.
const FILES: Kind = Kind {
    noun: "file",
    collection: "/files",
    item: "/files",
    fields: &[],
    has_attributes: false,
    columns: &["name", "size", "mtime", "sha256"],
};

/// Boot files: kickstarts, ZTP scripts and whatever else nodes fetch at boot
#[derive(Debug, Subcommand)]
pub(crate) enum File {
    /// List boot files
    #[command(after_help = "Example:
  pilotlight file list name='*.ks'")]
    List(List),
    /// Print a boot file as it stands, not rendered
    #[command(after_help = "Example:
  pilotlight file show basic.ks")]
    Show(Name),
    /// Store a boot file
    #[command(visible_aliases = ["create", "update"])]
    #[command(after_help = "Examples:
  pilotlight file put basic.ks ./basic.ks
  generate | pilotlight file put rack7/basic.ks -")]
    Put(Put),
    /// Delete boot files
    #[command(after_help = "Example:
  pilotlight file delete old.ks")]
    Delete(Names),
}

/// A boot file.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Its name, with / for directories
    name: String,
}

/// A boot file and its content.
#[derive(Debug, Args)]
pub(crate) struct Put {
    /// Its name, with / for directories
    name: String,
    /// The local file that holds the content; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Boot files.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Their names
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

impl File {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Self::List(list) => FILES.list(session, list).await,
            Self::Show(file) => {
                let bytes = session.client.ask_bytes(Ask::get(path(&file.name))).await?;
                session.output.bytes(&bytes)
            }
            Self::Put(put) => {
                let ask = Ask::new(Method::PUT, path(&put.name)).bytes(content(&put.file)?);
                let answer = session.client.ask(ask).await?;
                for warning in answer.data["warnings"].as_array().into_iter().flatten() {
                    session
                        .output
                        .warn(&format!("{}: {}", put.name, cell(warning)));
                }
                session
                    .output
                    .done(&answer.data, None, &format!("file {} stored", put.name))
            }
            Self::Delete(files) => {
                for name in files.names {
                    let answer = session
                        .client
                        .ask(Ask::new(Method::DELETE, path(&name)))
                        .await?;
                    session
                        .output
                        .done(&answer.data, None, &format!("file {name} deleted"))?;
                }
                Ok(())
            }
        }
    }
}

fn path(name: &str) -> String {
    format!("/files/{}", escaped_path(name))
}

/// What a local file holds, or standard input.
pub(super) fn content(file: &Path) -> Result<Vec<u8>, Error> {
    if file != Path::new("-") {
        return std::fs::read(file).map_err(|error| Error::file("read", file, error));
    }
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|source| Error::Terminal {
        action: "read the file",
        source,
    })
}
