//! `pilotlight join`: what `scyld-install --join` runs once this program is installed.
//!
//! The cluster lets this machine in ([`admission`]), and this machine copies all that a head has ([`copy`]). Broken off
//! anywhere, it goes on from there when it is run again; and until [`pilotlight serve`](super::serve) runs on the data
//! directory, nothing has changed in the cluster.

mod admission;
mod copy;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use clap::Args;
use heads::identity::{Enrolled, IdentityError};
use model::Name;

use super::{Global, Output, password};
use crate::client::{Client, HeadAddress, Logins};
use crate::config::{Flags, Settings, Sources};
use crate::data_directory::DataDirectory;
use crate::error::Error;

/// Make this machine a head of another head's cluster
///
/// Copies the cluster's state, boot files and packages. `pilotlight serve` with the same options then is the head. Run
/// again, it goes on where it was interrupted.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  pilotlight join --head 10.0.0.1 --password-file password --data /srv/pilotlight --listen 10.0.0.2:80")]
pub(crate) struct Join {
    #[command(flatten)]
    flags: Flags,
    /// Configuration file [default: /etc/pilotlight/pilotlight.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read the cluster's database password from this file's first line; - is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Let a cluster that has one head move its state from that head's own database to etcd, without asking
    #[arg(long)]
    yes: bool,
}

/// What this machine wants to be.
struct Wish<'a> {
    settings: &'a Settings,
    password: &'a str,
    /// Whether the cluster may move to etcd without anybody being asked.
    yes: bool,
}

impl Join {
    pub(super) fn run(self, global: Global) -> Result<(), Error> {
        let mut output = global.output();
        let Some(head @ HeadAddress::Network { .. }) = global.head else {
            let missing = "--head names the head whose cluster this machine is to join";
            return Err(Error::Usage(missing.to_owned()));
        };
        let sources = Sources::gather(self.config.as_deref(), self.flags)?;
        let settings = sources.load().without_faults()?;
        if let Some(name) = member(&settings.data)? {
            let there = format!(
                "this machine is the head {name} of its cluster already; to join another, first empty {} by \
                 scyld-install --clear",
                settings.data.display()
            );
            return output.remark(&there);
        }
        let prompt = format!("Database password of the cluster of {head}: ");
        let password = password::read(self.password_file.as_deref(), &prompt)?;
        // Where a head runs on this machine already, its nodes come first. If this is not allowed, it is done all the same.
        let _ = rustix::process::nice(19);
        // As when it is served: what a head keeps is its own business.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let data = DataDirectory::hold(&settings.data)?;
        let wish = Wish {
            settings: &settings,
            password: &password,
            yes: self.yes,
        };
        let client = Client::new(
            head,
            global.ca_file,
            None,
            Logins::of_this_user(),
            global.verbose,
        );
        crate::serve::runtime()?.block_on(join(&client, &wish, &data, &mut output))
    }
}

async fn join(
    client: &Client,
    wish: &Wish<'_>,
    data: &DataDirectory,
    output: &mut Output,
) -> Result<(), Error> {
    let enrolment = admission::obtain(client, wish).await?;
    let name = &enrolment.identity().name;
    output.remark(&format!(
        "{} lets this machine in as head {name}",
        client.head()
    ))?;
    copy::everything(wish.settings, data, &enrolment, output).await?;
    let done = format!("everything is copied; pilotlight serve makes this machine the head {name}");
    output.remark(&done)
}

/// The name of the head that `data` is the directory of, if it is a member of its cluster or about to become one.
///
/// # Errors
/// It is the directory of a head that cannot join.
fn member(data: &Path) -> Result<Option<Name>, Error> {
    let directory = data.display();
    match Enrolled::load(data).map_err(broken)? {
        Some(Enrolled::Member(enrolment)) => Ok(Some(enrolment.identity().name.clone())),
        Some(Enrolled::Removed(enrolment)) => Err(Error::Found(format!(
            "{directory} is of the head {}, which was removed from its cluster; scyld-install --clear empties it",
            enrolment.identity().name
        ))),
        // `pilotlight serve` runs on it, and goes on by itself.
        Some(Enrolled::Admitted(enrolment))
            if UnixStream::connect(data.join("api.sock")).is_ok() =>
        {
            Ok(Some(enrolment.identity().name.clone()))
        }
        Some(Enrolled::Admitted(_)) => Ok(None),
        None if data.join("pilotlight.db").exists() => Err(Error::Found(format!(
            "{directory} holds a cluster of its own; scyld-install --clear empties it"
        ))),
        None => Ok(None),
    }
}

fn broken(error: IdentityError) -> Error {
    Error::Serve(error.into())
}
