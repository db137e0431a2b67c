//! Which heads there are, as administrators see and change it.

use serde_json::Value;

use crate::cluster::{Cluster, etcd_in, soon};
use crate::head::{Head, pilotlight, run, said};
use crate::losing_heads::write;

#[test]
fn heads_are_listed_leave_and_are_removed() {
    let Some(mut cluster) = Cluster::of(3) else {
        return;
    };
    let uids: Vec<_> = cluster.heads.iter().map(uid).collect();
    for uid in &uids {
        let shown = cluster.heads[0].cli(["head", "show", uid]);
        assert!(shown.contains(uid), "{shown}");
    }
    let status = cluster.heads[1].cli(["cluster", "status"]);
    for head in &cluster.heads {
        assert!(status.contains(&head.address().to_string()), "{status}");
    }

    // A dead one is seen to be away, and no other is let go: then one of two would be dead.
    cluster.kill(2);
    soon("it is seen to be away", || {
        let status = cluster.heads[0].api("GET", "/cluster/status", None).data();
        let away = status["heads"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|head| head["fault"].is_string());
        (away.count() == 1).then_some(())
    });
    let status = cluster.heads[0].try_cli(["cluster", "status"]);
    assert_eq!(status.status.code(), Some(1), "{}", said(&status));
    let refused = cluster.heads[0].try_cli(["head", "remove", &uids[1]]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("--force"), "{}", said(&refused));
    assert_eq!(listed(&cluster.heads[0]).len(), 3);

    // Without the dead one both of the others must be up, as before.
    cluster.heads[0].cli(["head", "remove", &uids[2]]);
    assert_eq!(listed(&cluster.heads[0]).len(), 2);
    soon("the others know", || {
        (listed(&cluster.heads[1]).len() == 2).then_some(())
    });
    write(&cluster.heads[1], "without-the-third").unwrap();

    // It is not let in again as what it was.
    cluster.heads[2].start_again();
    let removed = &cluster.heads[2];
    soon("it says that it is no longer of the cluster", || {
        let reply = removed.get("/readyz");
        (reply.status == 503).then_some(())
    });
    let refusal = write(removed, "by-the-removed").unwrap_err();
    assert!(refusal.starts_with("503 "), "{refusal}");
    assert_eq!(removed.get("/healthz").status, 200);
    cluster.kill(2);

    write(&cluster.heads[0], "with-both").unwrap();
    cluster.wait_until_equal(&[0, 1]);
}

#[test]
fn a_head_that_leaves_takes_nothing_with_it() {
    let Some(cluster) = Cluster::of(3) else {
        return;
    };
    write(&cluster.heads[2], "before").unwrap();
    cluster.heads[2].cli(["head", "leave"]);
    soon("the others know", || {
        let known = [0, 1].map(|head| listed(&cluster.heads[head]).len());
        (known == [2, 2]).then_some(())
    });
    write(&cluster.heads[0], "after").unwrap();
    assert_eq!(
        cluster.heads[1].api("GET", "/node/before", None).status,
        200
    );
    soon("its etcd has ended", || {
        etcd_in(&cluster.heads[2].data()).is_empty().then_some(())
    });
}

#[test]
fn of_two_heads_either_may_leave() {
    let Some(mut cluster) = Cluster::of(2) else {
        return;
    };
    cluster.wait_until_equal(&[0, 1]);
    // Two have to agree to that, and afterwards one must not wait for the other.
    cluster.heads[0].cli(["head", "leave"]);
    soon("the one that stays is the only one", || {
        (listed(&cluster.heads[1]).len() == 1).then_some(())
    });
    write(&cluster.heads[1], "alone").unwrap();
    cluster.kill(0);
    cluster.kill(1);
    cluster.start(1);
    write(&cluster.heads[1], "alone-again").unwrap();
    let refused = cluster.heads[1].try_cli(["head", "leave", "--force"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    write(&cluster.heads[1], "still-there").unwrap();
}

#[test]
fn force_does_not_take_the_cluster_from_those_that_are_left() {
    let Some(mut cluster) = Cluster::of(3) else {
        return;
    };
    let uids: Vec<_> = cluster.heads.iter().map(uid).collect();
    cluster.wait_until_equal(&[0, 1, 2]);
    cluster.kill(2);
    // etcd itself lets nobody go who is needed.
    let refused = cluster.heads[0].try_cli(["head", "leave", "--force"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert_eq!(listed(&cluster.heads[0]).len(), 3);
    soon("changes can be made", || {
        write(&cluster.heads[0], "still-a-majority").ok()
    });
    cluster.heads[0].cli(["head", "remove", &uids[2]]);
    cluster.heads[0].cli(["head", "leave"]);
    write(&cluster.heads[1], "alone").unwrap();
}

#[test]
fn without_a_majority_a_survivor_goes_on_alone() {
    let Some(mut cluster) = Cluster::of(3) else {
        return;
    };
    write(&cluster.heads[0], "before").unwrap();
    cluster.heads[0].put("a.ks", "a\n");
    cluster.wait_until_equal(&[0, 1, 2]);
    for head in 0..3 {
        cluster.kill(head);
    }
    // The others are gone for good.
    let survivor = &mut cluster.heads[2];
    let data = survivor.data();
    let mut migrate = pilotlight();
    migrate.args(["store", "migrate", "--to", "sqlite", "--force", "--data"]);
    let output = run(migrate.arg(data));
    assert!(output.status.success(), "{}", said(&output));
    survivor.start_again();
    assert_eq!(survivor.get("/readyz").status, 200);
    assert_eq!(survivor.api("GET", "/node/before", None).status, 200);
    assert_eq!(survivor.get("/kickstart/a.ks").text(), "a\n");
    write(survivor, "after").unwrap();
}

/// The heads that a head lists.
pub(crate) fn listed(head: &Head) -> Vec<Value> {
    let heads = head.api("GET", "/heads", None).data();
    heads.as_object().unwrap().values().cloned().collect()
}

/// The UID of a head.
fn uid(head: &Head) -> String {
    let url = format!("http://{}", head.address());
    let heads = listed(head);
    let own = heads.iter().find(|listed| listed["url"] == *url);
    own.unwrap_or_else(|| panic!("{url} is not in {heads:?}"))["uid"]
        .as_str()
        .unwrap()
        .to_owned()
}
