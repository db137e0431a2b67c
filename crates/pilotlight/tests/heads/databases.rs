//! What becomes of a head's own database.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::cluster::Cluster;
use crate::head::{pilotlight, run, said};
use crate::losing_heads::write;
use crate::members::listed;

#[test]
fn a_lost_copy_is_made_anew_and_a_head_that_went_back_is_joined_again() {
    let Some(mut cluster) = Cluster::of(3) else {
        return;
    };
    write(&cluster.heads[0], "before").unwrap();
    cluster.kill(2);
    for end in ["", "-wal", "-shm"] {
        let file = format!("pilotlight.db{end}");
        let _ = fs::remove_file(cluster.heads[2].data().join(file));
    }
    cluster.start(2);
    let found = cluster.heads[2].api("GET", "/node/before", None);
    assert_eq!(found.status, 200);

    for head in 0..3 {
        cluster.kill(head);
    }
    cluster.heads.truncate(1);
    let only = &mut cluster.heads[0];
    let mut migrate = pilotlight();
    migrate.args(["store", "migrate", "--to", "sqlite", "--force", "--data"]);
    let output = run(migrate.arg(only.data()));
    assert!(output.status.success(), "{}", said(&output));
    only.start_again();
    assert!(listed(only).is_empty());
    only.put("new.ks", "new\n");
    cluster.grow();
    assert_eq!(listed(&cluster.heads[0]).len(), 2);
    cluster.wait_until_equal(&[0, 1]);
    let found = cluster.heads[1].get("/kickstart/new.ks");
    assert_eq!(found.text(), "new\n");
}

#[test]
fn a_restored_database_is_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let [data, backup] = ["data", "backup.db"].map(|name| directory.path().join(name));
    let done = |arguments: &[&str]| {
        let output = run(pilotlight().args(arguments));
        assert!(output.status.success(), "{}", said(&output));
    };
    let [data_text, backup_text] = [&data, &backup].map(|path| path.to_str().unwrap());
    done(&["init", "--data", data_text]);
    let database = data.join("pilotlight.db");
    fs::copy(&database, &backup).unwrap();
    fs::set_permissions(&backup, fs::Permissions::from_mode(0o644)).unwrap();
    done(&[
        "store",
        "restore",
        backup_text,
        "--data",
        data_text,
        "--force",
    ]);
    let mode = fs::metadata(&database).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    fs::write(&backup, "no database").unwrap();
    let mut restore = pilotlight();
    restore.args([
        "store",
        "restore",
        backup_text,
        "--data",
        data_text,
        "--force",
    ]);
    let output = run(&mut restore);
    assert!(
        said(&output).contains("Nothing was changed"),
        "{}",
        said(&output)
    );
    assert!(database.exists());
    assert!(!data.join("restored.db").exists());
}
