//! Heads die and come back: nodes boot, and no acknowledged write is lost.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::boots::Boots;
use crate::cluster::{Cluster, etcd_in, soon};
use crate::head::Head;
use crate::journal::Journal;
use crate::{any_below, measured, times};

/// So soon writes shall go on when a head has died.
const AIM: Duration = Duration::from_secs(5);

#[test]
fn nodes_boot_whatever_dies_and_writes_need_a_majority() {
    let Some(mut cluster) = Cluster::of(3) else {
        return;
    };
    let mut boots = Boots::begin(&cluster);
    write(&cluster.heads[0], "before").unwrap();

    boots.leave(0);
    cluster.kill(0);
    let died = Instant::now();
    soon("writes go on", || write(&cluster.heads[1], "one-dead").ok());
    measured("writes go on after a head has died", died.elapsed(), AIM);
    soon("they go on by the other head", || {
        write(&cluster.heads[2], "one-dead-too").ok()
    });
    boots.end_without_failure(1);

    cluster.kill(1);
    let refusal = soon("writes are refused", || {
        write(&cluster.heads[2], "lost").err()
    });
    assert!(refusal.starts_with("503 "), "{refusal}");
    assert!(refusal.len() > "503 ".len(), "it says why: {refusal}");
    let alone = &cluster.heads[2];
    let unready = soon("it says that it is not ready", || {
        let reply = alone.get("/readyz");
        (reply.status == 503).then_some(reply)
    });
    assert!(!unready.text().trim().is_empty());
    assert_eq!(alone.get("/healthz").status, 200);
    // Whoever only reads is served as before.
    assert_eq!(alone.api("GET", "/node/one-dead", None).status, 200);

    for head in [0, 1] {
        cluster.start_unready(head);
    }
    for head in 0..3 {
        cluster.wait_until_ready(head);
    }
    for head in [0, 1] {
        boots.come_back(head, &cluster.heads[head]);
    }
    write(&cluster.heads[0], "after").unwrap();
    cluster.wait_until_equal(&[0, 1, 2]);
    for name in ["before", "one-dead", "one-dead-too", "after"] {
        for head in &cluster.heads {
            let node = head.api("GET", &format!("/node/{name}"), None);
            assert_eq!(node.status, 200, "{name} on {}", head.address());
        }
    }
    let answered = [0, 1, 2].map(|head| boots.end_without_failure(head));
    eprintln!("{answered:?} boots; the last head was there all the while");
}

#[test]
fn heads_that_die_at_any_moment_lose_no_acknowledged_write() {
    let Some(mut cluster) = Cluster::of(3) else {
        return;
    };
    let count = times(100, 1000);
    let journal = Journal::of(&cluster.heads);
    let mut kills = 0;
    thread::scope(|scope| {
        let writers = scope.spawn(|| journal.fill(count));
        while !writers.is_finished() {
            thread::sleep(Duration::from_millis(any_below(2000)));
            let head = usize::try_from(any_below(3)).unwrap();
            cluster.kill(head);
            kills += 1;
            thread::sleep(Duration::from_millis(any_below(1000)));
            cluster.start(head);
        }
    });
    eprintln!("{kills} kills during {} writes", journal.acknowledged());
    measured(
        &format!("longest time without a write of {count}, with {kills} kills"),
        journal.longest_gap(),
        AIM,
    );
    cluster.wait_until_equal(&[0, 1, 2]);
    for head in &cluster.heads {
        journal.assert_kept_by(head);
    }
}

#[test]
fn what_only_one_program_of_a_head_survives_is_mended() {
    let Some(mut cluster) = Cluster::of(3) else {
        return;
    };
    // etcd alone, of which the head starts another.
    for etcd in etcd_in(&cluster.heads[1].data()) {
        kill_process(etcd, Signal::KILL).unwrap();
    }
    soon("its etcd runs again", || {
        (!etcd_in(&cluster.heads[1].data()).is_empty()).then_some(())
    });
    cluster.wait_until_ready(1);
    write(&cluster.heads[1], "with-another-etcd").unwrap();
    // The head alone, whose etcd must not be in the way of the next.
    cluster.heads[1].kill();
    cluster.start(1);
    write(&cluster.heads[1], "with-another-head").unwrap();
    // In good order.
    assert!(cluster.heads[1].stop().success());
    soon("it has taken its etcd with it", || {
        etcd_in(&cluster.heads[1].data()).is_empty().then_some(())
    });
    soon("writes go on", || write(&cluster.heads[0], "without").ok());
    cluster.start(1);
    cluster.wait_until_equal(&[0, 1, 2]);
}

/// Creates a node; the status and reason if that is refused.
pub(crate) fn write(head: &Head, name: &str) -> Result<(), String> {
    let known = head.api("GET", &format!("/node/{name}"), None);
    if known.status == 200 {
        return Ok(());
    }
    let number = name.bytes().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    let [a, b, c, d] = number.to_be_bytes();
    let mac = format!("52:{a:02x}:{b:02x}:{c:02x}:{d:02x}:01");
    let reply = head.api("POST", "/nodes", Some(&json!({"name": name, "mac": mac})));
    if reply.status == 201 {
        return Ok(());
    }
    Err(reply.refusal())
}
