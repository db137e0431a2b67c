//! The agent of a node, under every shell that a node may have and by every client that it may speak with, against a
//! real head.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};

use head::{Head, Relay, repository, run, skip, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// By what it is started.
const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];

/// What it may speak HTTP with, and what else it needs.
const CLIENTS: [&str; 3] = ["curl", "wget", "busybox"];
const PROGRAMS: [&str; 10] = [
    "cat", "chmod", "mkdir", "mktemp", "mv", "od", "rm", "sleep", "timeout", "uname",
];

/// Where a program is; it is said loudly if it is not here.
fn find(program: &str) -> Option<PathBuf> {
    let found = run(Command::new("sh").args(["-c", "command -v \"$0\"", program]));
    if !found.status.success() {
        skip(&format!("there is no {program} here"));
        return None;
    }
    Some(PathBuf::from(
        String::from_utf8(found.stdout).unwrap().trim(),
    ))
}

/// A machine that an agent runs on, in a directory.
struct Machine {
    root: PathBuf,
}

impl Machine {
    /// One that reports to these heads.
    fn new(head: &Head, heads: &str) -> Self {
        let machine = Self {
            root: head.path("machine"),
        };
        for (path, text) in [
            (
                "etc/pilotlight/node.conf",
                format!("# The head.\nHEAD=\"{heads}\"\n").as_str(),
            ),
            (
                "etc/os-release",
                "ID=test\nPRETTY_NAME=\"Test Linux 9 (Nine)\"\n",
            ),
            (
                "proc/meminfo",
                "MemTotal:  16384 kB\nMemFree:  1024 kB\nMemAvailable:  2048 kB\n",
            ),
            ("proc/loadavg", "0.42 0.30 0.25 1/100 12345\n"),
            ("proc/uptime", "1234.56 999.90\n"),
            (
                "proc/cpuinfo",
                "processor\t: 0\nmodel name\t: Quick CPU @ 2.40GHz\n",
            ),
            ("proc/sys/kernel/osrelease", "6.1.0-test\n"),
            ("proc/sys/kernel/hostname", "n1\n"),
            ("proc/sys/kernel/arch", "x86_64\n"),
            (
                "proc/net/route",
                "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                                eth1\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
            ),
            ("sys/devices/system/cpu/online", "0-3,8-9,12\n"),
            ("sys/class/net/lo/address", "00:00:00:00:00:00\n"),
            ("sys/class/net/eth0/address", "52:54:00:00:00:01\n"),
            ("sys/class/net/eth0/device/vendor", "0x1af4\n"),
            ("sys/class/net/eth1/address", "52:54:00:00:00:02\n"),
            ("sys/class/net/eth1/device/vendor", "0x1af4\n"),
            ("sys/class/dmi/id/sys_vendor", "ACME Inc.\n"),
            ("sys/class/dmi/id/product_name", "Anvil 9000\n"),
            ("sys/class/dmi/id/product_serial", "A-17\n"),
        ] {
            machine.write(path, text);
        }
        fs::create_dir(machine.path("tmp")).unwrap();
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let file = self.path(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    fn attributes(&self) -> PathBuf {
        self.path("etc/pilotlight/attributes.ini")
    }

    /// The agent under this shell.
    fn agent(&self, shell: &[&str]) -> Command {
        let mut agent = Command::new(shell[0]);
        agent
            .args(&shell[1..])
            .arg(repository().join("assets/node/agent"));
        agent
            .arg("--root")
            .arg(&self.root)
            .env("TMPDIR", self.path("tmp"));
        agent
    }

    fn report_once(&self) -> Output {
        run(self.agent(&["dash"]).arg("--once"))
    }

    /// Starts the agent, which says what it has to say into a file.
    fn start(&self, shell: &[&str]) -> Running<'_> {
        let log = File::create(self.path("log")).unwrap();
        let process = self.agent(shell).stderr(log).spawn().unwrap();
        Running {
            machine: self,
            process,
        }
    }
}

/// An agent that goes on until it is told to end.
struct Running<'a> {
    machine: &'a Machine,
    process: Child,
}

impl Running<'_> {
    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.machine.path("log")).unwrap();
        log.lines().map(str::to_owned).collect()
    }

    /// Everything it said, as soon as there are so many lines.
    fn log_of(&self, lines: usize) -> Vec<String> {
        until(&format!("the agent says {lines} things"), || {
            Some(self.log()).filter(|log| log.len() >= lines)
        })
    }

    fn terminate(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        until("the agent ends", || self.process.try_wait().unwrap())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn said(output: &Output) -> &str {
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    str::from_utf8(&output.stderr).unwrap()
}

fn assert_reported(output: &Output, to: &str) {
    let expected = format!("pilotlight-node: reports to {to} as n1\n");
    assert_eq!((said(output), output.status.code()), (&*expected, Some(0)));
}

fn node(head: &Head) -> Value {
    head.api("GET", "/node/n1", None).data()
}

/// What [`Machine::new`] is made of.
fn hardware() -> Value {
    json!({
        "mac": "52:54:00:00:00:02", "interfaces": "eth0=52:54:00:00:00:01 eth1=52:54:00:00:00:02",
        "ram_total": "16777216", "cpu_count": "7", "cpu_model": "Quick CPU @ 2.40GHz", "arch": "x86_64",
        "vendor": "ACME Inc.", "product": "Anvil 9000", "serial": "A-17",
    })
}

#[test]
fn a_node_reports_under_every_shell_and_by_every_client() {
    for shell in SHELLS {
        for client in CLIENTS {
            let (Some(shell_file), Some(_)) = (find(shell[0]), find(client)) else {
                continue;
            };
            let head = Head::start();
            head.node("n1", "127.0.0.1", &["attr.rack=7", "attr.motd=say \"hi\""]);
            let machine = Machine::new(&head, &head.url(""));
            let programs = machine.path("bin");
            fs::create_dir(&programs).unwrap();
            for program in PROGRAMS.iter().chain([&client]) {
                symlink(find(program).unwrap(), programs.join(program)).unwrap();
            }
            let mut agent = machine.agent(&[&[shell_file.to_str().unwrap()], &shell[1..]].concat());
            let output = run(agent.arg("--once").env("PATH", &programs));
            let what = format!("{shell:?} {client}: {output:?}");
            assert!(output.status.success(), "{what}");

            let node = node(&head);
            let expected = format!(
                "[Node]\nUID = {}\nName = n1\n\n[Attributes]\nmotd = say \"hi\"\nrack = 7\n",
                node["uid"].as_str().unwrap()
            );
            assert_eq!(
                fs::read_to_string(machine.attributes()).unwrap(),
                expected,
                "{what}"
            );
            let mode = fs::metadata(machine.attributes())
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o7777, 0o644, "{what}");
            assert_eq!(node["hardware"], hardware(), "{what}");
            for (name, value) in [
                ("state", "up"),
                ("ram_free", "2097152"),
                ("load_avg", "0.42"),
                ("uptime", "1234"),
                ("kernel", "6.1.0-test"),
                ("hostname", "n1"),
                ("os", "Test Linux 9 (Nine)"),
            ] {
                assert_eq!(node["status"][name], value, "{what}");
            }
            assert_eq!(
                fs::read_dir(machine.path("tmp")).unwrap().count(),
                0,
                "{what}"
            );
        }
    }
}

#[test]
fn any_text_survives() {
    // No UTF-8; UTF-8 that means nothing; cut off; and what JSON writes in a way of its own.
    let texts: [(&[u8], &str); 7] = [
        (b"\"quoted\" and \\ back", "\"quoted\" and \\ back"),
        (b"two\nlines\tand\x01\x7f", "two\nlines\tand\u{1}\u{7f}"),
        ("Ünïcödé 漢字 𝄞".as_bytes(), "Ünïcödé 漢字 𝄞"),
        (b"bad \xff byte", "bad \u{fffd} byte"),
        (b"\xed\xa0\x80 \xf4\x90\x80\x80", "\u{fffd} \u{fffd}"),
        (b"cut \xe6\xbc", "cut \u{fffd}"),
        (b"$(id) `id` * ? %s ' ; &", "$(id) `id` * ? %s ' ; &"),
    ];
    let head = Head::start();
    head.node("n1", "127.0.0.1", &[]);
    let machine = Machine::new(&head, &head.url(""));
    for shell in SHELLS.iter().filter(|shell| find(shell[0]).is_some()) {
        for (written, expected) in texts {
            machine.write("sys/class/dmi/id/product_name", [written, b"\n"].concat());
            let output = run(machine.agent(shell).arg("--once"));
            assert!(output.status.success(), "{shell:?}: {output:?}");
            assert_eq!(node(&head)["hardware"]["product"], expected, "{shell:?}");
        }
    }
}

#[test]
fn a_real_machine_is_described() {
    let head = Head::start();
    head.node("n1", "127.0.0.1", &[]);
    let machine = Machine::new(&head, &head.url(""));
    for directory in ["proc", "sys"] {
        fs::remove_dir_all(machine.path(directory)).unwrap();
        symlink(Path::new("/").join(directory), machine.path(directory)).unwrap();
    }
    assert_reported(&machine.report_once(), &head.url(""));
    let hardware = &node(&head)["hardware"];
    let memory = fs::read_to_string("/proc/meminfo").unwrap();
    let total = memory.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
    });
    assert_eq!(hardware["ram_total"], (total.unwrap() * 1024).to_string());
    assert_eq!(hardware["arch"], std::env::consts::ARCH);
    assert_ne!(
        hardware["cpu_count"]
            .as_str()
            .unwrap()
            .parse::<u32>()
            .unwrap(),
        0
    );
}

#[test]
fn hardware_is_told_once_and_when_it_changes() {
    let head = Head::start();
    head.node("n1", "127.0.0.1", &["attr._status_secs=1"]);
    let relay = Relay::to(head.address());
    let machine = Machine::new(&head, &relay.address().to_string());
    let agent = machine.start(&["dash"]);
    until("three reports", || {
        (relay.count("{\"status\": ") >= 3).then_some(())
    });
    assert_eq!(relay.count("\"hardware\": "), 1);
    machine.write("proc/meminfo", "MemTotal:  32768 kB\n");
    until("more memory", || {
        (node(&head)["hardware"]["ram_total"] == "33554432").then_some(())
    });
    assert_eq!(relay.count("\"hardware\": "), 2);
    assert!(agent.terminate().success());
}

#[test]
fn attributes_are_fetched_when_they_change_and_written_when_they_differ() {
    let head = Head::start();
    head.node("n1", "127.0.0.1", &["attr._status_secs=1", "attr.rack=7"]);
    let relay = Relay::to(head.address());
    let machine = Machine::new(&head, &relay.address().to_string());
    let agent = machine.start(&["dash"]);
    let reports = || relay.count("{\"status\": ");
    let fetches = || relay.count("GET /api/v1/install/client/attributes ");
    until("a report", || (reports() >= 2).then_some(()));
    // Before the first report, which is how it learns whom it reports for, and after it.
    let (known, file) = (fetches(), fs::metadata(machine.attributes()).unwrap().ino());
    assert_eq!(known, 2);
    until("two more", || (reports() >= 4).then_some(()));
    assert_eq!(fetches(), known, "nothing changed");
    assert_eq!(fs::metadata(machine.attributes()).unwrap().ino(), file);

    head.done("node set n1 rack=8");
    until("the new value", || {
        let text = fs::read_to_string(machine.attributes()).unwrap();
        assert!(
            text.starts_with("[Node]\n") && text.ends_with('\n'),
            "{text}"
        );
        text.contains("\nrack = 8\n").then_some(())
    });
    assert_eq!(fetches(), known + 1);
    assert!(agent.terminate().success());

    fs::remove_file(machine.attributes()).unwrap();
    let agent = machine.start(&["dash"]);
    until("the file is there", || {
        machine.attributes().exists().then_some(())
    });
    assert!(agent.terminate().success());
}

#[test]
fn a_head_that_is_down_is_waited_for() {
    let mut head = Head::start();
    head.node("n1", "127.0.0.1", &["attr._status_secs=1"]);
    let relay = Relay::to(head.address());
    let machine = Machine::new(&head, &relay.address().to_string());
    let agent = machine.start(&["dash"]);
    agent.log_of(1);
    let kept = fs::read(machine.attributes()).unwrap();

    head.kill();
    agent.log_of(2);
    let tries = relay.connections();
    until("it tries again", || {
        (relay.connections() >= tries + 2).then_some(())
    });
    assert_eq!(fs::read(machine.attributes()).unwrap(), kept);

    head.start_again();
    relay.lead_to(head.address());
    let log = agent.log_of(3);
    let up = format!(
        "pilotlight-node: reports to http://{}/api/v1 as n1",
        relay.address()
    );
    assert_eq!((&log[0], &log[2], log.len()), (&up, &up, 3), "{log:#?}");
    assert!(
        log[1].starts_with("pilotlight-node: no head takes the report: http://"),
        "{log:#?}"
    );
    assert_eq!(node(&head)["status"]["state"], "up");
    assert!(agent.terminate().success());
}

#[test]
fn the_next_head_is_tried_when_one_fails() {
    let head = Head::start();
    head.node("n1", "127.0.0.1", &["attr._status_secs=1"]);
    let (first, second) = (Relay::to(head.address()), Relay::to(head.address()));
    let heads = format!("{} http://{}/api/v1/", first.address(), second.address());
    let machine = Machine::new(&head, &heads);
    let agent = machine.start(&["dash"]);
    agent.log_of(1);
    assert_eq!(second.connections(), 0, "the first one is well");
    first.lead_nowhere();
    let log = agent.log_of(2);
    let reports = |relay: &Relay| {
        format!(
            "pilotlight-node: reports to http://{}/api/v1 as n1",
            relay.address()
        )
    };
    assert_eq!(log, [reports(&first), reports(&second)]);
    assert_eq!(
        second.count("\"hardware\": "),
        1,
        "the second knows nothing yet"
    );
    // It stays with the one that works.
    first.lead_to(head.address());
    let tried = first.connections();
    until("more reports", || {
        (second.count("{\"status\": ") >= 3).then_some(())
    });
    assert_eq!(first.connections(), tried);
    assert!(agent.terminate().success());
}

#[test]
fn the_kernel_names_the_head_where_the_file_does_not() {
    let head = Head::start();
    head.node("n1", "127.0.0.1", &[]);
    let machine = Machine::new(&head, "");
    let output = machine.report_once();
    assert_eq!(output.status.code(), Some(1));
    let file = machine.path("etc/pilotlight/node.conf");
    assert_eq!(
        said(&output),
        format!(
            "pilotlight-node: no head is known: give it as HEAD=http://ADDRESS/api/v1 in {}\n",
            file.display()
        )
    );
    let url = head.url("");
    for line in [
        format!("quiet head={url} ro"),
        format!("head=http://127.0.0.1:1 pilotlight.head={url}"),
        format!(
            "pilotlight.head={} head=3",
            url.strip_suffix("/api/v1").unwrap()
        ),
    ] {
        machine.write("proc/cmdline", line + "\n");
        assert_reported(&machine.report_once(), &url);
    }
    // The boot loader knows what the routes do not.
    machine.write(
        "proc/cmdline",
        format!("head={url} BOOTIF=01-52-54-00-00-00-01\n"),
    );
    assert_reported(&machine.report_once(), &url);
    assert_eq!(node(&head)["hardware"]["mac"], "52:54:00:00:00:01");
    fs::remove_file(file).unwrap();
    assert_reported(&machine.report_once(), &url);
}

#[test]
fn a_stranger_is_told_so_and_keeps_what_it_has() {
    let head = Head::start();
    let machine = Machine::new(&head, &head.url(""));
    machine.write("etc/pilotlight/attributes.ini", "kept\n");
    for client in CLIENTS.iter().filter(|client| find(client).is_some()) {
        let programs = machine.path(client);
        fs::create_dir(&programs).unwrap();
        for program in PROGRAMS.iter().chain([client]) {
            symlink(find(program).unwrap(), programs.join(program)).unwrap();
        }
        let dash = find("dash").unwrap();
        let output = run(machine
            .agent(&[dash.to_str().unwrap()])
            .arg("--once")
            .env("PATH", programs));
        assert_eq!(output.status.code(), Some(1));
        let reason = if *client == "busybox" {
            "404 Not Found"
        } else {
            "no node has address 127.0.0.1"
        };
        assert!(said(&output).contains(reason), "{client}: {output:?}");
        assert!(
            said(&output).contains(&head.url("/install/client/attributes")),
            "{client}: {output:?}"
        );
        assert_eq!(fs::read_to_string(machine.attributes()).unwrap(), "kept\n");
    }
}

#[test]
fn a_node_that_was_created_anew_gets_its_new_identity() {
    let head = Head::start();
    head.node("n1", "127.0.0.1", &["attr._status_secs=1"]);
    let machine = Machine::new(&head, &head.url(""));
    let agent = machine.start(&["dash"]);
    agent.log_of(1);
    head.done("node delete n1");
    head.node("n1", "127.0.0.1", &["attr._status_secs=1"]);
    let uid = node(&head)["uid"].as_str().unwrap().to_owned();
    until("the new identity", || {
        fs::read_to_string(machine.attributes())
            .unwrap()
            .contains(&uid)
            .then_some(())
    });
    until("its hardware", || {
        (node(&head)["hardware"] == hardware()).then_some(())
    });
    assert!(agent.terminate().success());
}

#[test]
fn it_ends_at_once_when_it_is_told_to() {
    for shell in SHELLS.iter().filter(|shell| find(shell[0]).is_some()) {
        let head = Head::start();
        head.node("n1", "127.0.0.1", &[]);
        let relay = Relay::to(head.address());
        let machine = Machine::new(&head, &relay.address().to_string());
        // While it waits for its next report.
        let agent = machine.start(shell);
        agent.log_of(1);
        assert!(agent.terminate().success(), "{shell:?}");
        // While it waits for an answer. Had it waited to the end, it would have said that there was none.
        relay.lead_to_silence();
        let before = relay.connections();
        let agent = machine.start(shell);
        until("it asks", || (relay.connections() > before).then_some(()));
        let log = machine.path("log");
        assert!(agent.terminate().success(), "{shell:?}");
        assert_eq!(fs::read_to_string(log).unwrap(), "", "{shell:?}");
        assert_eq!(
            fs::read_dir(machine.path("tmp")).unwrap().count(),
            0,
            "{shell:?}"
        );
    }
}

#[test]
fn it_says_what_it_takes() {
    let agent = repository().join("assets/node/agent");
    let ask = |argument: &str| run(Command::new("sh").arg(&agent).args(argument.split(' ')));
    let help = String::from_utf8(ask("--help").stdout).unwrap();
    for option in ["--once", "--root DIR", "--version", "node.conf"] {
        assert!(help.contains(option), "{help}");
    }
    assert!(ask("--version").stdout.starts_with(b"pilotlight-node "));
    for wrong in ["--twice", "--root", "--root /nowhere", "once"] {
        let output = ask(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(said(&output).starts_with("pilotlight-node: "), "{wrong}");
    }
}
