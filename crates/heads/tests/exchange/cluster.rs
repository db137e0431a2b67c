//! A cluster in one process: an authority, a state, and heads with directories of their own.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use content::{FileId, FileRoot, PartialFile};
use heads::authority;
use heads::exchange::{
    Admissions, Destination, ExchangeServer, FileCounts, HeadStatus, LinkStatus, LocalHead, Peer,
    Peers, Puller, RateLimit, Trees,
};
use heads::identity::{Addresses, Identity};
use heads::reports::News;
use model::{
    Authority, FileContent, FilePath, HeadSpec, Kind, Sha256Digest, Transaction, Tree, Uid,
    creation,
};
use store::{LiveState, SqliteStore};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// An address of this process, so that tests that run at the same time do not meet.
pub(crate) fn address() -> IpAddr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, a | 0x40, b, c | 1).into()
}

pub(crate) struct Cluster {
    pub(crate) home: TempDir,
    pub(crate) authority: Authority,
    pub(crate) state: Arc<LiveState>,
    _following: AbortOnDropHandle<()>,
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("store.db");
        let store = SqliteStore::create(path, &first()).unwrap();
        let state = Arc::new(LiveState::open(Arc::new(store)).await.unwrap());
        let followed = Arc::clone(&state);
        let following = tokio::spawn(async move { followed.follow().await.unwrap() });
        Self {
            home,
            authority: authority::create("test").unwrap(),
            state,
            _following: AbortOnDropHandle::new(following),
        }
    }

    /// A certificate of the authority, and nothing else.
    pub(crate) fn identity(&self, number: u8) -> Identity {
        identity(&self.authority, number)
    }

    /// A head that answers, and is one of the cluster.
    pub(crate) async fn head(&self, number: u8) -> Head {
        let head = self.machine(number).await;
        self.enlist(number, head.address).await;
        head
    }

    /// A machine that answers and is no head of the cluster.
    pub(crate) async fn machine(&self, number: u8) -> Head {
        let identity = self.identity(number);
        let listener = TcpListener::bind((address(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let local = Local::new(self.home.path(), number);
        let admissions = Admissions::default();
        let server = ExchangeServer::new(
            &identity,
            Arc::clone(&self.state),
            admissions.clone(),
            Arc::clone(&local) as Arc<dyn LocalHead>,
        )
        .unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.serve(listener, stop.clone()));
        Head {
            peers: Peers::new(&identity).unwrap(),
            identity,
            address,
            admissions,
            local,
            state: Arc::clone(&self.state),
            stop,
            serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Writes the record of a head.
    pub(crate) async fn enlist(&self, number: u8, exchange: SocketAddr) {
        let spec = HeadSpec {
            name: format!("head{number}").parse().unwrap(),
            url: "http://127.0.0.1".into(),
            exchange,
            etcd: None,
            version: "1.0".into(),
        };
        let creation = creation(uid(number), &spec).unwrap();
        self.state.commit(creation).await.unwrap();
    }

    /// Takes it away.
    pub(crate) async fn remove(&self, number: u8) {
        let mut removal = Transaction::default();
        removal.delete(Kind::Head.key(uid(number)));
        self.state.commit(removal).await.unwrap();
    }
}

/// What a store begins with.
fn first() -> Transaction {
    let cluster = model::Cluster {
        name: "test".parse().unwrap(),
        domain: None,
        default_group: uid(255),
        database_password: model::PasswordHash(String::new()),
    };
    let mut transaction = Transaction::default();
    transaction.claim(model::Cluster::key(), cluster.record());
    transaction
}

pub(crate) fn uid(number: u8) -> Uid {
    Uid::from_bytes([number; 16])
}

pub(crate) fn identity(authority: &Authority, number: u8) -> Identity {
    let asked = authority::request().unwrap();
    let certificate =
        authority::issue(authority, &asked.request, uid(number), &[address()]).unwrap();
    let nowhere = SocketAddr::new(address(), 0);
    Identity {
        uid: uid(number),
        name: format!("head{number}").parse().unwrap(),
        authority: authority.certificate.clone(),
        certificate,
        key: asked.key,
        addresses: Addresses {
            exchange: nowhere,
            etcd_client: nowhere,
            etcd_peer: nowhere,
        },
    }
}

pub(crate) struct Head {
    pub(crate) identity: Identity,
    pub(crate) address: SocketAddr,
    pub(crate) admissions: Admissions,
    pub(crate) local: Arc<Local>,
    pub(crate) peers: Peers,
    state: Arc<LiveState>,
    stop: CancellationToken,
    serving: AbortOnDropHandle<()>,
}

impl Head {
    pub(crate) fn peer(&self) -> Peer {
        Peer {
            uid: self.identity.uid,
            name: self.identity.name.clone(),
            address: self.address,
        }
    }

    pub(crate) fn puller(&self, rate: RateLimit) -> Puller {
        Puller::new(
            self.peers.clone(),
            Arc::clone(&self.state),
            self.local.trees.clone(),
            Arc::clone(&self.local) as Arc<dyn Destination>,
            rate,
            self.stop.clone(),
        )
    }

    /// Stops it, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

/// The files of a head.
pub(crate) struct Local {
    uid: Uid,
    trees: Trees,
    directory: PathBuf,
    /// What it says of files, whatever is in them.
    claims: Mutex<HashMap<FilePath, Sha256Digest>>,
    pub(crate) published: Mutex<Vec<FilePath>>,
    pub(crate) etcd: Mutex<Option<PathBuf>>,
}

impl Local {
    fn new(home: &Path, number: u8) -> Arc<Self> {
        let directory = home.join(format!("head{number}"));
        let root = |tree: Tree| {
            let path = directory.join(tree.name());
            fs::create_dir_all(&path).unwrap();
            FileRoot::open(&path).unwrap()
        };
        Arc::new(Self {
            uid: uid(number),
            trees: Trees {
                kickstarts: root(Tree::Kickstarts),
                clientpkgs: root(Tree::Clientpkgs),
                ignition: root(Tree::Ignition),
            },
            directory,
            claims: Mutex::default(),
            published: Mutex::default(),
            etcd: Mutex::default(),
        })
    }

    pub(crate) fn path(&self, path: &FilePath) -> PathBuf {
        self.directory.join(path.to_string())
    }

    /// Puts a file there: what the manifest would say of it.
    pub(crate) fn put(&self, path: &FilePath, bytes: &[u8]) -> FileContent {
        let at = self.path(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, bytes).unwrap();
        FileContent {
            sha256: Sha256Digest::of(bytes),
            size: bytes.len() as u64,
            mode: 0o640,
            mtime: 1_700_000_000_123_456_789,
        }
    }

    /// Says of a file that it has this digest.
    pub(crate) fn claim(&self, path: &FilePath, sha256: Sha256Digest) {
        self.claims.lock().unwrap().insert(path.clone(), sha256);
    }

    /// The hidden files beside a file.
    pub(crate) fn partials(&self, path: &FilePath) -> Vec<PathBuf> {
        let directory = self.path(path);
        let entries = fs::read_dir(directory.parent().unwrap()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let is_hidden = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(".pilotlight-")
        };
        paths.filter(is_hidden).collect()
    }
}

impl LocalHead for Local {
    fn trees(&self) -> &Trees {
        &self.trees
    }

    fn digest(&self, path: &FilePath, _: FileId) -> Option<Sha256Digest> {
        self.claims.lock().unwrap().get(path).copied()
    }

    fn status(&self) -> HeadStatus {
        HeadStatus {
            uid: self.uid,
            name: "a".parse().unwrap(),
            version: "1.0".into(),
            revision: model::Revision::default(),
            link: LinkStatus::Single,
            files: FileCounts::default(),
            conflicts: 3,
        }
    }

    fn reports(&self, known: u64) -> News {
        News {
            last: known + 1,
            ..News::default()
        }
    }

    fn etcd_program(&self) -> Option<PathBuf> {
        self.etcd.lock().unwrap().clone()
    }
}

impl Destination for Local {
    fn publish(
        &self,
        path: &FilePath,
        _: &FileContent,
        file: PartialFile,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.published.lock().unwrap().push(path.clone());
        if path.path.contains("unwanted") {
            return Err("it was edited here".into());
        }
        file.publish()?;
        Ok(())
    }
}
