//! The real Ignition against a real head: what it provisions a machine with, and what it makes of a head that says no.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use head::{Head, Nginx, repository, run, skipped, until};
use serde_json::{Value, json};

const FETCHING: &str = "[fetch]\nallow = [\"127.0.0.0/8\"]\n";

/// A machine that is to be provisioned as the node n1.
struct Machine {
    root: PathBuf,
    provision: Command,
}

impl Machine {
    /// The node n1 of this head; Ignition asks from its address.
    fn n1(head: &Head, words: &[&str]) -> Self {
        head.node("n1", "127.0.0.1", words);
        let root = head.path("root");
        let mut provision = Command::new("sh");
        provision.arg(repository().join("tests/clients/ignition.sh"));
        provision.args(["--timeout", "60s", &head.url("/ignition/n1")]);
        provision.arg(&root);
        Self { root, provision }
    }

    /// `None` where Ignition cannot run.
    fn provision(&mut self) -> Option<Output> {
        Some(run(&mut self.provision)).filter(|output| !skipped(output))
    }

    /// The same; as soon as the head has answered with this status, `then` happens.
    fn provision_despite(
        &mut self,
        head: &Head,
        status: u16,
        then: impl FnOnce(),
    ) -> Option<Output> {
        self.provision.stdin(Stdio::null());
        self.provision.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.provision.spawn().unwrap();
        let failed = until("Ignition is told no, or ends", || {
            let told = !head.ledger(&format!("status={status}")).is_empty();
            let ended = child.try_wait().unwrap().is_some();
            (told || ended).then_some(told)
        });
        if failed {
            then();
        }
        let output = child.wait_with_output().unwrap();
        Some(output).filter(|output| !skipped(output))
    }

    fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn read(&self, path: &str) -> String {
        let file = self.file(path);
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn assert_provisioned(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

/// The status and path of each request, the first one first, as soon as there are `count`.
fn requests(head: &Head, count: usize) -> Vec<(u64, String)> {
    let mut records = until(&format!("{count} requests"), || {
        let records = head.ledger("limit=1000");
        (records.len() >= count).then_some(records)
    });
    assert_eq!(records.len(), count, "{records:#?}");
    records.reverse();
    let request = |record: &Value| {
        let path = record["path"].as_str().unwrap();
        (record["status"].as_u64().unwrap(), path.to_owned())
    };
    records.iter().map(request).collect()
}

/// `sha256-…` or `sha512-…`, as Ignition wants it.
fn hash(head: &Head, algorithm: &str, content: &str) -> String {
    let file = head.path("hashed");
    fs::write(&file, content).unwrap();
    let sum = run(Command::new(format!("{algorithm}sum")).arg(file)).stdout;
    let sum = String::from_utf8(sum).unwrap();
    format!("{algorithm}-{}", sum.split(' ').next().unwrap())
}

#[test]
fn a_machine_is_provisioned_with_all_that_its_config_says() {
    let head = Head::start();
    let base = json!({
        "ignition": {"version": "3.3.0"},
        "storage": {"directories": [{"path": "/srv/site", "mode": 448}]},
    });
    let base = base.to_string();
    let payload = "a payload of many bytes\n".repeat(1000);
    head.put("parts/base.ign", &base);
    head.put("parts/payload", &payload);
    head.put("parts/node.ign", json!({
        "ignition": {"version": "3.2.0"},
        "storage": {"links": [{"path": "/etc/localtime", "target": "/usr/share/zoneinfo/<a[zone]>"}]},
    }).to_string());
    let unit = "[Unit]\nDescription=Tells the rack, <a[rack]>\n[Service]\nExecStart=/bin/echo <n[name]>\n\
                [Install]\nWantedBy=multi-user.target\n";
    let config = json!({
        "ignition": {"version": "3.3.0", "config": {"merge": [
            {"source": "<base_url()>/kickstart/parts/base.ign", "verification": {"hash": hash(&head, "sha512", &base)}},
            {"source": "<base_url()>/kickstart/parts/node.ign"},
        ]}},
        "storage": {"files": [
            {"path": "/etc/hostname", "mode": 420, "contents": {"source": "data:,%3Cn%5Bname%5D%3E%0A"}},
            {"path": "/etc/token", "mode": 416, "contents": {"source": "data:,%3Ca%5Btoken%5D%3E"}},
            {"path": "/srv/site/payload", "contents": {
                "source": "<base_url()>/kickstart/parts/payload",
                "verification": {"hash": hash(&head, "sha256", &payload)},
            }},
        ]},
        "systemd": {"units": [{"name": "rack.service", "enabled": true, "contents": unit}]},
    });
    head.put("n1.ign", config.to_string());
    let token = "attr.token=\"}]} \\ 100% <a[rack]> ü";
    let words = [
        "attr._ignition=n1.ign",
        "attr.rack=7",
        "attr.zone=Europe/Berlin",
        token,
    ];
    let mut machine = Machine::n1(&head, &words);
    let Some(output) = machine.provision() else {
        return;
    };
    assert_provisioned(&output);

    assert_eq!(machine.read("etc/hostname"), "n1\n");
    assert_eq!(machine.read("etc/token"), token["attr.token=".len()..]);
    let mode = |path| {
        fs::metadata(machine.file(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(mode("etc/hostname"), 0o644);
    assert_eq!(mode("etc/token"), 0o640);
    assert_eq!(mode("srv/site"), 0o700);
    assert!(machine.read("srv/site/payload") == payload);
    let target = fs::read_link(machine.file("etc/localtime")).unwrap();
    assert_eq!(target.to_str(), Some("/usr/share/zoneinfo/Europe/Berlin"));
    let unit = unit.replace("<a[rack]>", "7").replace("<n[name]>", "n1");
    assert_eq!(machine.read("etc/systemd/system/rack.service"), unit);
    let preset = machine.read("etc/systemd/system-preset/20-ignition.preset");
    assert_eq!(preset, "enable rack.service\n");
    let result: Value = serde_json::from_str(&machine.read("etc/.ignition-result.json")).unwrap();
    assert_eq!(result["userConfigProvided"], true);

    let asked = [
        "/ignition/n1",
        "/kickstart/parts/base.ign",
        "/kickstart/parts/node.ign",
        "/kickstart/parts/payload",
    ];
    let asked = asked.map(|path| (200, format!("/api/v1{path}")));
    assert_eq!(requests(&head, asked.len()), asked);
}

#[test]
fn a_machine_is_provisioned_from_butane() {
    let head = Head::start();
    let butane = "variant: fcos\nversion: 1.4.0\nstorage:\n  files:\n  - path: /etc/motd\n    mode: 0600\n    contents:\n      \
                  local: motd\n  trees:\n  - local: site\n    path: /srv\n";
    head.put("site.bu", butane);
    head.put(
        "files/motd",
        format!("This is <n[name]>\n{}", "and many more lines\n".repeat(500)),
    );
    head.put("files/site/a/b", "deep");
    let mut machine = Machine::n1(&head, &["attr._ignition=site.bu"]);
    let Some(output) = machine.provision() else {
        return;
    };
    assert_provisioned(&output);
    // So long that the translation compresses it.
    let motd = format!("This is n1\n{}", "and many more lines\n".repeat(500));
    assert_eq!(machine.read("etc/motd"), motd);
    assert_eq!(machine.read("srv/a/b"), "deep");
}

#[test]
fn a_config_that_is_no_use_ends_the_boot_at_once_and_the_ledger_says_why() {
    let head = Head::start();
    let invalid = "{\"ignition\": {\"version\": \"3.3.0\"}, \"storage\": {\"files\": [{\"path\": \"etc/a\"}]}}";
    let too_new = "{\"ignition\": {\"version\": \"3.4.0\"}}";
    let mut machine = Machine::n1(&head, &["attr._ignition=a.ign"]);
    let mut refused = 0;
    for (content, status, answer, reason) in [
        (
            invalid,
            422,
            "Unprocessable Entity",
            "a.ign: $.storage.files[0].path: ",
        ),
        (too_new, 406, "Not Acceptable", "3.4.0"),
        ("", 422, "Unprocessable Entity", "a.ign"),
    ] {
        head.put("a.ign", content);
        let Some(output) = machine.provision() else {
            return;
        };
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(
            said(&output).contains(&format!("GET result: {answer}")),
            "{}",
            said(&output)
        );
        assert!(
            said(&output).contains("CRITICAL : Ignition failed: "),
            "{}",
            said(&output)
        );
        // Asked once, and provisioned with nothing.
        refused += 1;
        requests(&head, refused);
        assert!(!machine.file("etc/.ignition-result.json").exists());
        let record = head.ledger("limit=1").remove(0);
        assert_eq!(
            (&record["status"], &record["node"]),
            (&status.into(), &"n1".into())
        );
        assert!(
            record["reason"].as_str().unwrap().contains(reason),
            "{record}"
        );
    }
    // Put right, the next boot goes well.
    head.put("a.ign", "{\"ignition\": {\"version\": \"3.3.0\"}}");
    assert_provisioned(&machine.provision().unwrap());
}

#[test]
fn a_machine_waits_for_an_upstream_that_is_slow() {
    let Some(nginx) = Nginx::up() else {
        return;
    };
    let head = Head::with_config(FETCHING);
    nginx.put("a.ign", CONFIG);
    let place = format!("attr._ignition={}", nginx.url("a.ign"));
    let mut machine = Machine::n1(&head, &[&place]);
    nginx.pause();
    let Some(output) = machine.provision_despite(&head, 503, || nginx.resume()) else {
        return;
    };
    assert_provisioned(&output);
    assert_eq!(machine.read("etc/hostname"), "n1");
    assert!(
        said(&output).contains("GET result: Service Unavailable"),
        "{}",
        said(&output)
    );
    assert_eq!(statuses(&head), [503, 200]);
}

#[test]
fn a_machine_waits_for_an_upstream_that_is_down() {
    let Some(mut nginx) = Nginx::down() else {
        return;
    };
    let head = Head::with_config(FETCHING);
    nginx.put("a.ign", CONFIG);
    let place = format!("attr._ignition={}", nginx.url("a.ign"));
    let mut machine = Machine::n1(&head, &[&place]);
    let Some(output) = machine.provision_despite(&head, 502, || nginx.start()) else {
        return;
    };
    assert_provisioned(&output);
    assert_eq!(machine.read("etc/hostname"), "n1");
    assert!(
        said(&output).contains("GET result: Bad Gateway"),
        "{}",
        said(&output)
    );
    assert_eq!(statuses(&head), [502, 200]);
}

/// One that tells the machine its name.
const CONFIG: &str = "{\"ignition\": {\"version\": \"3.3.0\"}, \"storage\": {\"files\": [{\"path\": \"/etc/hostname\", \
                      \"contents\": {\"source\": \"data:,%3Cn%5Bname%5D%3E\"}}]}}";

/// The statuses that the machine got, one after the other, up to the first 200.
fn statuses(head: &Head) -> Vec<u64> {
    let mut records = until("Ignition got its config", || {
        let records = head.ledger("limit=1000");
        (records[0]["status"] == 200).then_some(records)
    });
    records.reverse();
    let status = |record: &Value| record["status"].as_u64().unwrap();
    let mut statuses: Vec<u64> = records.iter().map(status).collect();
    statuses.dedup();
    statuses
}
