//! Joining, and what can come between.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::cluster::{Cluster, Joining, etcd_in, soon};
use crate::head::{Head, Relay, SmallDisk, assert_refused, fill, pilotlight, run, said};
use crate::losing_heads::write;
use crate::{any_below, times};

/// What a join must not change before it has worked.
fn state(cluster: &Cluster) -> (u64, Value) {
    let head = &cluster.heads[0];
    (
        head.state_revision(),
        head.api("GET", "/heads", None).data(),
    )
}

/// That a join failed with one line that holds this reason, and has changed nothing.
fn assert_vain(cluster: &Cluster, before: &(u64, Value), output: &Output, reason: &str) {
    assert_refused(output, reason);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let complaints = complaints
        .lines()
        .filter(|line| !line.contains("trying again"));
    assert_eq!(complaints.count(), 1, "{}", said(output));
    assert_eq!(&state(cluster), before);
    assert_eq!(cluster.heads[0].get("/readyz").status, 200);
}

#[test]
fn a_join_that_fails_says_why_and_changes_nothing() {
    let Some(mut cluster) = Cluster::of(2) else {
        return;
    };
    let newcomer = cluster.newcomer();
    let joining = cluster.joining(&newcomer);
    cluster.wait_until_equal(&[0, 1]);
    let before = state(&cluster);

    let wrong = newcomer.path("wrong");
    fs::write(&wrong, "not the password\n").unwrap();
    let with_wrong = Joining {
        password_file: wrong,
        ..cluster.joining(&newcomer)
    };
    let output = run(&mut with_wrong.command(&[]));
    assert_vain(&cluster, &before, &output, "wrong password");

    let nobody = TcpListener::bind((joining.to.ip(), 0)).unwrap();
    let to_nobody = Joining {
        to: nobody.local_addr().unwrap(),
        ..cluster.joining(&newcomer)
    };
    drop(nobody);
    let output = run(&mut to_nobody.command(&[]));
    assert_vain(&cluster, &before, &output, "cannot reach");

    let to_another = Joining {
        to: web_server(),
        ..cluster.joining(&newcomer)
    };
    let output = run(&mut to_another.command(&[]));
    assert_vain(&cluster, &before, &output, "is no head of pilotlight");

    // The same machine can join all the same.
    let output = run(&mut joining.command(&[]));
    assert!(output.status.success(), "{}", said(&output));
    cluster.add(newcomer);
    cluster.wait_until_equal(&[0, 1, 2]);

    // And a second run changes nothing.
    let before = state(&cluster);
    let third = &cluster.heads[2];
    let output = run(&mut cluster.joining(third).command(&[]));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(state(&cluster), before);
    assert_eq!(third.get("/readyz").status, 200);
}

/// A web server that knows nothing.
fn web_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the test program.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let answer =
                "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn a_machine_without_room_does_not_join() {
    let Some(mut cluster) = Cluster::begin() else {
        return;
    };
    for image in ["one.img", "two.img"] {
        cluster.heads[0].put(image, vec![b'x'; 12 << 20]);
        soon("it is served", || {
            let reply = cluster.heads[0].get(&format!("/kickstart/{image}"));
            (reply.status == 200).then_some(())
        });
    }
    let newcomer = cluster.newcomer();
    let Some(_disk) = SmallDisk::mount(newcomer.data(), "16M") else {
        return;
    };
    let joining = cluster.joining(&newcomer);
    let output = run(&mut joining.command(&[]));
    assert_refused(&output, "No space left");
    let heads = cluster.heads[0].api("GET", "/heads", None).data();
    assert!(heads.as_object().unwrap().len() <= 1, "{heads}");
    write(&cluster.heads[0], "n1").unwrap();
    // What is full before anything has come is no reason to say nothing.
    fill(newcomer.data().join("filler"));
    assert_refused(&run(&mut joining.command(&[])), "No space left");
    write(&cluster.heads[0], "n2").unwrap();
}

#[test]
fn a_join_goes_on_where_the_network_was_cut() {
    let Some(mut cluster) = Cluster::begin() else {
        return;
    };
    let newcomer = cluster.newcomer();
    let relay = Relay::to(cluster.heads[0].address());
    let joining = Joining {
        from: relay.address(),
        to: relay.address(),
        ..cluster.joining(&newcomer)
    };
    // In the middle of the program.
    relay.cut_after(5 << 20);
    let output = run(&mut joining.command(&[]));
    assert!(relay.has_cut());
    if !output.status.success() {
        assert_refused(&output, "");
        let output = run(&mut joining.command(&[]));
        assert!(output.status.success(), "{}", said(&output));
    }
    cluster.add(newcomer);
    cluster.wait_until_equal(&[0, 1]);
}

#[test]
fn the_cluster_moves_to_etcd_though_the_machine_that_joins_goes_away() {
    let Some(mut cluster) = Cluster::of(1) else {
        return;
    };
    let newcomer = cluster.newcomer();
    let mut join = pilotlight();
    join.args(["join", "--yes", "--listen", newcomer.listen()])
        .args(["--head", &cluster.heads[0].address().to_string()])
        .arg("--password-file")
        .arg(cluster.password_file())
        .arg("--data")
        .arg(newcomer.data());
    let mut join = join.stderr(Stdio::null()).spawn().unwrap();
    soon("the head has begun to move", || {
        (!etcd_in(&cluster.heads[0].data()).is_empty()).then_some(())
    });
    join.kill().unwrap();
    join.wait().unwrap();
    soon("the cluster is in etcd", || {
        let status = cluster.heads[0].api("GET", "/cluster/status", None).data();
        (status["engine"] == "etcd").then_some(())
    });
    cluster.wait_until_ready(0);
    write(&cluster.heads[0], "after").unwrap();
}

#[test]
fn a_join_that_was_killed_is_completed_by_the_next() {
    let Some(mut cluster) = Cluster::begin() else {
        return;
    };
    cluster.heads[0].put("a.ks", "a\n");
    let newcomer = cluster.newcomer();
    let joining = cluster.joining(&newcomer);
    // So long as a join takes, at the most.
    let mut longest = 500;
    for _ in 0..times(3, 12) {
        let began = Instant::now();
        let mut join = joining.command(&[]);
        join.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut join = join.process_group(0).spawn().unwrap();
        let killed_at = Duration::from_millis(any_below(longest));
        while began.elapsed() < killed_at && join.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        let group = Pid::from_child(&join);
        if join.try_wait().unwrap().is_none() {
            kill_process_group(group, Signal::KILL).unwrap();
            join.wait().unwrap();
            longest *= 2;
        }
        assert_eq!(cluster.heads[0].get("/readyz").status, 200);
        write(&cluster.heads[0], &format!("after-{longest}")).unwrap();
    }
    let output = run(&mut joining.command(&[]));
    assert!(output.status.success(), "{}", said(&output));
    cluster.add(newcomer);
    cluster.wait_until_equal(&[0, 1]);
    let heads = cluster.heads[0].api("GET", "/heads", None).data();
    assert_eq!(heads.as_object().unwrap().len(), 2, "{heads}");
    // One that is killed as soon as it runs is no worse off.
    cluster.kill(1);
    cluster.start(1);
}

#[test]
fn a_first_head_is_made_by_the_script_too() {
    let Some(mut cluster) = Cluster::begin() else {
        return;
    };
    let newcomer = cluster.newcomer();
    let root = newcomer.path("root");
    fs::create_dir(&root).unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "curl -sS --noproxy '*' \"$0\" | sh -s -- \"$@\""])
        .arg(cluster.heads[0].url("/install/head/scyld-install"))
        .args(["--no-service", "--listen", newcomer.listen(), "--root"])
        .arg(&root)
        .arg("--data")
        .arg(newcomer.data());
    let output = run(&mut shell);
    assert!(output.status.success(), "{}", said(&output));
    let mut first: Head = newcomer;
    first.start_again();
    assert_eq!(first.get("/readyz").status, 200);
    write(&first, "n1").unwrap();
    // It is the first of another cluster.
    assert_eq!(cluster.heads[0].api("GET", "/node/n1", None).status, 404);
}
