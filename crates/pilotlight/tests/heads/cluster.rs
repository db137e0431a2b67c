//! Several heads of one cluster.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::head::{Head, have, pilotlight, run, said, within};
use crate::lab::Lab;
use crate::network::Network;

/// What a cluster has not done by then it never will, even on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for something that heads do by themselves.
pub(crate) fn soon<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ask)
}

/// Heads of one cluster. The first began it.
pub(crate) struct Cluster {
    /// In the order in which they joined; those that are down, too.
    pub(crate) heads: Vec<Head>,
    pub(crate) network: Network,
    /// How many addresses are taken.
    machines: u8,
}

impl Cluster {
    /// One head, which is ready. `None`, said loudly, where there cannot be others.
    pub(crate) fn begin() -> Option<Self> {
        Self::begin_on(Network::loopback())
    }

    /// So many heads, which are all ready.
    pub(crate) fn of(heads: usize) -> Option<Self> {
        Some(Self::begin()?.grown_to(heads))
    }

    /// The same, each on a network of its own; the calling thread reaches them from now on.
    pub(crate) fn in_lab(heads: usize) -> Option<Self> {
        Some(Self::begin_on(Network::Lab(Lab::enter()?))?.grown_to(heads))
    }

    fn begin_on(network: Network) -> Option<Self> {
        if !have(&["etcd"]) {
            return None;
        }
        let mut cluster = Self {
            heads: Vec::new(),
            network,
            machines: 0,
        };
        let first = cluster.newcomer();
        cluster.heads.push(first);
        cluster.start(0);
        Some(cluster)
    }

    fn grown_to(mut self, heads: usize) -> Self {
        while self.heads.len() < heads {
            self.grow();
        }
        self
    }

    /// One more head, which joins by the command that the script runs, and is ready.
    pub(crate) fn grow(&mut self) {
        self.grow_with("");
    }

    /// The same, of one with these settings.
    pub(crate) fn grow_with(&mut self, config: &str) {
        let newcomer = self.newcomer_with(config);
        let mut join = pilotlight();
        join.args(["join", "--yes", "--listen", newcomer.listen()])
            .args(["--head", &self.heads[0].address().to_string()])
            .arg("--password-file")
            .arg(self.password_file())
            .arg("--data")
            .arg(newcomer.data());
        let output = self.network.on(newcomer.at(), || run(&mut join));
        assert!(output.status.success(), "{}", said(&output));
        self.add(newcomer);
    }

    /// Starts a machine that has joined, and waits until it is ready.
    pub(crate) fn add(&mut self, joined: Head) {
        self.heads.push(joined);
        self.start(self.heads.len() - 1);
    }

    /// A machine that is to join: a head without data.
    pub(crate) fn newcomer(&mut self) -> Head {
        self.newcomer_with("")
    }

    fn newcomer_with(&mut self, config: &str) -> Head {
        self.machines += 1;
        let address = self.network.address(self.machines);
        Head::stopped_at(&address.to_string(), config)
    }

    /// How an administrator joins this machine to the cluster.
    pub(crate) fn joining<'a>(&self, newcomer: &'a Head) -> Joining<'a> {
        let first = self.heads[0].address();
        Joining {
            from: first,
            to: first,
            password_file: self.password_file(),
            newcomer,
        }
    }

    /// The file with the database password, which the first head made.
    pub(crate) fn password_file(&self) -> PathBuf {
        self.heads[0].data().join("admin_pass")
    }

    /// Starts a head that is down, and waits until it is ready.
    pub(crate) fn start(&mut self, head: usize) {
        self.start_unready(head);
        self.wait_until_ready(head);
    }

    /// Starts a head that is down: it listens.
    pub(crate) fn start_unready(&mut self, head: usize) {
        let starting = &mut self.heads[head];
        self.network.on(starting.at(), || starting.start_again());
    }

    pub(crate) fn wait_until_ready(&self, head: usize) {
        let head = &self.heads[head];
        soon(&format!("{} is ready", head.address()), || {
            (head.get("/readyz").status == 200).then_some(())
        });
    }

    /// Ends a head and its etcd as a power cut would: `kill -9` of both.
    pub(crate) fn kill(&mut self, head: usize) {
        let head = &mut self.heads[head];
        let etcd = etcd_in(&head.data());
        head.kill();
        for process in etcd {
            // It may have ended with its head.
            let _ = kill_process(process, Signal::KILL);
        }
        soon("its etcd is gone", || {
            etcd_in(&head.data()).is_empty().then_some(())
        });
    }

    /// Waits until these heads have the same records and the same files.
    pub(crate) fn wait_until_equal(&self, heads: &[usize]) {
        let all: Vec<_> = heads.iter().map(|head| &self.heads[*head]).collect();
        soon("every head is known to have all files", || {
            let lacks_some = |head: &Value| {
                let files = &head["status"]["files"];
                let counts = ["missing", "differing", "unpublished"];
                files["are_compared"] == false
                    || counts.iter().any(|count| files[count].as_u64() > Some(0))
            };
            let status = |head: &Head| head.api("GET", "/cluster/status", None).data();
            let heads = |status: Value| status["heads"].as_array().unwrap().clone();
            let mut heads = all.iter().flat_map(|head| heads(status(head)));
            (!heads.any(|head| lacks_some(&head))).then_some(())
        });
        soon("all heads have the same", || {
            let seen: Vec<_> = all.iter().map(|head| everything(head)).collect();
            seen.windows(2).all(|two| two[0] == two[1]).then_some(())
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for head in &mut self.heads {
            head.kill();
            for process in etcd_in(&head.data()) {
                // It may have ended with its head.
                let _ = kill_process(process, Signal::KILL);
            }
        }
    }
}

/// `curl URL | sh -s -- …`, as the manual has it.
pub(crate) struct Joining<'a> {
    /// Where the script comes from.
    pub(crate) from: SocketAddr,
    /// Where the cluster is to be joined.
    pub(crate) to: SocketAddr,
    pub(crate) password_file: PathBuf,
    /// The machine; its root is a directory beside its data.
    pub(crate) newcomer: &'a Head,
}

impl Joining<'_> {
    /// The command, with more arguments for the script.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let root = self.root();
        fs::create_dir_all(&root).unwrap();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "curl -sS --noproxy '*' \"$0\" | sh -s -- \"$@\""])
            .arg(format!(
                "http://{}/api/v1/install/head/scyld-install",
                self.from
            ))
            .args(["--join", &self.to.to_string(), "--no-service", "--yes"])
            .args(["--listen", self.newcomer.listen()])
            .arg("--database-passwd-file")
            .arg(&self.password_file)
            .arg("--root")
            .arg(root)
            .arg("--data")
            .arg(self.newcomer.data())
            .args(more);
        shell
    }

    /// The machine's root directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.newcomer.path("root")
    }
}

impl Head {
    /// Where its machine is.
    fn at(&self) -> SocketAddr {
        self.listen().parse().unwrap()
    }
}

/// The etcd processes that work in this data directory.
pub(crate) fn etcd_in(data: &Path) -> Vec<Pid> {
    let data = data.to_str().unwrap().as_bytes();
    let works_there = |process: &PathBuf| {
        let holds = |file: &str| {
            let text = fs::read(process.join(file)).unwrap_or_default();
            text.windows(data.len()).any(|part| part == data)
        };
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        name.trim() == "etcd" && (holds("cmdline") || holds("environ"))
    };
    let processes = fs::read_dir("/proc").unwrap();
    let processes = processes.filter_map(|entry| Some(entry.ok()?.path()));
    let pid = |path: PathBuf| Pid::from_raw(path.file_name()?.to_str()?.parse().ok()?);
    processes.filter(works_there).filter_map(pid).collect()
}

/// All records and files that a head shares with the others.
pub(crate) fn everything(head: &Head) -> Vec<Value> {
    let lists = [
        "/nodes",
        "/attribs",
        "/bootconfigs",
        "/gitrepos",
        "/admins",
        "/heads",
        "/files",
        "/packages",
    ];
    let list = |path: &str| head.api("GET", path, None).data();
    lists.into_iter().map(list).collect()
}
