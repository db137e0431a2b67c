//! Three heads, of which two join by the script, and what is written on one is there on all.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cluster::{Cluster, soon};
use crate::head::{Head, have, pilotlight, run, said};
use crate::measured;

const N1: &str = "127.0.0.11";

/// So soon what is written on one head shall be served by the others.
const AIM: Duration = Duration::from_secs(2);

#[test]
fn what_is_written_on_one_head_is_served_by_the_others() {
    let Some(mut cluster) = Cluster::begin() else {
        return;
    };
    for _ in 0..2 {
        join_by_script(&mut cluster);
    }
    let cluster = cluster;
    let heads = &cluster.heads[..];
    let listed = heads[1].cli(["head", "list"]);
    for head in heads {
        assert!(listed.contains(&head.address().to_string()), "{listed}");
    }

    // Each is written on another head.
    let began = Instant::now();
    heads[0].put("a.ks", "a\n");
    served(began, heads, 0, "a file that was copied", |head| {
        head.get("/kickstart/a.ks").body == b"a\n"
    });
    heads[0].put("n.ks", "<n[name]>\n");
    soon("the next file is everywhere", || {
        heads
            .iter()
            .all(|head| head.kickstarts().join("n.ks").exists())
            .then_some(())
    });
    let began = Instant::now();
    heads[1].node("n1", N1, &["attr.rack=7"]);
    served(began, heads, 1, "a node", |head| {
        head.get_from(N1, "/kickstart/n.ks").text() == "n1\n"
    });
    let began = Instant::now();
    heads[2].cli(["node", "set", "n1", "rack=8"]);
    served(began, heads, 2, "an attribute", |head| {
        let node = head.api("GET", "/node/n1", None).data();
        node["attributes"]["rack"] == "8"
    });
    let local = heads[1].path("b.ks");
    fs::write(&local, "<n[name]> <a[rack]>\n").unwrap();
    let began = Instant::now();
    heads[1].cli(["file", "put", "b.ks", local.to_str().unwrap()]);
    served(began, heads, 1, "a file that was put", |head| {
        let reply = head.get_from(N1, "/kickstart/b.ks");
        reply.status == 200 && reply.text() == "n1 8\n"
    });
    if have(&["tar"]) {
        let tar = heads[2].path("tool-1.0.tar");
        let mut make = Command::new("tar");
        make.arg("-cf")
            .arg(&tar)
            .arg("-C")
            .arg(local.parent().unwrap());
        assert!(run(make.arg("b.ks")).status.success());
        let began = Instant::now();
        heads[2].cli(["package", "add", tar.to_str().unwrap()]);
        let bytes = fs::read(&tar).unwrap();
        served(began, heads, 2, "a package", |head| {
            let reply = head.get("/install/client/download/tar/tool");
            reply.status == 200 && reply.body == bytes
        });
    }

    any_head_serves_any_node(heads);
    any_head_knows_how_a_node_is(heads);
    cluster.wait_until_equal(&[0, 1, 2]);
}

/// Any head answers with the same bytes and validators, and takes the tokens of the others.
fn any_head_serves_any_node(heads: &[Head]) {
    let rendered: Vec<_> = heads
        .iter()
        .map(|head| head.get_from(N1, "/kickstart/b.ks"))
        .map(|reply| (reply.header("ETag").unwrap().to_owned(), reply.body))
        .collect();
    assert!(
        rendered.iter().all(|other| *other == rendered[0]),
        "{rendered:?}"
    );
    let validator = format!("If-None-Match: {}", rendered[0].0);
    for head in heads {
        let reply = head.ask_from(N1, "/kickstart/b.ks", &["-H", &validator]);
        assert_eq!(reply.status, 304);
    }
    let token = heads[0].token();
    for head in heads {
        soon("the token is good", || {
            (head.api_as(&token, "GET", "/nodes", None).status == 200).then_some(())
        });
    }
    let logout = json!({});
    assert_eq!(
        heads[1]
            .api_as(&token, "POST", "/auth/logout", Some(&logout))
            .status,
        200
    );
    for head in heads {
        soon("the token is good for nothing", || {
            (head.api_as(&token, "GET", "/nodes", None).status == 401).then_some(())
        });
    }
}

/// What a node reports to one head, and later to another, all know.
fn any_head_knows_how_a_node_is(heads: &[Head]) {
    for (number, install) in [(0, "begun"), (1, "done")] {
        let report = json!({"status": {"install": install}}).to_string();
        let reply = heads[number].ask_from(N1, "/node/n1/status", &["-d", &report]);
        assert_eq!(reply.status, 200, "{reply:?}");
        for head in heads {
            soon("it is known how the node is", || {
                let status = head.api("GET", "/node/n1", None).data()["status"].take();
                (status["install"] == install && status["state"] == "up").then_some(())
            });
        }
    }
}

/// A machine joins as the manual says, and what was installed there is the program that runs here.
fn join_by_script(cluster: &mut Cluster) {
    let newcomer = cluster.newcomer();
    let joining = cluster.joining(&newcomer);
    let began = Instant::now();
    let output = run(&mut joining.command(&[]));
    assert!(output.status.success(), "{}", said(&output));
    let installed = joining.root().join("usr/bin/pilotlight");
    let version = |program: &mut Command| run(program.arg("--version")).stdout;
    assert_eq!(
        version(&mut Command::new(installed)),
        version(&mut pilotlight())
    );
    fs::remove_dir_all(joining.root()).unwrap();
    cluster.add(newcomer);
    measured(
        "a machine joins and is ready",
        began.elapsed(),
        Duration::from_secs(30),
    );
}

/// Waits until all other heads serve what was written on one.
fn served(
    began: Instant,
    heads: &[Head],
    by: usize,
    what: &str,
    is_served: impl Fn(&Head) -> bool,
) {
    for (number, head) in heads.iter().enumerate() {
        soon(&format!("{what} is served by head {number}"), || {
            is_served(head).then_some(())
        });
        // Whoever wrote it has it at once.
        if number == by {
            assert!(is_served(head));
        }
    }
    measured(
        &format!("{what} of one head is served by the others"),
        began.elapsed(),
        AIM,
    );
}
