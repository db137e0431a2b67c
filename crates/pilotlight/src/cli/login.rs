//! `pilotlight login`, `logout` and `token`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Session, password};
use crate::error::Error;

/// A token that is handed out is good for at least this long, where the head's tokens last that long.
const GOOD_FOR: Duration = Duration::from_secs(10 * 60);

/// Log in to a head, and stay logged in
///
/// The tokens are kept in $XDG_CONFIG_HOME/pilotlight/token, readable by you alone, and refreshed when they end.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pilotlight --head https://head.example login --user ada
  pilotlight --head http://10.0.0.1 login --password-file /var/lib/pilotlight/admin_pass")]
pub(crate) struct Login {
    /// The administrator's name
    #[arg(long, default_value = "admin")]
    user: String,
    /// Read the password from this file's first line; - is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Login {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        let prompt = format!("Password of {} at {}: ", self.user, session.client.head());
        let password = password::read(self.password_file.as_deref(), &prompt)?;
        session.client.log_in(&self.user, &password).await?;
        session.output.remark(&format!(
            "logged in to {} as {}",
            session.client.head(),
            self.user
        ))
    }
}

/// End the login at a head
#[derive(Debug, Args)]
#[command(after_help = "Example:
  pilotlight logout")]
pub(crate) struct Logout {}

impl Logout {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        let head = session.client.head();
        let sentence = match session.client.log_out().await? {
            true => format!("logged out of {head}"),
            false => format!("not logged in to {head}"),
        };
        session.output.remark(&sentence)
    }
}

/// Print an access token for scripts
#[derive(Debug, Args)]
#[command(after_help = "Example:
  curl -H \"Authorization: Bearer $(pilotlight token)\" http://10.0.0.1/api/v1/nodes")]
pub(crate) struct Token {}

impl Token {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        let token = session.client.access_token(GOOD_FOR).await?;
        match session.output.is_json() {
            true => session.output.json(&token.into()),
            false => session.output.line(&token),
        }
    }
}
