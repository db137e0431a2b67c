//! `pilotlight gitrepo`

use clap::Subcommand;

use super::Session;
use super::object::{Create, Delete, Kind, List, Show, Update};
use super::words::{Field, Form};
use crate::error::Error;

const GITREPOS: Kind = Kind {
    noun: "gitrepo",
    collection: "/gitrepos",
    item: "/gitrepo",
    fields: &[
        Field {
            name: "name",
            form: Form::Text,
        },
        Field {
            name: "description",
            form: Form::Text,
        },
        Field {
            name: "url",
            form: Form::Text,
        },
        Field {
            name: "public",
            form: Form::Truth,
        },
        Field {
            name: "sync_period",
            form: Form::Text,
        },
    ],
    has_attributes: false,
    columns: &["name", "url", "public", "sync_period", "description"],
};

/// Git repositories: what `gitrepo:NAME//PATH?ref=BRANCH` names a file of
#[derive(Debug, Subcommand)]
pub(crate) enum Gitrepo {
    /// List git repositories
    #[command(after_help = "Example:
  pilotlight gitrepo list")]
    List(List),
    /// Show one git repository
    #[command(after_help = "Example:
  pilotlight gitrepo show site")]
    Show(Show),
    /// Register a git repository
    ///
    /// Fields: description, url, public, sync_period. To a repository that is public=true no credentials are sent; every
    /// sync_period it is asked for news (5s to 7d; if not given, the setting ignition.refresh).
    #[command(after_help = "Example:
  pilotlight gitrepo create site url=https://git.example/site.git sync_period=5m")]
    Create(Create),
    /// Change fields of a git repository
    ///
    /// Fields: name, description, url, public, sync_period. An empty value clears a field.
    #[command(after_help = "Example:
  pilotlight gitrepo update site public=true sync_period=")]
    Update(Update),
    /// Delete git repositories
    #[command(after_help = "Example:
  pilotlight gitrepo delete site")]
    Delete(Delete),
}

impl Gitrepo {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Self::List(list) => GITREPOS.list(session, list).await,
            Self::Show(show) => GITREPOS.show(session, &show).await,
            Self::Create(create) => GITREPOS.create(session, create).await,
            Self::Update(update) => GITREPOS.update(session, update).await,
            Self::Delete(delete) => GITREPOS.delete(session, delete).await,
        }
    }
}
