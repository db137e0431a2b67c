//! etcd as a child of the test, on an address of its own.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use store::{EtcdCertificate, EtcdSettings, EtcdTls};

/// One member of etcd. Killed when dropped.
pub(crate) struct Etcd {
    directory: PathBuf,
    arguments: Vec<String>,
    scheme: &'static str,
    listen: String,
    child: Option<Child>,
}

/// Starts an etcd of one member, or says that there is none on this machine.
pub(crate) fn start(directory: &Path) -> Option<Etcd> {
    start_with(directory, &[])
}

/// The same with more arguments.
pub(crate) fn start_with(directory: &Path, arguments: &[&str]) -> Option<Etcd> {
    exists().then(|| members(directory, 1, arguments, "http").remove(0))
}

/// Starts an etcd that serves TLS, with the files that the directory has.
pub(crate) fn start_tls(directory: &Path, asks_for_certificates: bool) -> Option<Etcd> {
    let file = |name: &str| directory.join(name).display().to_string();
    let [certificate, key, authority] = ["member.pem", "member.key", "authority.pem"].map(file);
    let mut arguments = vec!["--cert-file", &certificate, "--key-file", &key];
    if asks_for_certificates {
        arguments.extend(["--client-cert-auth", "--trusted-ca-file", &authority]);
    }
    exists().then(|| members(directory, 1, &arguments, "https").remove(0))
}

/// Starts an etcd of three members.
pub(crate) fn start_three(directory: &Path) -> Option<[Etcd; 3]> {
    exists().then(|| members(directory, 3, &[], "http").try_into().ok().unwrap())
}

fn exists() -> bool {
    let found = Command::new("etcd")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    match found {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Where even this cannot be said, nobody listens.
            let _ = writeln!(
                io::stderr(),
                "SKIPPED: the store in etcd: there is no etcd (Debian package etcd-server)"
            );
            false
        }
        Err(error) => panic!("etcd: {error}"),
    }
}

/// Addresses that nobody else uses, as long as process ids are not far apart.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, 128 | high, low, u8::try_from(next).unwrap())
}

/// A port of the address that is free now.
pub(crate) fn free_port(address: Ipv4Addr) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn members(directory: &Path, number: usize, arguments: &[&str], scheme: &'static str) -> Vec<Etcd> {
    let addresses: Vec<(String, String)> = (0..number)
        .map(|_| {
            let address = own_address();
            let [client, peer] = [(); 2].map(|()| format!("{address}:{}", free_port(address)));
            (client, peer)
        })
        .collect();
    let cluster: Vec<String> = addresses
        .iter()
        .enumerate()
        .map(|(number, (_, peer))| format!("m{number}=http://{peer}"))
        .collect();
    let cluster = cluster.join(",");
    let mut members: Vec<Etcd> = addresses
        .into_iter()
        .enumerate()
        .map(|(number, (client, peer))| {
            let data = directory.join(format!("m{number}"));
            let mut all: Vec<String> = [
                "--name",
                &format!("m{number}"),
                "--data-dir",
                &data.display().to_string(),
                "--listen-client-urls",
                &format!("{scheme}://{client}"),
                "--advertise-client-urls",
                &format!("{scheme}://{client}"),
                "--listen-peer-urls",
                &format!("http://{peer}"),
                "--initial-advertise-peer-urls",
                &format!("http://{peer}"),
                "--initial-cluster",
                &cluster,
                "--heartbeat-interval",
                "50",
                "--election-timeout",
                "500",
            ]
            .map(str::to_owned)
            .into();
            all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
            Etcd {
                directory: data,
                arguments: all,
                scheme,
                listen: client,
                child: None,
            }
        })
        .collect();
    for member in &mut members {
        member.run();
    }
    for member in &members {
        member.wait();
    }
    members
}

impl Etcd {
    fn run(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.directory.with_extension("log"))
            .unwrap();
        let child = Command::new("etcd")
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Waits until it listens.
    fn wait(&self) {
        let begun = Instant::now();
        while TcpStream::connect(&self.listen).is_err() {
            assert!(begun.elapsed() < super::LONG, "etcd does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.listen)
    }

    /// Settings for it alone.
    pub(crate) fn settings(&self, prefix: &str) -> EtcdSettings {
        EtcdSettings {
            endpoints: vec![self.endpoint()],
            prefix: prefix.to_owned(),
            ..EtcdSettings::default()
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn start_again(&mut self) {
        self.run();
        self.wait();
    }

    /// It keeps its connections and answers nothing: what a network that swallows everything looks like.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().unwrap().id();
        let id = Pid::from_raw(id.try_into().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// A client of etcd's own, for what stores do not do.
    pub(crate) async fn client(&self) -> etcd_client::Client {
        self.client_as(None).await
    }

    pub(crate) async fn client_as(&self, login: Option<(&str, &str)>) -> etcd_client::Client {
        let options = login
            .map(|(user, password)| etcd_client::ConnectOptions::new().with_user(user, password));
        etcd_client::Client::connect([self.endpoint()], options)
            .await
            .unwrap()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The certificates of an authority: what proves its members to us and us to them.
pub(crate) fn tls(authority: &str, certificate: &str, key: &str) -> Option<EtcdTls> {
    Some(EtcdTls {
        authority: authority.to_owned(),
        own: Some(EtcdCertificate {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        }),
    })
}
