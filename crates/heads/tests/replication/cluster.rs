//! A cluster in one process.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use content::packages::{Convert, Packages};
use content::{BootFiles, FileRoot, OpenFile, PartialFile};
use heads::exchange::{Destination as _, PullError, Urgency};
use heads::replication::{Arrivals, Files, Replication, Settings, Source};
use model::{FileContent, FilePath, Tree, Uid};
use store::{LiveState, SqliteStore};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::store::Link;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(100);

pub(crate) struct Cluster {
    home: TempDir,
    store: Arc<SqliteStore>,
    neighbours: Neighbours,
}

/// Who has files to give, and may give them.
type Neighbours = Arc<Mutex<HashMap<u8, Arc<Files>>>>;

pub(crate) struct Head {
    pub(crate) home: PathBuf,
    pub(crate) link: Arc<Link>,
    pub(crate) live: Arc<LiveState>,
    pub(crate) boot_files: Arc<BootFiles>,
    pub(crate) packages: Arc<Packages>,
    pub(crate) replication: Replication,
    /// Whether files that nobody waits for may come.
    pub(crate) is_open: watch::Sender<bool>,
    number: u8,
    neighbours: Neighbours,
    _following: AbortOnDropHandle<()>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let cluster = model::Cluster {
            name: "test".parse().unwrap(),
            domain: None,
            default_group: uid(255),
            database_password: model::PasswordHash(String::new()),
        };
        let mut first = model::Transaction::default();
        first.claim(model::Cluster::key(), cluster.record());
        let store = SqliteStore::create(home.path().join("store.db"), &first).unwrap();
        Self {
            home,
            store: Arc::new(store),
            neighbours: Neighbours::default(),
        }
    }

    /// The data directory of a head.
    pub(crate) fn home(&self, number: u8) -> PathBuf {
        self.home.path().join(format!("head{number}"))
    }

    pub(crate) async fn heads<const N: usize>(&self) -> [Head; N] {
        let mut heads = Vec::new();
        for number in 1..=u8::try_from(N).unwrap() {
            heads.push(self.head(number).await);
        }
        heads.try_into().map_err(drop).unwrap()
    }

    pub(crate) async fn head(&self, number: u8) -> Head {
        let home = self.home(number);
        for directory in ["kickstarts", "ignition"] {
            fs::create_dir_all(home.join(directory)).unwrap();
        }
        let link = Arc::new(Link::new(Arc::clone(&self.store)));
        let live = LiveState::open(Arc::clone(&link) as Arc<dyn store::Store>).await;
        let live = Arc::new(live.unwrap());
        let followed = Arc::clone(&live);
        let following = tokio::spawn(async move { followed.follow().await.unwrap() });

        let root = FileRoot::open(&home.join("kickstarts")).unwrap();
        let boot_files = Arc::new(BootFiles::new(root));
        let packages = Packages::open(content::packages::Settings {
            directory: home.join("clientpkgs"),
            cache: home.join("packages.cache"),
            convert: Convert::OnRequest,
            convert_wait: PATIENCE,
            limits: package::rpm::Limits::default(),
        });
        let packages = Arc::new(packages.await.unwrap());
        let ignition = FileRoot::open(&home.join("ignition")).unwrap();
        let files = Files::new(Arc::clone(&boot_files), Arc::clone(&packages), &ignition);
        let files = Arc::new(files);
        self.neighbours
            .lock()
            .unwrap()
            .insert(number, Arc::clone(&files));

        let settings = Settings {
            directory: home.clone(),
            head: uid(number),
            name: format!("head{number}").parse().unwrap(),
        };
        let arrivals = Arc::new(Arrivals::new(&settings, Arc::clone(&files)));
        let is_open = watch::Sender::new(true);
        let source = Arc::new(Others {
            number,
            neighbours: Arc::clone(&self.neighbours),
            arrivals: Arc::clone(&arrivals),
            is_open: is_open.subscribe(),
        });
        let replication = Replication::start(settings, Arc::clone(&live), arrivals, source);
        Head {
            home,
            link,
            live,
            boot_files,
            packages,
            replication,
            is_open,
            number,
            neighbours: Arc::clone(&self.neighbours),
            _following: AbortOnDropHandle::new(following),
        }
    }
}

impl Head {
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.home.join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    pub(crate) async fn until_text(&self, path: &str, text: &str) {
        let what = format!("{path} of head {} is {text:?}", self.number);
        let is_text = || self.text(path).as_deref() == Some(text);
        until_or_tell(&what, is_text, || self.account(file(path).tree)).await;
    }

    pub(crate) async fn until_gone(&self, path: &str) {
        let what = format!("{path} of head {} is gone", self.number);
        until(&what, || !self.path(path).exists()).await;
    }

    /// What it kept aside: the paths without time and head, and the texts.
    pub(crate) fn conflicts(&self) -> Vec<(String, String)> {
        let conflicts = self.replication.conflicts();
        let list = conflicts.list().unwrap().into_iter().map(|conflict| {
            let text = fs::read_to_string(conflicts.directory().join(&conflict.path)).unwrap();
            // `.<second>.<millisecond>Z.<head>`
            let mut path = conflict.path.rsplitn(4, '.');
            assert_eq!(path.next(), Some(&*format!("head{}", self.number)));
            assert!(path.next().unwrap().ends_with('Z'));
            assert!(path.next().unwrap().contains('T'));
            (path.next().unwrap().to_owned(), text)
        });
        list.collect()
    }

    /// What it has of a tree, what it is to have, and what it says of the two.
    fn account(&self, tree: Tree) -> String {
        let mut lines = vec![format!("\nhead {} has", self.number)];
        for (path, (bytes, mode, _)) in contents(&self.path(tree.name())) {
            let text = String::from_utf8_lossy(&bytes);
            lines.push(format!("  {}: {mode:o} {text:.80?}", path.display()));
        }
        lines.push("of".to_owned());
        let manifest = &self.live.get().manifest;
        for (path, listed) in manifest.iter().filter(|(path, _)| path.tree == tree) {
            lines.push(format!("  {path}: {:?}", listed.version));
        }
        lines.push(format!("{:?}", self.replication.report()));
        lines.join("\n")
    }

    /// Ends it in good order.
    pub(crate) async fn stop(self) {
        self.neighbours.lock().unwrap().remove(&self.number);
        self.replication.close().await;
        self.packages.close().await;
    }
}

/// All files in a directory: their bytes, their modes and when they were written.
pub(crate) fn contents(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32, SystemTime)> {
    let mut contents = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(parent) = pending.pop() {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else {
                continue;
            };
            if metadata.is_dir() {
                pending.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                let name = path.strip_prefix(directory).unwrap().to_owned();
                let mode = metadata.permissions().mode() & 0o7777;
                contents.insert(name, (bytes, mode, metadata.modified().unwrap()));
            }
        }
    }
    contents
}

/// Waits until all files of these heads are alike, and as the manifest has them.
pub(crate) async fn until_alike(heads: &[&Head]) {
    for tree in Tree::ALL {
        let is_alike = || {
            let listed: BTreeMap<_, _> = heads[0]
                .live
                .get()
                .manifest
                .clone()
                .present()
                .filter(|(path, _)| path.tree == tree)
                .map(|(path, content)| (PathBuf::from(&path.path), (content.size, content.mode)))
                .collect();
            heads.iter().all(|head| {
                let contents = contents(&head.home.join(tree.name()));
                let sizes = contents.iter();
                let sizes = sizes
                    .map(|(path, (bytes, mode, _))| (path.clone(), (bytes.len() as u64, *mode)));
                sizes.collect::<BTreeMap<_, _>>() == listed
            }) && heads.windows(2).all(|pair| {
                contents(&pair[0].home.join(tree.name()))
                    == contents(&pair[1].home.join(tree.name()))
            })
        };
        let what = format!("{tree} is the same everywhere");
        let heads = || heads.iter().map(|head| head.account(tree)).collect();
        until_or_tell(&what, is_alike, heads).await;
    }
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, is_so: impl FnMut() -> bool) {
    until_or_tell(what, is_so, String::new).await;
}

/// Waits until it is so, or fails and tells how it is instead.
async fn until_or_tell(what: &str, mut is_so: impl FnMut() -> bool, instead: impl Fn() -> String) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, waiting).await;
    outcome.unwrap_or_else(|_| panic!("in vain: {what}{}", instead()));
}

pub(crate) fn uid(number: u8) -> Uid {
    Uid::from_bytes([number; 16])
}

pub(crate) fn file(path: &str) -> FilePath {
    path.parse().unwrap()
}

/// The other heads, as those who give files.
struct Others {
    number: u8,
    neighbours: Neighbours,
    arrivals: Arc<Arrivals>,
    is_open: watch::Receiver<bool>,
}

impl Others {
    fn others(&self) -> Vec<Arc<Files>> {
        let neighbours = self.neighbours.lock().unwrap();
        let others = neighbours
            .iter()
            .filter(|(number, _)| **number != self.number);
        others.map(|(_, files)| Arc::clone(files)).collect()
    }
}

#[async_trait]
impl Source for Others {
    async fn pull(
        &self,
        path: &FilePath,
        content: &FileContent,
        urgency: Urgency,
    ) -> Result<(), PullError> {
        if urgency == Urgency::Background {
            // It lives as long as the head.
            let _ = self.is_open.clone().wait_for(|is_open| *is_open).await;
        }
        let others = self.others();
        let (arrivals, path, content) = (Arc::clone(&self.arrivals), path.clone(), *content);
        let pulling = tokio::task::spawn_blocking(move || {
            for files in others {
                let (root, name) = files.locate(&path).unwrap();
                if OpenFile::beneath(&root, &name)
                    .is_ok_and(|file| file.sha256().is_ok_and(|sha256| sha256 == content.sha256))
                {
                    return copy(&root.path().join(name.as_str()), &arrivals, &path, &content);
                }
            }
            Err("nobody has it".to_owned())
        });
        pulling
            .await
            .unwrap()
            .map_err(|reason| PullError::NoSource {
                path: path_of(self.number),
                sha256: content.sha256,
                reasons: vec![reason],
                retry_after: Duration::from_millis(100),
            })
    }
}

fn path_of(number: u8) -> FilePath {
    FilePath::new(Tree::Kickstarts, format!("of head {number}"))
}

fn copy(
    from: &Path,
    arrivals: &Arrivals,
    path: &FilePath,
    content: &FileContent,
) -> Result<(), String> {
    let (root, name) = arrivals
        .files()
        .locate(path)
        .map_err(|error| error.to_string())?;
    let partial =
        PartialFile::open(&root, &name, content.sha256).map_err(|error| error.to_string())?;
    let file = partial.file();
    file.set_len(0).unwrap();
    std::io::copy(
        &mut fs::File::open(from).map_err(|error| error.to_string())?,
        &mut &*file,
    )
    .unwrap();
    file.set_permissions(fs::Permissions::from_mode(content.mode))
        .unwrap();
    let mtime = SystemTime::UNIX_EPOCH + Duration::from_nanos(content.mtime.unsigned_abs());
    file.set_modified(mtime).unwrap();
    file.sync_all().unwrap();
    arrivals
        .publish(path, content, partial)
        .map_err(|error| error.to_string())
}
