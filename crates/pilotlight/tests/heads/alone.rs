//! Heads that cannot reach the others.

use std::env::consts::ARCH;
use std::fs;

use crate::boots::Boots;
use crate::cluster::{Cluster, soon};
use crate::losing_heads::write;
use crate::network::Network;

const N1: &str = "127.0.0.11";

#[test]
fn a_head_that_starts_while_etcd_is_away_serves_every_boot_endpoint() {
    let Some(mut cluster) = Cluster::of(3) else {
        return;
    };
    let first = &cluster.heads[0];
    first.put("a.ks", "kickstart <n[name]> <a[rack]>\n");
    first.put(
        "z.sh",
        "#!/bin/sh\n# CUMULUS-AUTOPROVISIONING\necho <n[name]>\n",
    );
    first.put("i.ign", r#"{"ignition":{"version":"3.4.0"}}"#);
    let binary = first.data().join(format!("ignition/{ARCH}/ignition"));
    fs::create_dir_all(binary.parent().unwrap()).unwrap();
    fs::copy("/bin/sh", &binary).unwrap();
    first.node(
        "n1",
        N1,
        &[
            "attr.rack=7",
            "attr._boot_config=ztp:z.sh",
            "attr._ignition=i.ign",
        ],
    );
    let paths = [
        "/kickstart/a.ks",
        "/ztp/script",
        "/ignition/n1",
        &format!("/ignition/bin?arch={ARCH}"),
        "/install/client/installer",
        "/install/client/attributes",
        "/install/client/download/tar/pilotlight-node",
        "/repo/deb/Packages",
        "/install/head/scyld-install",
    ];
    let served = |cluster: &Cluster, head: usize| {
        paths.map(|path| {
            let reply = cluster.heads[head].get_from(N1, path);
            (path, reply.status)
        })
    };
    for head in 0..3 {
        soon(&format!("head {head} serves all"), || {
            let bad: Vec<_> = served(&cluster, head)
                .into_iter()
                .filter(|(_, status)| *status != 200)
                .collect();
            eprintln!("{bad:?}");
            bad.is_empty().then_some(())
        });
    }

    // As after a power failure of the whole site, of which one head comes back.
    for head in 0..3 {
        cluster.kill(head);
    }
    cluster.start_unready(2);
    let alone = &cluster.heads[2];
    assert_eq!(alone.get("/healthz").status, 200);
    for (path, status) in served(&cluster, 2) {
        assert_eq!(status, 200, "{path}");
    }
    assert_eq!(
        alone.get_from(N1, "/kickstart/a.ks").text(),
        "kickstart n1 7\n"
    );
    let unready = alone.get("/readyz");
    assert_eq!(unready.status, 503);
    assert!(unready.text().contains("etcd"), "{}", unready.text());
    let refusal = write(alone, "n2").unwrap_err();
    assert!(refusal.starts_with("503 "), "{refusal}");
    let upload = alone.path("upload");
    fs::write(&upload, "new\n").unwrap();
    let body = format!("@{}", upload.display());
    let put = alone.api_with("PUT", "/files/new.ks", &["--data-binary", &body]);
    assert_eq!(put.status, 503, "{put:?}");
    assert!(!alone.kickstarts().join("new.ks").exists());
    let log = alone.log();
    assert!(log.contains("WARN") || log.contains("ERROR"), "{log}");

    cluster.start_unready(0);
    cluster.wait_until_ready(2);
    write(&cluster.heads[2], "n2").unwrap();
    cluster.start(1);
    cluster.wait_until_equal(&[0, 1, 2]);
}

#[test]
fn a_head_that_is_cut_off_serves_nodes_and_catches_up() {
    let Some(cluster) = Cluster::in_lab(3) else {
        return;
    };
    let mut boots = Boots::begin(&cluster);
    let hosts: Vec<_> = cluster
        .heads
        .iter()
        .map(|head| head.address().ip())
        .collect();
    let Network::Lab(lab) = &cluster.network else {
        unreachable!("it is in a lab");
    };
    for other in [1, 2] {
        lab.part(hosts[0], hosts[other]);
    }
    let refusal = soon("the head that is cut off refuses writes", || {
        write(&cluster.heads[0], "minority").err()
    });
    assert!(refusal.starts_with("503 "), "{refusal}");
    soon("it says that it is not ready", || {
        (cluster.heads[0].get("/readyz").status == 503).then_some(())
    });
    soon("the others take writes", || {
        write(&cluster.heads[1], "majority").ok()
    });
    // Both sides edit the same file, and one that the other side does not.
    cluster.heads[0].put("both.ks", "of the one\n");
    cluster.heads[0].put("one.ks", "of the one\n");
    cluster.heads[1].put("both.ks", "of the two\n");
    soon("the two share their file", || {
        let reply = cluster.heads[2].get("/kickstart/both.ks");
        (reply.status == 200 && reply.text() == "of the two\n").then_some(())
    });

    for other in [1, 2] {
        lab.mend(hosts[0], hosts[other]);
    }
    for head in 0..3 {
        cluster.wait_until_ready(head);
    }
    soon("the file of the one is everywhere", || {
        let mut replies = cluster
            .heads
            .iter()
            .map(|head| head.get("/kickstart/one.ks"));
        replies
            .all(|reply| reply.status == 200 && reply.text() == "of the one\n")
            .then_some(())
    });
    cluster.wait_until_equal(&[0, 1, 2]);
    for head in &cluster.heads {
        assert_eq!(head.api("GET", "/node/majority", None).status, 200);
        let kept = crate::edits::conflicts(head);
        let both = head.get("/kickstart/both.ks");
        eprintln!("{}: {:?}, {kept:?}", head.address(), both.text());
    }
    // Whichever won, the other is kept somewhere.
    let kept: Vec<_> = cluster
        .heads
        .iter()
        .flat_map(crate::edits::conflicts)
        .collect();
    let won = cluster.heads[0].get("/kickstart/both.ks");
    let lost = if won.text() == "of the one\n" {
        "of the two\n"
    } else {
        "of the one\n"
    };
    assert!(kept.iter().any(|(_, text)| text == lost), "{kept:?}");
    for head in 0..3 {
        boots.end_without_failure(head);
    }
}
