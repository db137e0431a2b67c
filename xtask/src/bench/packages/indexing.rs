//! What a head knows of its packages.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::bench::{api::Api, pilotlight::Head};

/// How long a head may take to read a package.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has a head read a package, so that one that is started later knows it, and need not read it while it is measured.
pub(crate) fn index(binary: &Path, directory: &Path, file_name: &str) -> Result<()> {
    let head = Head::start(binary, directory)?;
    let mut api = Api::connect(head.socket())?;
    let began = Instant::now();
    while id(&mut api, file_name)?.is_none() {
        ensure!(
            began.elapsed() < PATIENCE,
            "the head does not notice {file_name}"
        );
        thread::sleep(Duration::from_millis(100));
    }
    head.stop()
}

/// The identifier of the package in this file, if the head knows it.
pub(crate) fn id(api: &mut Api, file_name: &str) -> Result<Option<String>> {
    let found = api.data("GET", &format!("/packages?file={file_name}"))?;
    let packages = found.as_object();
    Ok(packages.and_then(|packages| packages.keys().next().cloned()))
}
