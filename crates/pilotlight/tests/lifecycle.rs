//! How a head begins, ends, and goes on after a bad end.
#![allow(clippy::unwrap_used)]

mod head;

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use head::{Head, curl, pilotlight, run, until};
use serde_json::json;

const N1: &str = "127.0.0.11";

#[test]
fn a_first_start_makes_all_that_is_needed() {
    let head = Head::start();
    let mode = |name: &str| {
        fs::metadata(head.data().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("admin_pass"), 0o600);
    assert_eq!(mode("pilotlight.db"), 0o600);
    assert!(head.kickstarts().is_dir());
    assert!(head.data().join("clientpkgs").is_dir());
    assert!(head.socket().exists());
    assert!(
        fs::read_to_string(head.data().join("admin_pass"))
            .unwrap()
            .trim()
            .len()
            >= 16
    );
    assert_eq!(head.get("/readyz").status, 200);
}

#[test]
fn the_first_password_may_be_given() {
    let head = Head::stopped("");
    let (data, pass) = (head.data(), head.path("pass"));
    fs::write(&pass, "correct horse battery\n").unwrap();
    let mut serve = pilotlight();
    serve
        .arg("serve")
        .arg("--data")
        .arg(&data)
        .args(["--listen", "127.0.0.1:0", "--admin-pass-file"])
        .arg(&pass);
    let mut process = serve
        .stdout(File::create(head.path("stdout")).unwrap())
        .stderr(File::create(head.path("log")).unwrap())
        .spawn()
        .unwrap();
    until("the head listens", || {
        fs::read_to_string(head.path("stdout"))
            .unwrap()
            .contains("listening")
            .then_some(())
    });
    let login = json!({"user": "admin", "password": "correct horse battery"}).to_string();
    let socket = data.join("api.sock");
    let url = "http://localhost/api/v1/auth/login";
    let reply = curl(["--unix-socket", socket.to_str().unwrap(), "-d", &login, url]);
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(!data.join("admin_pass").exists());
}

#[test]
fn a_head_that_cannot_say_that_it_listens_serves_all_the_same() {
    let head = Head::stopped("");
    let mut serve = pilotlight();
    serve
        .arg("serve")
        .arg("--data")
        .arg(head.data())
        .args(["--listen", "127.0.0.1:0"])
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .stderr(File::create(head.path("log")).unwrap());
    let mut process = serve.spawn().unwrap();
    until("it is in the log", || {
        let log = head.log();
        log.contains("cannot write to standard output: No space left on device")
            .then_some(())
    });
    let socket = head.data().join("api.sock");
    let url = "http://localhost/healthz";
    let reply = curl(["--unix-socket", socket.to_str().unwrap(), url]);
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// A head with a large file, and a client that has begun to fetch it.
fn head_with_slow_client(config: &str) -> (Head, TcpStream) {
    let head = Head::with_config(config);
    head.put("big.img", vec![b'x'; 16 << 20]);
    let mut stream = head.connect();
    stream
        .write_all(b"GET /api/v1/kickstart/big.img HTTP/1.1\r\nHost: head\r\n\r\n")
        .unwrap();
    // The answer has begun.
    stream.read_exact(&mut [0; 12]).unwrap();
    (head, stream)
}

#[test]
fn a_running_download_is_finished_before_the_head_ends() {
    let (mut head, mut stream) = head_with_slow_client("");
    head.terminate();
    until("nothing new is accepted", || {
        TcpStream::connect(head.address()).is_err().then_some(())
    });
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 16 << 20, "{} bytes", rest.len());
    assert!(rest.ends_with(b"xxxx"));
    assert!(head.wait().success());
    assert!(!head.socket().exists());
    head.start_again();
    let record = head.ledger("limit=1").remove(0);
    assert_eq!(
        (&record["complete"], &record["sent"]),
        (&true.into(), &(16 << 20).into()),
        "{record}"
    );
}

#[test]
fn a_download_that_outlasts_the_grace_is_cut_off_and_recorded() {
    let (mut head, stream) = head_with_slow_client("shutdown_grace = \"100ms\"\n");
    // Never read on: only the end of the grace ends it.
    assert!(head.stop().success());
    drop(stream);
    head.start_again();
    let record = head.ledger("limit=1").remove(0);
    assert_eq!(record["complete"], false, "{record}");
}

#[test]
fn an_idle_head_ends_without_waiting_for_silent_clients() {
    let mut head = Head::start();
    let mut idle = head.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: head\r\n\r\n")
        .unwrap();
    idle.read_exact(&mut [0; 12]).unwrap();
    let _silent = head.connect();
    // The default grace is as long as these tests wait; so it is not used up.
    assert!(head.stop().success());
}

#[test]
fn a_second_head_on_one_data_directory_ends_with_an_error_that_names_it() {
    let head = Head::start();
    head.put("a.ks", "a boot file\n");
    let mut serve = pilotlight();
    serve
        .arg("serve")
        .arg("--data")
        .arg(head.data())
        .args(["--listen", "127.0.0.1:0"]);
    let output = run(&mut serve);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(head.data().to_str().unwrap()), "{said}");
    assert!(said.contains("another pilotlight"), "{said}");
    assert_eq!(output.stdout, b"");
    // The first one has not noticed.
    assert_eq!(head.get("/kickstart/a.ks").status, 200);
    head.node("n1", N1, &[]);
}

#[test]
fn an_address_that_is_taken_is_an_error_that_names_it() {
    let taken = Head::start();
    let mut head = Head::stopped(&format!("listen = [\"{}\"]\n", taken.address()));
    assert!(!head.start_in_vain().success());
    assert!(
        head.log().contains(&taken.address().to_string()),
        "{}",
        head.log()
    );
}

#[test]
fn a_faulty_configuration_is_an_error_that_names_the_line() {
    let mut head = Head::stopped("listen = []\n\n[limits]\nconections = 5\n");
    assert_eq!(head.start_in_vain().code(), Some(1), "{}", head.log());
    let log = head.log();
    assert!(
        log.contains("config.toml:4") && log.contains("conections"),
        "{log}"
    );
    assert!(!head.data().exists());
}

#[test]
fn kill_and_start_again_keeps_everything() {
    let mut head = Head::start();
    head.cli(["group", "create", "gpu", "driver=nvidia"]);
    head.cli([
        "bootconfig",
        "create",
        "rocky9",
        "repo=http://mirror/rocky9",
    ]);
    head.cli([
        "gitrepo",
        "create",
        "site",
        "url=https://git.example/site.git",
        "sync_period=5m",
    ]);
    head.node(
        "n1",
        N1,
        &["groups=gpu", "attr.rack=7", "attr._boot_config=rocky9"],
    );
    let local = head.path("local.ks");
    fs::write(&local, "<n[name]> <a[rack]> <a[driver]> <root_url()>\n").unwrap();
    head.cli(["file", "put", "dir/a.ks", local.to_str().unwrap()]);
    let admin = json!({"name": "eve", "password": "eves-own-password"});
    assert_eq!(head.api("POST", "/admins", Some(&admin)).status, 201);
    let token = format!("Authorization: Bearer {}", head.token());
    let everything = |head: &Head| {
        let paths = [
            "/nodes",
            "/attribs",
            "/bootconfigs",
            "/gitrepos",
            "/admins",
            "/cluster",
            "/files",
        ];
        paths.map(|path| head.api("GET", path, None).data())
    };
    let before = everything(&head);

    for _ in 0..3 {
        head.kill();
        head.start_again();
        assert_eq!(everything(&head), before);
        let reply = head.get_from(N1, "/kickstart/dir/a.ks");
        assert_eq!(reply.text(), "n1 7 nvidia http://mirror/rocky9\n");
        // A session goes on, too.
        let url = head.url("/nodes");
        assert_eq!(curl(["-H", &token, &url]).status, 200);
    }
}

#[test]
fn kill_at_any_moment_loses_no_acknowledged_change() {
    const CHANGES: usize = 100;
    for round in 0..3 {
        let mut head = Head::start();
        let killed_at =
            usize::try_from(RandomState::new().hash_one(round) % CHANGES as u64).unwrap();
        eprintln!("killed at change {killed_at}");
        let (next, acknowledged) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let socket = head.socket();
        // Two at a time, each until the head is gone.
        let names: Vec<String> = thread::scope(|scope| {
            let writers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut created = Vec::new();
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= CHANGES {
                                return created;
                            }
                            let name = format!("n{number}");
                            let mac = format!("52:54:00:00:00:{number:02x}");
                            let node = json!({"name": name, "mac": mac, "attributes": {"number": number.to_string()}});
                            let output = run(Command::new("curl")
                                .args(["-sS", "--max-time", "30", "--unix-socket"])
                                .arg(&socket)
                                .args(["-w", "%{http_code}", "-o", "/dev/null", "-d", &node.to_string()])
                                .arg("http://localhost/api/v1/nodes"));
                            match &output.stdout[..] {
                                b"201" => {
                                    created.push(name);
                                    acknowledged.fetch_add(1, Ordering::Relaxed);
                                }
                                b"000" => return created,
                                other => panic!("{}", String::from_utf8_lossy(other)),
                            }
                        }
                    })
                })
                .collect();
            until("enough changes are made", || {
                (acknowledged.load(Ordering::Relaxed) >= killed_at).then_some(())
            });
            head.kill();
            writers
                .into_iter()
                .flat_map(|writer| writer.join().unwrap())
                .collect()
        });
        assert!(names.len() >= killed_at);

        head.start_again();
        let nodes = head.api("GET", "/nodes", None).data();
        let nodes = nodes.as_object().unwrap();
        for name in &names {
            let node = nodes.values().find(|node| node["name"] == **name);
            let node = node.unwrap_or_else(|| panic!("{name} was acknowledged, and is lost"));
            assert_eq!(node["attributes"]["number"], name[1..]);
        }
        // At most the two that were under way are there besides.
        assert!(
            nodes.len() <= names.len() + 2,
            "{} nodes, {} acknowledged",
            nodes.len(),
            names.len()
        );
        head.node("after", "127.0.0.200", &[]);
    }
}
