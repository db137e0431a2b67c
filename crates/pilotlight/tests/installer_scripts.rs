//! The scripts that nodes install themselves with, run for real: on throw-away views of this machine, under several
//! shells, with packages of each kind.
#![allow(clippy::unwrap_used)]

mod head;

use std::env::consts::ARCH;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use head::{Nginx, ThrowAway, assert_refused, repository, run, said, skip};

const SHELLS: [&str; 3] = ["dash", "bash", "busybox"];

/// All that may be downloaded with, and what to take away for one of them to be used.
const DOWNLOADERS: [(&str, &str); 3] = [
    ("curl", "wget"),
    ("wget", "curl"),
    // Neither the one nor the other, and not tar: busybox alone.
    ("busybox", "curl wget tar"),
];

const UNIT: &str =
    "[Service]\nExecStart=/usr/lib/pilotlight-node/agent\n[Install]\nWantedBy=multi-user.target\n";

/// A web server with packages and scripts, and a machine to run them on.
struct Site {
    nginx: Nginx,
    machine: ThrowAway,
}

/// A package that a script is to install.
struct Offer<'a> {
    version: &'a str,
    url: String,
    content: &'a [u8],
}

impl Site {
    /// `None`, said loudly, where it cannot be had.
    fn up() -> Option<Self> {
        let (nginx, machine) = (Nginx::up()?, ThrowAway::new()?);
        Some(Self { nginx, machine })
    }

    /// Puts a package on the web server.
    fn offer<'a>(&self, version: &'a str, file: &str, content: &'a [u8]) -> Offer<'a> {
        self.nginx.put(file, content);
        let url = self.nginx.url(file);
        Offer {
            version,
            url,
            content,
        }
    }

    /// Writes the script that installs `pilotlight-node`, as the head puts it together, to where the machine sees it.
    fn installer(&self, script: &str, kind: &str, offer: &Offer) {
        let package = self.machine.path("package");
        fs::write(&package, offer.content).unwrap();
        let digest = run(Command::new("sha256sum").arg(&package)).stdout;
        let digest = String::from_utf8(digest).unwrap();
        let digest = digest.split(' ').next().unwrap();
        let Offer { version, url, .. } = offer;
        let values = format!(
            "KIND={kind}\nARCHITECTURE=$(uname -m)\n\
             each_package() {{\n    \"$1\" pilotlight-node '{version}' {digest} '{url}'\n}}\n"
        );
        let parts = [
            "arguments",
            "programs",
            "download",
            "wanted",
            "service",
            kind,
            "installer",
        ];
        fs::write(self.machine.path(script), self.script(&values, &parts)).unwrap();
    }

    fn pre_installer(&self) {
        let parts = ["arguments", "programs", "download", "pre-installer"];
        fs::write(self.machine.path("pre-installer"), self.script("", &parts)).unwrap();
    }

    fn script(&self, values: &str, parts: &[&str]) -> String {
        let mut script = format!("#!/bin/sh\nBASE={}\n{values}", self.nginx.url("api/v1"));
        for part in parts {
            let part = repository().join(format!("assets/install/{part}.sh"));
            script.push_str(&fs::read_to_string(part).unwrap());
        }
        script
    }

    /// What the pre-installer told of its machine last.
    fn asked(&self) -> String {
        let log = self.nginx.access_log();
        let (_, asked) = log.rsplit_once("/installer?").unwrap();
        asked.split(' ').next().unwrap().to_owned()
    }

    /// Puts what the machine sees as `script` to where the pre-installer asks for it.
    fn publish(&self, script: &str) {
        let script = fs::read(self.machine.path(script)).unwrap();
        self.nginx.put("api/v1/install/client/installer", script);
    }
}

/// Writes files below `tree`.
fn write(tree: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let file = tree.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
}

/// What these files are as a package, made by `commands` in a directory where they are below `tree`.
fn package(files: &[(&str, &str)], commands: &str) -> Vec<u8> {
    let home = tempfile::tempdir().unwrap();
    write(&home.path().join("tree"), files);
    let mut make = Command::new("sh");
    let output = run(make.args(["-euc", commands]).current_dir(home.path()));
    assert!(output.status.success(), "{}", said(&output));
    fs::read(home.path().join("package")).unwrap()
}

/// The files of a node package.
fn node(mark: &'static str, config: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("usr/lib/pilotlight-node/agent", mark),
        ("usr/lib/systemd/system/pilotlight-node.service", UNIT),
        ("etc/pilotlight/node.conf", config),
    ]
}

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    package(
        files,
        "tar --owner=0 --group=0 -C tree -czf package etc usr",
    )
}

/// Text of this length that does not compress.
fn noise(length: usize) -> String {
    let mut seed = 1_u64;
    let mut noise = String::new();
    while noise.len() < length {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        write!(noise, "{seed:x}").unwrap();
    }
    noise
}

#[test]
fn every_shell_installs_a_tar_with_every_downloader_and_once() {
    let Some(site) = Site::up() else { return };
    let content = tar(&node("agent 1\n", "# no head\n"));
    site.installer(
        "installer",
        "tar",
        &site.offer("1-1", "node.tar.gz", &content),
    );
    site.publish("installer");
    site.pre_installer();
    let head = site.nginx.url("api/v1");
    for shell in SHELLS {
        for (downloader, without) in DOWNLOADERS {
            let installed = site.machine.succeed(&format!(
                "shell {shell}; without {without}; echo ID=plan9 | system
                 sh -s <pre-installer >&2
                 state >before; sh -s <pre-installer >&2; state | diff before - >&2
                 cat /usr/lib/pilotlight-node/agent /etc/pilotlight/node.conf
                 readlink /etc/systemd/system/multi-user.target.wants/pilotlight-node.service"
            ));
            let expected = format!(
                "agent 1\n# no head\nHEAD={head}\n/usr/lib/systemd/system/pilotlight-node.service\n"
            );
            assert_eq!(installed, expected, "{shell}, {downloader}");
            assert_eq!(site.asked(), format!("cpu={ARCH}&pkg=tar"));
        }
    }
}

#[test]
fn every_shell_installs_a_deb_by_apt_and_by_dpkg() {
    let Some(site) = Site::up() else { return };
    let control = "Package: pilotlight-node\nVersion: 1.0-1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\n\
                   Description: a node\n";
    let mut files = node("agent 1\n", "# no head\n");
    files.extend([
        ("DEBIAN/control", control),
        ("DEBIAN/conffiles", "/etc/pilotlight/node.conf\n"),
    ]);
    let content = package(
        &files,
        "dpkg-deb --root-owner-group --build tree package >&2",
    );
    site.installer(
        "installer",
        "deb",
        &site.offer("1.0-1", "node.deb", &content),
    );
    site.publish("installer");
    site.pre_installer();
    for shell in SHELLS {
        for without in ["nothing", "apt-get"] {
            let installed = site.machine.succeed(&format!(
                "shell {shell}; without {without}
                 mkdir -p /etc/pilotlight; echo HEAD=http://other/api/v1 >/etc/pilotlight/node.conf
                 sh pre-installer >&2
                 state >before; sh pre-installer >&2; state | diff before - >&2
                 dpkg-query -W -f '${{db:Status-Abbrev}} ${{Version}}\\n' pilotlight-node
                 cat /usr/lib/pilotlight-node/agent /etc/pilotlight/node.conf"
            ));
            let expected = "ii  1.0-1\nagent 1\nHEAD=http://other/api/v1\n";
            assert_eq!(installed, expected, "{shell}, without {without}");
        }
        let installed = site.machine.succeed(&format!(
            "shell {shell}; mkdir /r /r/etc; echo ID=ubuntu >/r/etc/os-release
             sh pre-installer --root /r >&2
             state >before; sh pre-installer --root=/r >&2; state | diff before - >&2
             dpkg-query --admindir=/r/var/lib/dpkg -W -f '${{db:Status-Abbrev}} ${{Version}}\\n' pilotlight-node
             cat /r/usr/lib/pilotlight-node/agent
             readlink /r/etc/systemd/system/multi-user.target.wants/pilotlight-node.service"
        ));
        let expected = "ii  1.0-1\nagent 1\n/usr/lib/systemd/system/pilotlight-node.service\n";
        assert_eq!(installed, expected, "{shell}");
        assert_eq!(site.asked(), format!("cpu={ARCH}&os=ubuntu&pkg=deb"));
    }
}

#[test]
fn every_shell_installs_an_rpm_by_dnf_and_by_rpm() {
    let Some(site) = Site::up() else { return };
    if !site.machine.has("rpmbuild rpm dnf") {
        return skip("there is no rpmbuild, rpm or dnf here");
    }
    let spec = "Name: pilotlight-node\nVersion: 1.0\nRelease: 1\nSummary: a node\nLicense: MIT\nBuildArch: noarch\n\
                AutoReqProv: no\n%description\na node\n%install\ncp -r %{tree}/. %{buildroot}\n\
                %files\n/usr/lib/pilotlight-node/agent\n/usr/lib/systemd/system/pilotlight-node.service\n\
                %config(noreplace) /etc/pilotlight/node.conf\n";
    let mut files = node("agent 1\n", "# no head\n");
    files.push(("../node.spec", spec));
    let content = package(
        &files,
        "rpmbuild -bb --quiet -D \"_topdir $PWD/rpm\" -D \"tree $PWD/tree\" node.spec >&2; mv rpm/RPMS/noarch/*.rpm package",
    );
    site.installer(
        "installer",
        "rpm",
        &site.offer("1.0-1", "node.rpm", &content),
    );
    site.publish("installer");
    site.pre_installer();
    for shell in SHELLS {
        for without in ["nothing", "dnf"] {
            let installed = site.machine.succeed(&format!(
                "shell {shell}; without {without}
                 mkdir /r /r/etc; printf 'ID=rocky\\nVERSION_ID=9.4\\n' >/r/etc/os-release
                 sh pre-installer --root /r >&2
                 find /r | sort >before; sh pre-installer --root /r; find /r | sort | diff before - >&2
                 rpm --root /r -q pilotlight-node
                 cat /r/usr/lib/pilotlight-node/agent /r/etc/pilotlight/node.conf
                 readlink /r/etc/systemd/system/multi-user.target.wants/pilotlight-node.service"
            ));
            let expected = format!(
                "pilotlight: pilotlight-node 1.0-1 is installed\npilotlight-node-1.0-1.noarch\nagent 1\n# no head\n\
                 HEAD={}\n/usr/lib/systemd/system/pilotlight-node.service\n",
                site.nginx.url("api/v1")
            );
            assert_eq!(installed, expected, "{shell}, without {without}");
            assert_eq!(site.asked(), format!("cpu={ARCH}&os=rocky9.4&pkg=rpm"));
        }
    }
}

#[test]
fn the_pre_installer_says_what_its_machine_is() {
    let Some(site) = Site::up() else { return };
    site.pre_installer();
    let rpm = if site.machine.has("rpm") {
        "rpm"
    } else {
        "tar"
    };
    for (system, query) in [
        ("ID=debian\nVERSION_ID=\"12\"", "os=debian12&pkg=deb"),
        ("ID=ubuntu\nVERSION_ID='22.04'", "os=ubuntu22.04&pkg=deb"),
        (
            "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=21",
            "os=ubuntu&pkg=deb",
        ),
        (
            "ID=\"rocky\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=\"9.4\"",
            "os=rocky9.4&pkg=rpm",
        ),
        (
            "ID=opensuse-leap\nID_LIKE=\"suse opensuse\"",
            "os=sles&pkg=rpm",
        ),
        ("ID=debian\nVERSION_ID='1&x=y $(id)'", "os=debian&pkg=deb"),
        (
            "ID=cumulus-linux\nID_LIKE=debian\nVERSION_ID=5.9.1",
            "os=cumulus-linux5.9.1&pkg=deb",
        ),
        ("ID=void\nVERSION_ID=1", "pkg=tar"),
        ("ID=$(reboot)", "pkg=tar"),
    ] {
        // Nothing is published: the answer is 404, and the request is on record.
        let output = site.machine.run(&format!(
            "system <<'END'\n{system}\nEND\nsh pre-installer --dry-run"
        ));
        assert_refused(&output, "404");
        let query = query.replace("pkg=rpm", &format!("pkg={rpm}"));
        assert_eq!(site.asked(), format!("cpu={ARCH}&{query}"), "{system}");
    }
    for (mark, query) in [
        ("mkdir /etc/cumulus", "os=cumulus-linux&pkg=deb"),
        (
            "mkdir /etc/sonic; touch /etc/sonic/sonic_version.yml",
            "os=sonic&pkg=deb",
        ),
        ("without dpkg", "os=debian12&pkg=tar"),
    ] {
        let output = site.machine.run(&format!(
            "printf 'ID=debian\\nVERSION_ID=12\\n' | system; {mark}; sh pre-installer --dry-run"
        ));
        assert_refused(&output, "404");
        assert_eq!(site.asked(), format!("cpu={ARCH}&{query}"), "{mark}");
    }
}

#[test]
fn what_is_no_whole_installer_is_not_run() {
    let Some(site) = Site::up() else { return };
    site.pre_installer();
    for answer in [
        "",
        "<html>\n",
        "#!/bin/sh\ntouch /harm\n",
        "touch /harm\n{ main \"$@\"; exit; } # not quite\n",
    ] {
        site.nginx.put("api/v1/install/client/installer", answer);
        let output = site
            .machine
            .run("sh pre-installer || status=$?; [ ! -e /harm ]; exit $status");
        assert_refused(&output, "not a whole installer");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_package_that_was_tampered_with_is_not_installed() {
    let Some(site) = Site::up() else { return };
    let content = tar(&node("agent 1\n", ""));
    for kind in ["rpm", "deb", "tar"] {
        site.installer("installer", kind, &site.offer("1-1", "package", &content));
        let mut tampered = content.clone();
        *tampered.last_mut().unwrap() ^= 1;
        site.nginx.put("package", tampered);
        let output = site.machine.run(
            "state >before; sh installer || status=$?; state | diff before - || exit 99; exit $status",
        );
        assert_refused(&output, "nothing was installed");
    }
}

#[test]
fn a_download_that_broke_off_goes_on_where_it_ended() {
    let Some(site) = Site::up() else { return };
    let noise = noise(500_000);
    let mut files = node("agent 1\n", "");
    files.push(("usr/lib/pilotlight-node/noise", &noise));
    let content = tar(&files);
    for (downloader, without) in DOWNLOADERS {
        let network = BadNetwork::before(&site.nginx, 100_000);
        let mut offer = site.offer("1-1", "node.tar.gz", &content);
        offer.url = network.url("node.tar.gz");
        site.installer("installer", "tar", &offer);
        let commands =
            format!("without {without}; sh installer >&2; wc -c </usr/lib/pilotlight-node/noise");
        assert_eq!(
            site.machine.succeed(&commands),
            format!("{}\n", noise.len()),
            "{downloader}"
        );
        let requests = network.requests();
        assert_eq!(requests.len(), 2, "{downloader}: {requests:#?}");
        let range = requests[1]
            .lines()
            .find(|line| line.to_lowercase().starts_with("range: "));
        let range = range.unwrap_or_else(|| panic!("{downloader}: {requests:#?}"));
        let from: u64 = range["range: bytes=".len()..]
            .trim_end_matches('-')
            .parse()
            .unwrap();
        assert!((90_000..=100_000).contains(&from), "{downloader}: {range}");
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let Some(site) = Site::up() else { return };
    let content = tar(&node("agent 1\n", ""));
    site.pre_installer();
    for kind in ["rpm", "deb", "tar"] {
        site.installer("installer", kind, &site.offer("1-1", "package", &content));
        site.publish("installer");
        for place in ["", "--root /srv"] {
            let output = site.machine.run(&format!(
                "state >before; sh pre-installer --dry-run {place}; state | diff before - >&2"
            ));
            assert!(output.status.success(), "{}", said(&output));
            let stdout = String::from_utf8_lossy(&output.stdout);
            let expected = format!(
                "pilotlight: would install pilotlight-node 1-1 from {}\n",
                site.nginx.url("package")
            );
            assert!(stdout.starts_with(&expected), "{stdout}");
            assert!(
                stdout.contains("pilotlight: would enable pilotlight-node.service\n"),
                "{stdout}"
            );
        }
    }
}

#[test]
fn a_newer_tar_removes_what_vanished_and_keeps_what_was_changed() {
    let Some(site) = Site::up() else { return };
    let mut first = node("agent 1\n", "first\n");
    first.extend([
        ("usr/lib/pilotlight-node/old/file", "old\n"),
        ("etc/pilotlight/same.conf", "same\n"),
        ("etc/pilotlight/untouched.conf", "first\n"),
        ("etc/pilotlight/gone.conf", "gone\n"),
        ("etc/pilotlight/gone-but-changed.conf", "gone\n"),
    ]);
    let mut second = node("agent 2\n", "second\n");
    second.extend([
        ("usr/lib/pilotlight-node/new file", "new\n"),
        ("etc/pilotlight/same.conf", "same\n"),
        ("etc/pilotlight/untouched.conf", "second\n"),
    ]);
    let (first, second) = (tar(&first), tar(&second));
    site.installer("first", "tar", &site.offer("1-1", "first.tar.gz", &first));
    site.installer(
        "second",
        "tar",
        &site.offer("2-1", "second.tar.gz", &second),
    );
    let head = site.nginx.url("api/v1");
    for (shell, without) in [("dash", "nothing"), ("bash", "nothing"), ("busybox", "tar")] {
        for root in ["", "/r"] {
            let installed = site.machine.succeed(&format!(
                "shell {shell}; without {without}; mkdir /r
                 sh first --root '{root}/' >&2
                 cd {root}/etc/pilotlight; echo mine >>same.conf; echo mine >>gone-but-changed.conf
                 (cd \"$OLDPWD\"; sh second --root '{root}/' >&2)
                 for file in *; do echo \"$file: $(echo $(cat $file))\"; done
                 cd {root}/usr/lib/pilotlight-node; for file in *; do echo \"$file: $(cat \"$file\")\"; done"
            ));
            let expected = format!(
                "gone-but-changed.conf: gone mine\nnode.conf: first HEAD={head}\nnode.conf.new: second\n\
                 same.conf: same mine\nuntouched.conf: second\nagent: agent 2\nnew file: new\n"
            );
            assert_eq!(installed, expected, "{shell}, {root}");
        }
    }
}

#[test]
fn a_tar_keeps_modes_and_links_and_leaves_alone_what_it_only_implies() {
    let Some(site) = Site::up() else { return };
    let content = package(
        &[("etc/closed/a", "a"), ("usr/bin/tool", "tool"), ("lib/x/y", "y"), ("opt/d/f", "f")],
        "chmod 4750 tree/usr/bin/tool; ln -s tool tree/usr/bin/link; ln tree/usr/bin/tool tree/usr/bin/hard
         cd tree; tar --owner=0 --group=0 --no-recursion -czf ../package \\
            ./etc/closed/a ./usr/bin/tool ./usr/bin/link ./usr/bin/hard lib lib/x lib/x/y ./opt/d/f ./opt/d",
    );
    site.installer(
        "installer",
        "tar",
        &site.offer("1-1", "package.tar.gz", &content),
    );
    for (shell, without) in [("dash", "nothing"), ("busybox", "tar")] {
        let found = site.machine.succeed(&format!(
            "shell {shell}; without {without}; mkdir -p /r/usr/lib /r/etc; mkdir -m 700 /r/etc/closed; ln -s usr/lib /r/lib
             sh installer --root /r >&2; sh installer --root /r >&2
             find /r/etc/closed /r/usr/bin /r/lib /r/usr/lib/x /r/opt ! -name hard -printf '%p %y %m %l\\n' | sort
             [ /r/usr/bin/tool -ef /r/usr/bin/hard ]"
        ));
        let expected = "/r/etc/closed d 700 \n/r/etc/closed/a f 644 \n/r/lib l 777 usr/lib\n/r/opt d 755 \n/r/opt/d d 755 \n/r/opt/d/f f 644 \n/r/usr/bin d 755 \n\
                        /r/usr/bin/link l 777 tool\n/r/usr/bin/tool f 4750 \n/r/usr/lib/x d 755 \n/r/usr/lib/x/y f 644 \n";
        assert_eq!(found, expected, "{shell}");
    }
}

#[test]
fn a_tar_that_leads_out_of_the_root_is_refused() {
    let Some(site) = Site::up() else { return };
    let files = [("usr/a", "a"), ("b", "b")];
    for (file, how) in [
        (
            "up.tar.gz",
            "(cd tree/usr && tar -Pczf ../../package ../b a)",
        ),
        ("absolute.tar.gz", "tar -Pczf package \"$PWD/tree/b\""),
        ("no-tar.tar.gz", "gzip <tree/b >package"),
    ] {
        let content = package(&files, how);
        site.installer("installer", "tar", &site.offer("1-1", file, &content));
        for (shell, without) in [("dash", "nothing"), ("busybox", "tar")] {
            let output = site.machine.run(&format!(
                "shell {shell}; without {without}; mkdir /r; sh installer --root /r || status=$?
                 [ -z \"$(ls -A /r)\" ] || exit 99; exit $status"
            ));
            assert_refused(&output, "pilotlight-node: ");
        }
    }
}

#[test]
fn what_a_machine_lacks_is_said() {
    let Some(site) = Site::up() else { return };
    let content = tar(&node("agent 1\n", ""));
    site.installer("installer", "tar", &site.offer("1-1", "package", &content));
    site.pre_installer();
    for (commands, reason) in [
        (
            "without curl wget busybox; sh pre-installer",
            "neither curl nor wget",
        ),
        (
            "without sha256sum shasum busybox openssl; sh installer",
            "SHA-256",
        ),
        ("without tar busybox; sh installer", "no tar"),
        (
            "setpriv --reuid 65534 --clear-groups sh <installer",
            "only root",
        ),
        ("sh installer --root /nowhere", "no directory /nowhere"),
        ("sh installer --root", "needs a directory"),
        ("sh installer --force", "unknown argument --force"),
        (
            "sed -i 's/^ARCHITECTURE=.*/ARCHITECTURE=pdp11/' installer; sh installer",
            "is for pdp11",
        ),
    ] {
        assert_refused(&site.machine.run(commands), reason);
    }
}

/// A network before a web server that breaks off the first long answer.
struct BadNetwork {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl BadNetwork {
    /// One that breaks off after `length` bytes.
    fn before(nginx: &Nginx, length: usize) -> Self {
        let listener = TcpListener::bind("127.77.0.2:0").unwrap();
        let server = nginx
            .url("")
            .replace("http://", "")
            .trim_end_matches('/')
            .to_owned();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let ending = Arc::<AtomicBool>::default();
        let (kept, told) = (Arc::clone(&requests), Arc::clone(&ending));
        let thread = thread::spawn(move || {
            let mut length = length;
            while let Ok((client, _)) = listener.accept() {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                let request = request_of(&client);
                let answer = answer_of(&server, &request);
                kept.lock().unwrap().push(request);
                let whole = answer.len() <= length;
                let sent = &answer[..answer.len().min(length)];
                // The client may have what it wants before it has everything.
                let _ = (&client).write_all(sent);
                let _ = client.shutdown(Shutdown::Both);
                if !whole {
                    length = usize::MAX;
                }
            }
        });
        Self {
            address,
            requests,
            ending,
            thread: Some(thread),
        }
    }

    fn url(&self, file: &str) -> String {
        format!("http://{}/{file}", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for BadNetwork {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// The head of a request, which is all of it, with one connection for it alone.
fn request_of(mut client: &TcpStream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap() == 1 {
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let lines = request.lines().filter(|line| !line.is_empty());
    let lines = lines.filter(|line| !line.to_lowercase().starts_with("connection:"));
    lines.map(|line| format!("{line}\r\n")).collect::<String>() + "Connection: close\r\n\r\n"
}

fn answer_of(server: &str, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}
