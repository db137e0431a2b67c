//! Two heads, and one claim.

use std::sync::Barrier;
use std::thread;

use serde_json::json;

use crate::asking::manage;
use crate::cluster::Cluster;
use crate::times;

#[test]
fn of_two_heads_that_give_one_mac_away_at_once_exactly_one_does() {
    let Some(cluster) = Cluster::of(2) else {
        return;
    };
    let rounds = times(50, 500);
    let at_once = Barrier::new(2);
    let create = |head: usize| {
        let (socket, at_once) = (cluster.heads[head].socket(), &at_once);
        move || {
            let statuses = (0..rounds).map(|round| {
                let [.., high, low] = round.to_be_bytes();
                let mac = format!("52:54:00:00:{high:02x}:{low:02x}");
                let node = json!({"name": format!("n{round}-of-{head}"), "mac": mac});
                at_once.wait();
                let answer = manage(&socket, "POST", "/nodes", &node);
                // Whoever fails goes on, since the other waits for it each time.
                answer.map_or(0, |answer| answer.status)
            });
            statuses.collect::<Vec<_>>()
        }
    };
    let (one, other) = thread::scope(|scope| {
        let (one, other) = (scope.spawn(create(0)), scope.spawn(create(1)));
        (one.join().unwrap(), other.join().unwrap())
    });
    for (round, statuses) in one.iter().zip(&other).enumerate() {
        assert!(
            [(&201, &409), (&409, &201)].contains(&statuses),
            "claim {round}: {statuses:?}"
        );
    }
    let won = one.iter().filter(|status| **status == 201).count();
    eprintln!("of {rounds} claims, {won} went to the first head");
    cluster.wait_until_equal(&[0, 1]);
    let nodes = cluster.heads[1].api("GET", "/nodes", None).data();
    assert_eq!(nodes.as_object().unwrap().len(), rounds);
}
