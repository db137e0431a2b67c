//! Client packages that are downloaded as they are.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use anyhow::{Context, Result};

use super::content::Content;
use crate::bench::nginx;

/// What a tar holds beside the content of its one file: the file's header, and two blocks of zeros.
const AROUND: u64 = 3 * 512;

/// A tar.
#[derive(Clone, Copy)]
pub(crate) struct ClientTar {
    pub name: &'static str,
    /// A multiple of 512.
    pub size: u64,
}

impl ClientTar {
    /// Where it is downloaded.
    pub(crate) fn path(self) -> String {
        format!("/api/v1/install/client/download/tar/x86_64/{}", self.name)
    }

    pub(crate) fn file_name(self) -> String {
        format!("{}-1.0.tar", self.name)
    }

    /// Writes it to the head's client packages, and gives it a second name for an nginx in this directory.
    pub(crate) fn write(self, clientpkgs: &Path, directory: &Path) -> Result<()> {
        let package = clientpkgs.join("tar").join(self.file_name());
        let content = self.size - AROUND;
        let mut header = tar::Header::new_ustar();
        header.set_size(content);
        header.set_mode(0o644);
        header.set_cksum();
        let file =
            File::create(&package).with_context(|| format!("cannot make {}", package.display()))?;
        let mut tar = tar::Builder::new(file);
        tar.append_data(&mut header, "opt/data", Content::new().take(content))?;
        tar.into_inner()?.sync_all()?;
        let other_name = nginx::file(directory, &self.path());
        fs::create_dir_all(other_name.parent().unwrap_or(directory))?;
        fs::hard_link(&package, &other_name)
            .with_context(|| format!("cannot make {}", other_name.display()))
    }
}
