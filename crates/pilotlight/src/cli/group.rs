//! `pilotlight group`

use clap::{Args, Subcommand};
use serde_json::Map;

use super::Session;
use super::object::{Clear, Delete, Kind, List, Set, Show, Update};
use super::words::{self, Assignment, Field, Form};
use crate::error::Error;

const GROUPS: Kind = Kind {
    noun: "group",
    collection: "/attribs",
    item: "/attrib",
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
    has_attributes: true,
    columns: &["name", "description", "attributes"],
};

/// Attribute groups: values that many nodes share
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// List groups
    #[command(after_help = "Example:
  pilotlight group list name='rack*'")]
    List(List),
    /// Show one group
    #[command(after_help = "Example:
  pilotlight group show gpu")]
    Show(Show),
    /// Create a group
    #[command(after_help = "Example:
  pilotlight group create gpu _boot_config=rocky9 driver=nvidia --description 'nodes with GPUs'")]
    Create(CreateGroup),
    /// Set attributes of a group
    #[command(after_help = "Example:
  pilotlight group set DefaultAttribs timezone=Europe/Berlin")]
    Set(Set),
    /// Remove attributes of a group
    #[command(after_help = "Example:
  pilotlight group clear gpu driver")]
    Clear(Clear),
    /// Change fields of a group
    ///
    /// Fields: name, description, attr.NAME=VALUE. An empty value clears a field.
    #[command(after_help = "Example:
  pilotlight group update gpu name=gpus")]
    Update(Update),
    /// Delete groups
    #[command(after_help = "Example:
  pilotlight group delete gpu")]
    Delete(Delete),
}

/// A group and its attributes.
#[derive(Debug, Args)]
pub(crate) struct CreateGroup {
    /// Its name
    name: String,
    /// A remark for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Its attributes
    #[arg(value_name = "ATTRIBUTE=VALUE")]
    words: Vec<Assignment>,
}

impl Group {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Self::List(list) => GROUPS.list(session, list).await,
            Self::Show(show) => GROUPS.show(session, &show).await,
            Self::Create(create) => create.run(session).await,
            Self::Set(set) => GROUPS.set(session, set).await,
            Self::Clear(clear) => GROUPS.clear(session, clear).await,
            Self::Update(update) => GROUPS.update(session, update).await,
            Self::Delete(delete) => GROUPS.delete(session, delete).await,
        }
    }
}

impl CreateGroup {
    async fn run(self, session: &mut Session) -> Result<(), Error> {
        let mut fields = Map::new();
        fields.insert("description".to_owned(), self.description.into());
        fields.insert(
            "attributes".to_owned(),
            words::attributes(self.words)?.into(),
        );
        GROUPS.create_object(session, &self.name, fields).await
    }
}
