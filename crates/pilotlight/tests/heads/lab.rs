//! Machines with a network of their own, which can be cut off from each other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::head::{have, run, skip};

/// A network namespace that the test is in, with a bridge, to which the machines are connected, each in a namespace of
/// its own. They end with this value.
pub(crate) struct Lab {
    /// Where the test was before, and is afterwards.
    outside: File,
    switch: Namespace,
    machines: BTreeMap<IpAddr, Namespace>,
}

impl Lab {
    /// Moves the calling thread into a new lab: it, its threads and what they start are at its switch from now on.
    /// `None`, said loudly, where this cannot be done.
    pub(crate) fn enter() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("heads that cannot reach each other: only root can make networks");
            return None;
        }
        if !have(&["ip", "nsenter", "unshare"]) {
            return None;
        }
        let outside = File::open("/proc/thread-self/ns/net").unwrap();
        let Some(switch) = Namespace::new() else {
            skip("heads that cannot reach each other: no network namespaces here");
            return None;
        };
        let set_up =
            "ip link set lo up && ip link add switch type bridge && ip link set switch up &&
                      ip address add 10.77.0.254/24 dev switch";
        if let Err(said) = switch.run(set_up) {
            skip(&format!(
                "heads that cannot reach each other: no bridge here: {said}"
            ));
            return None;
        }
        switch.enter();
        Some(Self {
            outside,
            switch,
            machines: BTreeMap::new(),
        })
    }

    /// An address that a machine can have.
    pub(crate) fn host(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, number)
    }

    /// Does something on the machine with this address, which is set up if it is new.
    pub(crate) fn on<T: Send>(&mut self, address: IpAddr, work: impl FnOnce() -> T + Send) -> T {
        let number = self.machines.len();
        let machine = self.machines.entry(address).or_insert_with(|| {
            let machine = Namespace::new().expect("there is one already");
            let connect = format!(
                "ip link add port{number} type veth peer name eth0 netns {} &&
                 ip link set port{number} master switch up",
                machine.process.id()
            );
            self.switch.run(&connect).unwrap();
            let set_up = format!(
                "ip link set lo up && ip address add {address}/24 dev eth0 && ip link set eth0 up"
            );
            machine.run(&set_up).unwrap();
            machine
        });
        thread::scope(|scope| {
            let on_it = scope.spawn(|| {
                machine.enter();
                work()
            });
            on_it.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// From now on these two hear nothing of each other, as if a switch between them had failed. The test reaches both.
    pub(crate) fn part(&self, one: IpAddr, other: IpAddr) {
        for (from, to) in [(one, other), (other, one)] {
            let nobody = format!(
                "ip neighbour replace {to} lladdr 02:00:00:00:00:01 nud permanent dev eth0"
            );
            self.machines[&from].run(&nobody).unwrap();
        }
    }

    /// From now on they reach each other again.
    pub(crate) fn mend(&self, one: IpAddr, other: IpAddr) {
        for (from, to) in [(one, other), (other, one)] {
            let forget = format!("ip neighbour del {to} dev eth0");
            self.machines[&from].run(&forget).unwrap();
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        enter(&self.outside);
    }
}

/// A network namespace, held by a process that ends with this one.
struct Namespace {
    process: Child,
}

impl Namespace {
    fn new() -> Option<Self> {
        let mut process = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let stdout = process.stdout.take()?;
        // When it says something, it is inside.
        BufReader::new(stdout).read_line(&mut line).ok()?;
        (!line.is_empty()).then_some(Self { process })
    }

    /// Moves the calling thread into it.
    fn enter(&self) {
        enter(&File::open(format!("/proc/{}/ns/net", self.process.id())).unwrap());
    }

    /// Runs shell commands in it; what they say if they fail.
    fn run(&self, commands: &str) -> Result<(), String> {
        let link = format!("--net=/proc/{}/ns/net", self.process.id());
        let output = run(Command::new("nsenter")
            .args([&link, "sh", "-c"])
            .arg(format!("PATH=$PATH:/usr/sbin:/sbin; {commands}")));
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may be gone, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Moves the calling thread into a network namespace.
fn enter(link: &File) {
    move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}
