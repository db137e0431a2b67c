//! Machines that install themselves from a head, with the node package that it has from its first start, and then
//! report to it: throw-away views of this machine, under several shells, by every packaging system.
#![allow(clippy::unwrap_used)]

mod head;

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use head::{Head, Nginx, ThrowAway, assert_refused, run, said, skip, until};
use serde_json::{Value, json};

const SHELLS: [&str; 3] = ["dash", "bash", "busybox"];

/// Where the machines are seen from: they share the network of this one.
const ADDRESS: &str = "127.0.0.1";

const INSTALLER: &str = "/install/client/installer";

/// A system of RHEL's family, for a root directory of its own: its `/bin/sh` and all else is busybox.
const SYSTEM_SPEC: &str = r#"
Name: system
Version: 9.4
Release: 1
Summary: a small system
License: MIT
AutoReqProv: no
%define debug_package %{nil}
%define __os_install_post %{nil}
%description
A small system.
%install
mkdir -p %{buildroot}/bin %{buildroot}/etc %{buildroot}/tmp
cp "$(command -v busybox)" %{buildroot}/bin/busybox
ln -s busybox %{buildroot}/bin/sh
printf 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n' >%{buildroot}/etc/os-release
%files
/bin/*
/etc/os-release
%dir /tmp
"#;

/// How a machine installs itself.
struct Way<'a> {
    /// What makes it the machine that it is.
    preparation: &'a str,
    /// The root directory of the system that is installed into; empty for that of the machine.
    root: &'a str,
    /// What tells what is installed, and its answer.
    question: &'a str,
    answer: &'a str,
}

/// Packages write `~` where a version of ours has `-`.
fn agent_version() -> String {
    env!("CARGO_PKG_VERSION").replace('-', "~")
}

/// What every machine installs.
fn version() -> String {
    format!("{}-1", agent_version())
}

/// The node package among the head's client packages, of which there is no other.
fn node_package(head: &Head, kind: &str) -> PathBuf {
    let files = fs::read_dir(head.data().join("clientpkgs").join(kind)).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let [file] = &files[..] else {
        panic!("{files:?}");
    };
    file.clone()
}

/// As an administrator does it, so that the head has to notice.
fn remove_package(head: &Head, kind: &str) {
    fs::remove_file(node_package(head, kind)).unwrap();
}

/// The files that were fetched by now, oldest first, and nothing but that went well.
fn fetches(head: &Head) -> Vec<Value> {
    let mut records = head.ledger("limit=1000");
    records.reverse();
    for record in &records {
        assert_eq!(record["status"], 200, "{record}");
        assert_eq!(record["complete"], true, "{record}");
    }
    records
}

fn downloads(head: &Head) -> usize {
    let is_download = |record: &&Value| {
        let path = record["path"].as_str().unwrap();
        path.contains("/client/download/")
    };
    fetches(head).iter().filter(is_download).count()
}

/// The pre-installer makes a node of a machine, twice, and the node's agent reports.
fn assert_becomes_a_node(head: &Head, machine: &ThrowAway, shell: &str, way: &Way) {
    let Way {
        preparation,
        root,
        question,
        answer,
    } = way;
    let (pre_installer, base) = (head.url(INSTALLER), head.url(""));
    let what = format!("{shell}, {preparation}, {root}");
    head.node("n1", ADDRESS, &["attr.rack=7"]);
    let node = || head.api("GET", "/node/n1", None).data();
    assert_eq!(node()["status"], json!({"state": "unknown"}));
    let before = downloads(head);

    let arguments = if root.is_empty() {
        String::new()
    } else {
        format!("-s -- --root {root}")
    };
    let said = machine.succeed(&format!(
        "{preparation}; shell {shell}
         curl -sSf {pre_installer} | sh {arguments} >first
         cat first >&2; [ $(grep -c 'trying rpm' first) = 0 ]
         curl -sSf {pre_installer} | sh {arguments} >again
         grep -x 'pilotlight: pilotlight-node .* is installed' again
         {question}
         grep -x 'HEAD=.*' {root}/etc/pilotlight/node.conf
         [ -L {root}/etc/systemd/system/multi-user.target.wants/pilotlight-node.service ]
         chroot {root}/ /usr/lib/pilotlight-node/agent --once 2>&1
         chroot {root}/ /usr/lib/pilotlight-node/agent --version
         cat {root}/etc/pilotlight/attributes.ini"
    ));
    let node = node();
    let uid = node["uid"].as_str().unwrap();
    let (version, agent) = (version(), agent_version());
    let expected = format!(
        "pilotlight: pilotlight-node {version} is installed\n{answer}\nHEAD={base}\n\
         pilotlight-node: reports to {base} as n1\npilotlight-node {agent}\n\
         [Node]\nUID = {uid}\nName = n1\n\n[Attributes]\nrack = 7\n"
    );
    assert_eq!(said, expected, "{what}");
    assert_eq!(node["status"]["state"], "up", "{what}: {node}");
    assert_eq!(node["hardware"]["arch"], ARCH, "{what}: {node}");
    assert_eq!(downloads(head), before + 1, "{what}: once is enough");
    head.done("node delete n1");
}

#[test]
fn a_debian_installs_itself_by_apt_and_by_dpkg() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    if !machine.has("dpkg apt-get") {
        return skip("there is no dpkg or apt-get here");
    }
    let head = Head::start();
    for shell in SHELLS {
        for without in ["rpm dnf", "apt-get"] {
            let way = Way {
                preparation: &format!("without {without}; echo ID=debian | system"),
                root: "",
                question: "dpkg-query -W -f '${db:Status-Abbrev} ${Version}\\n' pilotlight-node; dpkg --verify pilotlight-node",
                answer: &format!("ii  {}\n??5?????? c /etc/pilotlight/node.conf", version()),
            };
            assert_becomes_a_node(&head, &machine, shell, &way);
        }
    }
}

#[test]
fn a_rocky_linux_is_installed_by_dnf_and_by_rpm_in_a_directory() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    if !machine.has("rpmbuild rpm dnf busybox") {
        return skip("there is no rpmbuild, rpm, dnf or busybox here");
    }
    let alone = machine.run("mkdir /b; cp $(command -v busybox) /b; chroot /b /busybox true");
    if !alone.status.success() {
        return skip("busybox is not static here");
    }
    fs::write(machine.path("system.spec"), SYSTEM_SPEC).unwrap();
    machine.succeed("rpmbuild -bb --quiet -D \"_topdir $PWD/rpm\" system.spec >&2; mv rpm/RPMS/*/system-*.rpm system.rpm");
    let head = Head::start();
    for shell in SHELLS {
        for without in ["apt-get", "dnf"] {
            let way = Way {
                preparation: &format!(
                    "without {without}; mkdir /r; rpm --root /r -i --nodeps system.rpm 2>/dev/null
                     mkdir /r/proc /r/sys /r/dev; for name in proc sys dev; do mount --rbind /$name /r/$name; done"
                ),
                root: "/r",
                question: "rpm --root /r -q pilotlight-node; rpm --root /r -V pilotlight-node || true",
                answer: &format!("pilotlight-node-{}.noarch\nS.5....T.  c /etc/pilotlight/node.conf", version()),
            };
            assert_becomes_a_node(&head, &machine, shell, &way);
        }
    }
}

#[test]
fn a_machine_without_a_packaging_system_installs_itself_from_a_tar() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    let head = Head::start();
    for shell in SHELLS {
        let way = Way {
            preparation: "without dpkg dpkg-query apt-get rpm dnf",
            root: "",
            question: "sed -n 's/^- //p' /var/lib/pilotlight/installed/pilotlight-node.list | grep -v '/$'",
            answer: "etc/pilotlight/node.conf\nusr/lib/pilotlight-node/agent\n\
                     usr/lib/systemd/system/pilotlight-node.service",
        };
        assert_becomes_a_node(&head, &machine, shell, &way);
    }
}

#[test]
fn a_head_with_nothing_but_an_rpm_makes_a_tar_of_it() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    let head = Head::start();
    remove_package(&head, "deb");
    remove_package(&head, "tar");
    let asked = ["?pkg=deb", "?os=ubuntu22.04", "?os=sonic&cpu=arm64"];
    for query in asked {
        let reply = head.get(&format!("{INSTALLER}{query}"));
        assert_eq!(reply.status, 200, "{query}: {reply:?}");
        let (comment, _) = reply.text().split_once("\nBASE=").unwrap();
        assert!(comment.contains("\n# Installs tar packages"), "{comment}");
        let why = "\n# Without: no deb package \"pilotlight-node\" for ";
        assert!(comment.contains(why), "{comment}");
    }
    let way = Way {
        preparation: "echo ID=debian | system",
        root: "",
        question: "[ -e /var/lib/pilotlight/installed/pilotlight-node.list ]; echo a tar",
        answer: "a tar",
    };
    assert_becomes_a_node(&head, &machine, "dash", &way);
    node_package(&head, "tar");

    // A tar stays where it is, and is found without its rpm.
    remove_package(&head, "rpm");
    let reply = head.get(&format!("{INSTALLER}?os=rocky9.4"));
    let (comment, _) = reply.text().split_once("\nBASE=").unwrap();
    assert!(
        comment.contains("\n# Installs tar packages, for x86_64 and rhel.\n"),
        "{comment}"
    );
    assert!(
        comment.contains("\n# Without: no rpm package \"pilotlight-node\" for x86_64"),
        "{comment}"
    );
}

#[test]
fn a_tar_made_of_the_rpm_installs_what_the_other_tar_does() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    let head = Head::start();
    let installer = head.url(&format!("{INSTALLER}?pkg=tar&cpu={ARCH}"));
    let tar = || fs::read(node_package(&head, "tar")).unwrap();
    // What the installer itself writes has the time of now.
    let tree = |commands: &str| {
        machine.succeed(&format!(
            "mkdir /r; {commands}; cd /r
             find . ! -path './var/*' -printf '%p %y %m %U %G %l\\n' | sort
             find etc usr -type f ! -name node.conf -printf '%p %T@\\n' | sort
             find etc usr -type f -exec sha256sum {{}} + | sort
             sed 1d var/lib/pilotlight/installed/pilotlight-node.list | grep -v '/$' | sort"
        ))
    };
    let (built, prebuilt) = (
        tree(&format!("curl -sSf '{installer}' | sh -s -- --root /r >&2")),
        tar(),
    );
    remove_package(&head, "tar");
    let (made, converted) = (
        tree(&format!("curl -sSf '{installer}' | sh -s -- --root /r >&2")),
        tar(),
    );
    assert_ne!(prebuilt, converted);
    assert!(
        built.contains("./usr/lib/pilotlight-node/agent f 755 0 0 \n"),
        "{built}"
    );
    assert_eq!(built, made);
}

#[test]
fn every_fetch_is_in_the_ledger() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    let head = Head::start();
    head.node("n1", ADDRESS, &[]);
    machine.succeed(&format!(
        "without dpkg rpm; curl -sSf {} | sh >&2; /usr/lib/pilotlight-node/agent --once",
        head.url(INSTALLER)
    ));
    let tar = node_package(&head, "tar");
    let records = until("three records are in the ledger", || {
        let records = fetches(&head);
        (records.len() >= 3).then_some(records)
    });
    let paths: Vec<_> = records
        .iter()
        .map(|record| record["path"].as_str().unwrap())
        .collect();
    let installer = format!("/api/v1{INSTALLER}");
    let name = tar.file_name().unwrap().to_str().unwrap();
    let download = format!("/api/v1/install/client/download/tar/{ARCH}/{name}");
    assert_eq!(paths, [&installer, &installer, &download]);
    for record in &records {
        assert_eq!(
            (&record["node"], &record["how"]),
            (&json!("n1"), &json!("address")),
            "{record}"
        );
    }
    let digest = run(Command::new("sha256sum").arg(&tar)).stdout;
    assert_eq!(records[2]["sha256"], str::from_utf8(&digest[..64]).unwrap());
    assert_eq!(records[2]["sent"], fs::metadata(&tar).unwrap().len());
}

/// The packaging systems that this machine can be asked to install by.
fn kinds(machine: &ThrowAway) -> Vec<&'static str> {
    let tools = [("rpm", "rpm"), ("deb", "dpkg"), ("tar", "tar")];
    let is_here = |(_, tool): &(&str, &str)| {
        let is_here = machine.has(tool);
        if !is_here {
            skip(&format!("there is no {tool} here"));
        }
        is_here
    };
    tools
        .into_iter()
        .filter(is_here)
        .map(|(kind, _)| kind)
        .collect()
}

type Damage = fn(&mut Vec<u8>);

const DAMAGES: [(&str, Damage); 3] = [
    ("one bit", |bytes| *bytes.last_mut().unwrap() ^= 1),
    ("half of it", |bytes| bytes.truncate(bytes.len() / 2)),
    ("more of it", |bytes| bytes.extend_from_slice(b"more")),
];

/// Runs commands that are to fail without a change to the machine, and to say in one line why.
fn assert_changes_nothing(machine: &ThrowAway, commands: &str, reason: &str) {
    let output = machine.run(&format!(
        "state >before; {commands} || status=$?; state | diff before - >&2 || exit 99; exit $status"
    ));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_refused(&output, reason);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr.lines().count(), 1, "{}", said(&output));
}

#[test]
fn a_package_that_changed_on_the_head_since_the_script_was_made_is_not_installed() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    let head = Head::start();
    let kinds = kinds(&machine);
    for kind in &kinds {
        let script = head.get(&format!("{INSTALLER}?pkg={kind}&cpu={ARCH}"));
        fs::write(machine.path(&format!("{kind}-installer")), script.body).unwrap();
    }
    for kind in kinds {
        let package = node_package(&head, kind);
        let bytes = fs::read(&package).unwrap();
        let changed = match kind {
            // A gzip has a checksum, and the head would find it wrong.
            "tar" => compressed_otherwise(&package),
            _ => [&bytes[..bytes.len() - 1], &[bytes[bytes.len() - 1] ^ 1]].concat(),
        };
        assert_ne!(bytes, changed);
        fs::write(&package, changed).unwrap();
        assert_changes_nothing(
            &machine,
            &format!("sh {kind}-installer"),
            "not the package that the head offered",
        );
    }
}

/// The same tar in other bytes.
fn compressed_otherwise(tar: &Path) -> Vec<u8> {
    let mut gzip = Command::new("sh");
    run(gzip.args(["-c", "gzip -dc <\"$0\" | gzip -1"]).arg(tar)).stdout
}

#[test]
fn a_package_that_broke_on_the_head_is_not_installed() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    let head = Head::start();
    // While a tar is broken, a client may try again, which it does for a minute.
    for kind in kinds(&machine).into_iter().filter(|kind| *kind != "tar") {
        let script = head.get(&format!("{INSTALLER}?pkg={kind}&cpu={ARCH}"));
        fs::write(machine.path("installer"), script.body).unwrap();
        let package = node_package(&head, kind);
        let half = fs::metadata(&package).unwrap().len() / 2;
        let file = fs::File::options().write(true).open(&package).unwrap();
        file.set_len(half).unwrap();
        assert_changes_nothing(&machine, "sh installer", "cut short");
    }
}

#[test]
fn a_package_that_was_tampered_with_on_its_way_is_not_installed() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    let head = Head::start();
    let Some(nginx) = Nginx::before(head.address()) else {
        return;
    };
    for kind in kinds(&machine) {
        let script = nginx.url(&format!("api/v1{INSTALLER}?pkg={kind}&cpu={ARCH}"));
        let package = node_package(&head, kind);
        let name = package.file_name().unwrap().to_str().unwrap();
        let path = format!("api/v1/install/client/download/{kind}/{ARCH}/{name}");
        for (damage, spoil) in DAMAGES {
            let mut bytes = fs::read(&package).unwrap();
            spoil(&mut bytes);
            nginx.put(&path, bytes);
            assert_changes_nothing(
                &machine,
                &format!("curl -sSf '{script}' | sh"),
                "not the package that the head offered",
            );
            let asked = format!("GET /{path} HTTP/1.1\" 200");
            assert!(nginx.access_log().contains(&asked), "{kind}, {damage}");
        }
    }
    assert_eq!(downloads(&head), 0, "none was the head's");
}

#[test]
fn a_head_that_has_nothing_says_what_is_missing() {
    let Some(machine) = ThrowAway::new() else {
        return;
    };
    let head = Head::start();
    for kind in ["rpm", "deb", "tar"] {
        remove_package(&head, kind);
    }
    for (query, missing) in [
        ("pkg=rpm", &["rpm", "tar"][..]),
        ("pkg=deb", &["deb", "tar"]),
        ("pkg=tar", &["tar"]),
        ("cpu=arm64", &["tar", "rpm", "deb"]),
    ] {
        let reply = head.get(&format!("{INSTALLER}?{query}"));
        assert_eq!(reply.status, 404, "{query}: {reply:?}");
        for kind in missing {
            let what = format!("no {kind} package \"pilotlight-node\"");
            assert!(reply.text().contains(&what), "{query}: {reply:?}");
        }
    }
    assert_changes_nothing(
        &machine,
        &format!("curl -sSf {} | sh", head.url(INSTALLER)),
        "package \"pilotlight-node\"",
    );
}
