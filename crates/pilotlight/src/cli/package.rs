//! `pilotlight package`

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::Session;
use super::object::{Kind, List};
use crate::client::{Ask, escaped, escaped_path};
use crate::error::Error;

/// Packages are listed as objects are, and for the rest are files.
const PACKAGES: Kind = Kind {
    noun: "package",
    collection: "/packages",
    item: "/packages",
    fields: &[],
    has_attributes: false,
    columns: &[
        "name", "epoch", "version", "release", "arch", "type", "size", "file", "fault",
    ],
};

/// How often a conversion is asked after.
const PERIOD: Duration = Duration::from_secs(1);

/// Client packages: what nodes download and install
#[derive(Debug, Subcommand)]
pub(crate) enum Package {
    /// List packages, and what is wrong with files that are none
    #[command(after_help = "Example:
  pilotlight package list name='tele*' arch=x86_64")]
    List(List),
    /// Show one package
    #[command(after_help = "Examples:
  pilotlight package show rpm/telegraf-1.30.0-1.x86_64.rpm")]
    Show(Which),
    /// Add packages, or replace those of the same file name
    #[command(visible_alias = "put")]
    #[command(after_help = "Examples:
  pilotlight package add telegraf-1.30.0-1.x86_64.rpm
  pilotlight package add --directory site *.deb")]
    Add(Add),
    /// Remove packages
    #[command(visible_alias = "delete")]
    #[command(after_help = "Example:
  pilotlight package rm rpm/telegraf-1.29.0-1.x86_64.rpm")]
    Rm(Files),
    /// Make the tar of an rpm now, rather than when a node asks for it
    #[command(after_help = "Example:
  pilotlight package convert rpm/telegraf-1.30.0-1.x86_64.rpm")]
    Convert(Which),
}

/// A package.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Its kind and file, as rpm/NAME.rpm, or its id
    #[arg(value_name = "PACKAGE")]
    package: String,
}

/// Packages by their files.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// Their kinds and files, as rpm/NAME.rpm
    #[arg(value_name = "PACKAGE", required = true)]
    packages: Vec<String>,
}

/// Local packages.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The files, each called as its kind is: .rpm, .deb, .tar, .tar.gz, .tgz, .tar.xz, .tar.zst or .tar.bz2
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The directory to put them in, below that of their kind
    #[arg(long, value_name = "DIR")]
    directory: Option<String>,
}

/// The directory for a file of this name.
fn kind_of(name: &str) -> Option<&'static str> {
    const TARS: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2"];
    match name.rsplit_once('.')?.1 {
        "rpm" => Some("rpm"),
        "deb" => Some("deb"),
        _ => TARS.iter().any(|end| name.ends_with(end)).then_some("tar"),
    }
}

impl Package {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Self::List(list) => PACKAGES.list(session, list).await,
            Self::Show(which) => {
                let answer = session.client.ask(Ask::get(which.path())).await?;
                session
                    .output
                    .show(&answer.data, |package| PACKAGES.details(package))
            }
            Self::Add(add) => {
                for file in &add.files {
                    let name = add.name(file)?;
                    let path = format!("/packages/{}", escaped_path(&name));
                    let ask = Ask::new(Method::PUT, path).file(file.clone());
                    let answer = session.client.ask(ask).await?;
                    session
                        .output
                        .done(&answer.data, None, &format!("package {name} stored"))?;
                }
                Ok(())
            }
            Self::Rm(files) => {
                for name in files.packages {
                    let path = format!("/packages/{}", escaped_path(&name));
                    let answer = session.client.ask(Ask::new(Method::DELETE, path)).await?;
                    session
                        .output
                        .done(&answer.data, None, &format!("package {name} deleted"))?;
                }
                Ok(())
            }
            Self::Convert(which) => {
                let tar = convert(session, &which).await?;
                let said = format!("made tar/{}", tar["file"].as_str().unwrap_or_default());
                session.output.done(&tar, None, &said)
            }
        }
    }
}

impl Which {
    fn path(&self) -> String {
        format!("/packages/{}", escaped_path(&self.package))
    }
}

impl Add {
    /// The kind and file that a local file becomes.
    fn name(&self, file: &Path) -> Result<String, Error> {
        let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
            return Err(Error::Usage(format!("{} names no file", file.display())));
        };
        let Some(kind) = kind_of(name) else {
            return Err(Error::Usage(format!(
                "{name}: a package is called .rpm, .deb, .tar or .tar.gz at its end"
            )));
        };
        Ok(match &self.directory {
            Some(directory) => format!("{kind}/{}/{name}", directory.trim_matches('/')),
            None => format!("{kind}/{name}"),
        })
    }
}

/// The tar of an rpm. One that takes long is waited for.
async fn convert(session: &Session, which: &Which) -> Result<Value, Error> {
    let rpm = session.client.ask(Ask::get(which.path())).await?.data;
    let id = rpm["id"].as_str().unwrap_or(&which.package);
    let path = format!("/packages/{}", escaped(id));
    loop {
        let ask = Ask::new(Method::POST, format!("{path}/convert"));
        let refused = match session.client.ask(ask).await {
            Ok(answer) => return Ok(answer.data),
            Err(refused @ Error::Refused { status: 503, .. }) => refused,
            Err(error) => return Err(error),
        };
        let rpm = session.client.ask(Ask::get(path.as_str())).await?.data;
        if rpm["conversion"]["state"] != "running" {
            return Err(refused);
        }
        tokio::time::sleep(PERIOD).await;
    }
}
