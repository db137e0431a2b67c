//! `pilotlight bootconfig`

use clap::Subcommand;

use super::Session;
use super::object::{Create, Delete, Kind, List, Show, Update};
use super::words::{Field, Form};
use crate::error::Error;

const BOOTCONFIGS: Kind = Kind {
    noun: "bootconfig",
    collection: "/bootconfigs",
    item: "/bootconfig",
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
            name: "kernel",
            form: Form::Text,
        },
        Field {
            name: "initramfs",
            form: Form::Text,
        },
        Field {
            name: "cmdline",
            form: Form::Text,
        },
        Field {
            name: "kickstart",
            form: Form::Text,
        },
        Field {
            name: "repo",
            form: Form::Text,
        },
        Field {
            name: "boot_style",
            form: Form::Text,
        },
    ],
    has_attributes: false,
    columns: &[
        "name",
        "kernel",
        "kickstart",
        "repo",
        "boot_style",
        "description",
    ],
};

/// Boot configurations: what the `_boot_config` attribute of a node names
#[derive(Debug, Subcommand)]
pub(crate) enum Bootconfig {
    /// List boot configurations
    #[command(after_help = "Example:
  pilotlight bootconfig list")]
    List(List),
    /// Show one boot configuration
    #[command(after_help = "Example:
  pilotlight bootconfig show rocky9")]
    Show(Show),
    /// Create a boot configuration
    ///
    /// Fields: description, kernel, initramfs, cmdline, kickstart, repo, boot_style.
    #[command(after_help = "Example:
  pilotlight bootconfig create rocky9 kickstart=basic.ks repo=https://dl.rockylinux.org/pub/rocky/9/BaseOS/x86_64/os")]
    Create(Create),
    /// Change fields of a boot configuration
    ///
    /// Fields: name, description, kernel, initramfs, cmdline, kickstart, repo, boot_style. An empty value clears a field.
    #[command(after_help = "Example:
  pilotlight bootconfig update rocky9 kickstart=gpu.ks cmdline=")]
    Update(Update),
    /// Delete boot configurations
    #[command(after_help = "Example:
  pilotlight bootconfig delete rocky8")]
    Delete(Delete),
}

impl Bootconfig {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Self::List(list) => BOOTCONFIGS.list(session, list).await,
            Self::Show(show) => BOOTCONFIGS.show(session, &show).await,
            Self::Create(create) => BOOTCONFIGS.create(session, create).await,
            Self::Update(update) => BOOTCONFIGS.update(session, update).await,
            Self::Delete(delete) => BOOTCONFIGS.delete(session, delete).await,
        }
    }
}
