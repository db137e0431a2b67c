//! A head with an identity and a data directory, and nothing else.

use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process,
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

use heads::{
    Identity,
    authority::{self, KeyAndRequest},
    etcd::{Members, Process, ProcessState, Program},
    identity::{Addresses, Admitted, Contacts, Enrolled, Enrolment},
};
use model::{Authority, Uid};

/// More than anything here takes on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(120);

/// A head that its cluster has let in.
pub(crate) struct TestHead {
    data: tempfile::TempDir,
    pub(crate) enrolment: Enrolment<Admitted>,
}

impl TestHead {
    /// A head with an address of its own, with a certificate from `authority`.
    pub(crate) fn of(authority: &Authority) -> Self {
        Self::at(authority, own_address())
    }

    pub(crate) fn at(authority: &Authority, ip: IpAddr) -> Self {
        let data = tempfile::tempdir().unwrap();
        let at = |port| SocketAddr::new(ip, port);
        let addresses = Addresses {
            exchange: at(2381),
            etcd_client: at(2379),
            etcd_peer: at(2380),
        };
        let KeyAndRequest { key, request } = authority::request().unwrap();
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).unwrap();
        let uid = Uid::from_bytes(bits);
        let identity = Identity {
            uid,
            name: format!("head-{}", &uid.to_string()[..6]).parse().unwrap(),
            authority: authority.certificate.clone(),
            certificate: authority::issue(authority, &request, uid, &addresses.ips()).unwrap(),
            key,
            addresses,
        };
        let enrolment = Enrolment::save(data.path(), identity, Contacts::default()).unwrap();
        Self { data, enrolment }
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn identity(&self) -> &Identity {
        self.enrolment.identity()
    }

    /// Where clients reach its etcd.
    pub(crate) fn endpoint(&self) -> String {
        self.identity().addresses.etcd_client_url()
    }

    /// What `heads` see of etcd, asked with this head's certificate.
    pub(crate) fn members(&self, heads: &[&Self]) -> Members {
        let endpoints = heads.iter().map(|head| head.endpoint()).collect();
        Members::new(endpoints, self.identity())
    }

    /// The same again, as a process that starts finds it.
    pub(crate) fn load(data: &Path) -> Enrolment<Admitted> {
        match Enrolled::load(data).unwrap() {
            Some(Enrolled::Admitted(enrolment)) => enrolment,
            other => panic!("not admitted: {other:?}"),
        }
    }
}

pub(crate) fn authority() -> Authority {
    authority::create("test").unwrap()
}

/// A loopback address that no other test has.
fn own_address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = process::id().to_be_bytes();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, 100 + high % 100, low, next).into()
}

/// Whether there is an etcd to test with; says so if not, past the capture of the test runner.
pub(crate) fn etcd_is_here() -> bool {
    let here = Program::find(Path::new("/nonexistent")).is_ok();
    if !here {
        // Where even this cannot be said, nobody listens.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no etcd here");
    }
    here
}

/// Waits until it holds.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let since = Instant::now();
    while !condition().await {
        assert!(since.elapsed() < PATIENCE, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The process of etcd, once it runs.
pub(crate) async fn pid(process: &Process) -> u32 {
    let mut state = process.state();
    let running = state.wait_for(|state| matches!(state, ProcessState::Running { .. }));
    let running = tokio::time::timeout(PATIENCE, running).await;
    match *running.unwrap().unwrap() {
        ProcessState::Running { pid } => pid,
        ref other => panic!("it does not run: {other:?}"),
    }
}

/// Whether a process runs; one that is dead and that nobody has asked about does not.
pub(crate) fn runs(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The state stands behind the name, which may hold anything.
    let state = stat.rsplit(')').next().unwrap().trim_start();
    !state.starts_with(['Z', 'X'])
}
