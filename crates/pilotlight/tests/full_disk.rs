//! On a full disk a head changes nothing more, and nodes boot.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;

use head::{Head, Reply, SmallDisk, curl, fill, until};
use serde_json::json;

const N1: &str = "127.0.0.11";

#[test]
fn on_a_full_disk_changes_are_refused_and_nodes_boot() {
    let mut head = Head::stopped("");
    let Some(_disk) = SmallDisk::mount(head.data(), "8M") else {
        return;
    };
    head.start_again();
    head.node("n1", N1, &["attr.rack=7"]);
    head.put("a.ks", "<n[name]> <a[rack]>\n");
    let filler = head.data().join("filler");
    fill(filler.clone());

    // Each change needs room; what room there may be in files that exist is used up soon.
    let value = "x".repeat(4000);
    let refused: Reply = until("changes are refused", || {
        let reply = head.api(
            "PATCH",
            "/node/n1",
            Some(&json!({"attributes": {"filler": value}})),
        );
        (reply.status != 200).then_some(reply)
    });
    assert_eq!(refused.status, 503, "{refused:?}");
    let reason = refused.json()["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.contains("full") || reason.contains("No space"),
        "{reason}"
    );
    assert!(refused.header("Retry-After").is_some(), "{refused:?}");
    let upload = head.path("upload");
    fs::write(&upload, vec![b'x'; 100_000]).unwrap();
    let url = "http://localhost/api/v1/files/new.ks";
    let (socket, data) = (head.socket(), format!("@{}", upload.display()));
    let reply = curl([
        "--unix-socket",
        socket.to_str().unwrap(),
        "-X",
        "PUT",
        "--data-binary",
        &data,
        url,
    ]);
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(!head.kickstarts().join("new.ks").exists());

    for _ in 0..20 {
        let reply = head.get_from(N1, "/kickstart/a.ks");
        assert_eq!((reply.status, reply.text()), (200, "n1 7\n"));
    }
    assert_eq!(head.get("/healthz").status, 200);
    let ready = head.get("/readyz");
    assert_eq!(ready.status, 503, "{ready:?}");

    // With room again, all is as before, without a restart.
    fs::remove_file(filler).unwrap();
    let rack = json!({"attributes": {"rack": "8"}});
    until("changes are made again", || {
        (head.api("PATCH", "/node/n1", Some(&rack)).status == 200).then_some(())
    });
    until("the head is ready again", || {
        (head.get("/readyz").status == 200).then_some(())
    });
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").text(), "n1 8\n");
    head.kill();
    head.start_again();
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").text(), "n1 8\n");
    head.kill();
}
