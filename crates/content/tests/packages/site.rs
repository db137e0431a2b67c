//! A head's packages in a temporary directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use content::packages::{Convert, Entry, Listing, Opened, PackageFile, Packages, Settings};
use package::{Architecture, Kind};

use super::log;

pub(crate) struct Site {
    pub(crate) packages: Arc<Packages>,
    pub(crate) directory: PathBuf,
}

pub(crate) fn settings(home: &Path) -> Settings {
    Settings {
        directory: home.join("clientpkgs"),
        cache: home.join("packages.cache"),
        convert: Convert::OnRequest,
        convert_wait: Duration::from_secs(120),
        limits: package::rpm::Limits::default(),
    }
}

impl Site {
    /// The packages below `home`, which are all read.
    pub(crate) async fn open(home: &Path) -> Self {
        Self::open_with(settings(home)).await
    }

    pub(crate) async fn open_with(settings: Settings) -> Self {
        log::begin();
        let directory = settings.directory.clone();
        let packages = Arc::new(Packages::open(settings).await.unwrap());
        packages.settled().await;
        Self {
            packages,
            directory,
        }
    }

    pub(crate) fn rpms(&self) -> PathBuf {
        self.directory.join("rpm")
    }

    pub(crate) fn tars(&self) -> PathBuf {
        self.directory.join("tar")
    }

    /// Waits until the listing is as it should be.
    pub(crate) async fn until(
        &self,
        what: &str,
        is_so: impl FnMut(&Arc<Listing>) -> bool,
    ) -> Arc<Listing> {
        let mut changes = self.packages.changes();
        let listing = tokio::time::timeout(Duration::from_secs(120), changes.wait_for(is_so)).await;
        Arc::clone(
            &listing
                .unwrap_or_else(|_| panic!("in vain: {what}"))
                .unwrap(),
        )
    }

    /// Waits until the file `path` (`rpm/x.rpm`) is listed in such a state.
    pub(crate) async fn listed(&self, path: &str, is_so: impl Fn(&Entry) -> bool) -> Arc<Entry> {
        let file = file(path);
        let listing = self
            .until(path, |listing| {
                listing.get(&file).is_some_and(|entry| is_so(entry))
            })
            .await;
        Arc::clone(listing.get(&file).unwrap())
    }

    /// The files that the packages are served from, for x86-64.
    pub(crate) async fn get(&self, kind: Kind, wanted: &str) -> Result<Opened, String> {
        let opened = self.packages.get(kind, Architecture::X86_64, wanted).await;
        opened.map_err(|error| error.to_string())
    }

    /// The file names in the directory of tars, hidden ones too.
    pub(crate) fn tar_names(&self) -> Vec<String> {
        names(&self.tars())
    }
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn file(path: &str) -> PackageFile {
    let (kind, name) = path.split_once('/').unwrap();
    PackageFile::new(kind.parse().unwrap(), name.parse().unwrap()).unwrap()
}

pub(crate) fn is_whole(entry: &Entry) -> bool {
    entry.package().is_some()
}

pub(crate) fn read(opened: &Opened) -> Vec<u8> {
    std::fs::read(opened.file.path()).unwrap()
}
