//! etcd as a child.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use heads::{
    etcd::{Hopeless, Process, ProcessState, start_first, start_member},
    identity::{Enrolment, Member},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::test_head::{TestHead, authority, etcd_is_here, pid, runs, until};

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

async fn first() -> (TestHead, Process) {
    let head = TestHead::of(&authority());
    let process = start_first(head.data(), &head.enrolment).await.unwrap();
    (head, process)
}

#[tokio::test]
async fn etcd_that_is_killed_is_started_again() {
    if !etcd_is_here() {
        return;
    }
    let (head, process) = first().await;
    let before = pid(&process).await;
    let members = head.members(&[&head]).list().await.unwrap();
    kill(before);
    until("another etcd runs", async || {
        pid(&process).await != before && head.members(&[&head]).list().await.is_ok()
    })
    .await;
    assert_eq!(head.members(&[&head]).list().await.unwrap(), members);
    assert!(!runs(before));
    process.stop().await;
}

#[tokio::test]
async fn stopping_ends_etcd_in_order_and_dropping_ends_it_too() {
    if !etcd_is_here() {
        return;
    }
    let (head, process) = first().await;
    let (etcd, state) = (pid(&process).await, process.state());
    process.stop().await;
    assert!(!runs(etcd));
    assert_eq!(*state.borrow(), ProcessState::Stopped);

    let member = TestHead::load(head.data()).into_member().unwrap();
    let process = start_member(head.data(), &member).unwrap();
    let etcd = pid(&process).await;
    drop(process);
    assert!(!runs(etcd));
}

/// Where the helper process finds its data directory.
const HELPER_DATA: &str = "PILOTLIGHT_TEST_ETCD_DATA";

/// A head that runs etcd and is killed: started by the test below, which this file is the program of.
#[tokio::test]
#[ignore = "the helper process of another test"]
async fn helper_that_runs_etcd_until_it_is_killed() {
    let Some(data) = std::env::var_os(HELPER_DATA).map(PathBuf::from) else {
        return;
    };
    let process = start_first(&data, &TestHead::load(&data)).await.unwrap();
    println!("\netcd is {}", pid(&process).await);
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn etcd_goes_with_a_head_that_is_killed() {
    if !etcd_is_here() {
        return;
    }
    let head = TestHead::of(&authority());
    let helper = "process::helper_that_runs_etcd_until_it_is_killed";
    let mut helper = Command::new(std::env::current_exe().unwrap())
        .args([helper, "--exact", "--ignored", "--nocapture"])
        .env(HELPER_DATA, head.data())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    let etcd = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("etcd is ")?.parse().ok());
    let etcd = etcd.expect("the helper says which process etcd is");
    assert!(runs(etcd));

    helper.kill().unwrap();
    helper.wait().unwrap();
    until("etcd is gone", async || !runs(etcd)).await;

    // And whoever comes next can go on with its data.
    let process = start_first(head.data(), &head.enrolment).await.unwrap();
    process.stop().await;
}

#[tokio::test]
async fn what_keeps_etcd_from_running_is_said_and_gone_when_it_is_gone() {
    if !etcd_is_here() {
        return;
    }
    let (head, process) = first().await;
    process.stop().await;
    let member = TestHead::load(head.data()).into_member().unwrap();

    let occupied = TcpListener::bind(head.identity().addresses.etcd_client).unwrap();
    let process = start_member(head.data(), &member).unwrap();
    waits_because(&process, "address already in use").await;
    drop(occupied);
    until("etcd answers", async || {
        head.members(&[&head]).list().await.is_ok()
    })
    .await;
    let holder = pid(&process).await;

    // A second one on the same directory waits for the first, and names it.
    let second = start_member(head.data(), &member).unwrap();
    waits_because(&second, &holder.to_string()).await;
    process.stop().await;
    assert_ne!(pid(&second).await, holder);
    second.stop().await;
}

/// A head whose etcd is this shell script, and whose data directory has been used.
fn with_script(script: &str) -> (TestHead, Enrolment<Member>) {
    let head = TestHead::of(&authority());
    let program = head.data().join("bin/etcd");
    fs::create_dir_all(head.data().join("bin")).unwrap();
    fs::create_dir_all(head.data().join("etcd/member")).unwrap();
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let member = TestHead::load(head.data()).into_member().unwrap();
    (head, member)
}

#[tokio::test]
async fn etcd_that_does_not_end_when_asked_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let ready = home.path().join("ready");
    // What ignores a signal does so after exec, too.
    let script = format!("trap '' TERM; : > {}; exec sleep 1000", ready.display());
    let (head, member) = with_script(&script);
    let process = start_member(head.data(), &member).unwrap();
    let etcd = pid(&process).await;
    until("it ignores the signal", async || ready.exists()).await;
    process.stop().await;
    assert!(!runs(etcd));
}

#[tokio::test]
async fn etcd_that_cannot_start_is_tried_again_and_its_last_complaint_known() {
    let script = r#"echo "again $$" >> "${0%/*}/starts"
        echo '{"level":"warn","msg":"first"}' >&2
        echo '{"level":"fatal","msg":"the disk is made of wood"}' >&2
        echo '{"level":"warn","msg":"last"}' >&2
        exit 3"#;
    let (head, member) = with_script(script);
    let process = start_member(head.data(), &member).unwrap();
    waits_because(&process, "exit status: 3, the disk is made of wood").await;
    let starts = || fs::read_to_string(head.data().join("bin/starts")).unwrap();
    until("three starts", async || starts().lines().count() >= 3).await;
    // Between two starts it can be stopped as well.
    let state = process.state();
    process.stop().await;
    assert_eq!(*state.borrow(), ProcessState::Stopped);
}

#[tokio::test]
async fn etcd_that_was_told_of_other_members_is_not_tried_again() {
    let script = r#"echo start >> "${0%/*}/starts"
        echo '{"level":"fatal","msg":"discovery failed","error":"member count is unequal"}' >&2
        exit 1"#;
    let (head, member) = with_script(script);
    let process = start_member(head.data(), &member).unwrap();
    let mut state = process.state();
    let gave_up = state.wait_for(|state| matches!(state, ProcessState::GaveUp(_)));
    let gave_up = gave_up.await.unwrap().clone();
    assert_eq!(gave_up, ProcessState::GaveUp(Hopeless::AnotherCluster));
    process.stop().await;
    let starts = fs::read_to_string(head.data().join("bin/starts")).unwrap();
    assert_eq!(starts.lines().count(), 1);
}

/// Waits until etcd does not run for a reason that is given in these words.
async fn waits_because(process: &Process, words: &str) {
    until(words, async || {
        matches!(&*process.state().borrow(), ProcessState::Waiting { why } if why.contains(words))
    })
    .await;
}
