//! `pilotlight admin`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::object::{Delete, Kind, List, Show};
use super::words::{self, Assignment, Field, Form};
use super::{Session, password};
use crate::error::Error;

const ADMINS: Kind = Kind {
    noun: "admin",
    collection: "/admins",
    item: "/admin",
    fields: &[
        Field {
            name: "name",
            form: Form::Text,
        },
        Field {
            name: "description",
            form: Form::Text,
        },
    ],
    has_attributes: false,
    columns: &["name", "description"],
};

/// Administrators: who may log in
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// List administrators
    #[command(after_help = "Example:
  pilotlight admin list")]
    List(List),
    /// Show one administrator
    #[command(after_help = "Example:
  pilotlight admin show ada")]
    Show(Show),
    /// Create an administrator
    ///
    /// The password is asked for, or read from a file or standard input. Field: description.
    #[command(after_help = "Examples:
  pilotlight admin create ada description='Ada, night shift'
  pilotlight admin create ada --password-file ada.txt")]
    Create(WithPassword),
    /// Change an administrator's password or fields
    ///
    /// Without a field, the password is asked for. Fields: name, description; an empty value clears.
    #[command(after_help = "Examples:
  pilotlight admin update ada
  pilotlight admin update ada description='Ada, day shift'")]
    Update(WithPassword),
    /// Delete administrators
    #[command(after_help = "Example:
  pilotlight admin delete ada")]
    Delete(Delete),
}

/// An administrator, their password and fields.
#[derive(Debug, Args)]
pub(crate) struct WithPassword {
    /// Their name
    name: String,
    /// Read the password from this file's first line; - is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Their fields
    #[arg(value_name = "FIELD=VALUE")]
    words: Vec<Assignment>,
}

impl Admin {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Self::List(list) => ADMINS.list(session, list).await,
            Self::Show(show) => ADMINS.show(session, &show).await,
            Self::Create(admin) => {
                let mut fields = words::fields(admin.words, ADMINS.fields, false)?;
                let password = password::read_new(admin.password_file.as_deref(), &admin.name)?;
                fields.insert("password".to_owned(), password.into());
                ADMINS.create_object(session, &admin.name, fields).await
            }
            Self::Update(admin) => {
                let mut fields = words::fields(admin.words, ADMINS.fields, false)?;
                if fields.is_empty() || admin.password_file.is_some() {
                    let password = password::read_new(admin.password_file.as_deref(), &admin.name)?;
                    fields.insert("password".to_owned(), password.into());
                }
                ADMINS.update_object(session, &admin.name, fields).await
            }
            Self::Delete(delete) => ADMINS.delete(session, delete).await,
        }
    }
}
