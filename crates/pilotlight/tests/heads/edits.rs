//! Files that are edited on the heads' disks, as people do it.

use std::fs::{self, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rustix::process::{Signal, kill_process};

use crate::cluster::{Cluster, soon};
use crate::head::{Head, said};
use crate::times;

#[test]
fn a_local_edit_or_removal_on_any_head_spreads() {
    let Some(mut cluster) = Cluster::of(3) else {
        return;
    };
    let heads = &cluster.heads;
    heads[0].put("rack7/a.ks", "one\n");
    wait_until_served(heads, "rack7/a.ks", "one\n");
    // With the mode and the time it has there.
    let file = heads[1].kickstarts().join("rack7/a.ks");
    let new = heads[1].path("new");
    fs::write(&new, "two\n").unwrap();
    fs::set_permissions(&new, Permissions::from_mode(0o640)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let opened = fs::File::options().write(true).open(&new).unwrap();
    opened
        .set_times(FileTimes::new().set_modified(time))
        .unwrap();
    fs::rename(new, &file).unwrap();
    wait_until_served(heads, "rack7/a.ks", "two\n");
    for head in heads {
        let found = fs::metadata(head.kickstarts().join("rack7/a.ks")).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o640);
        assert_eq!(found.modified().unwrap(), time);
    }
    fs::remove_file(heads[2].kickstarts().join("rack7/a.ks")).unwrap();
    for head in heads {
        soon("it is gone everywhere", || {
            let is_there = head.kickstarts().join("rack7/a.ks").exists();
            (!is_there && head.get("/kickstart/rack7/a.ks").status == 404).then_some(())
        });
    }
    // A name that is used again is a file like others.
    heads[1].put("rack7/a.ks", "three\n");
    wait_until_served(heads, "rack7/a.ks", "three\n");

    // What happens while a head is away is there when it comes back, and so is what was done on its disk meanwhile.
    heads[0].put("stays.ks", "old\n");
    heads[0].put("goes.ks", "old\n");
    wait_until_served(heads, "goes.ks", "old\n");
    wait_until_served(heads, "stays.ks", "old\n");
    cluster.kill(2);
    let heads = &cluster.heads;
    heads[0].put("stays.ks", "new\n");
    fs::remove_file(heads[0].kickstarts().join("goes.ks")).unwrap();
    heads[2].put("made-while-away.ks", "made\n");
    fs::remove_file(heads[2].kickstarts().join("rack7/a.ks")).unwrap();
    wait_until_served(&heads[..2], "stays.ks", "new\n");
    soon("it is gone", || {
        (heads[1].get("/kickstart/goes.ks").status == 404).then_some(())
    });
    cluster.start(2);
    let heads = &cluster.heads;
    wait_until_served(heads, "stays.ks", "new\n");
    wait_until_served(heads, "made-while-away.ks", "made\n");
    for head in heads {
        for name in ["goes.ks", "rack7/a.ks"] {
            soon(&format!("{name} is gone everywhere"), || {
                (head.get(&format!("/kickstart/{name}")).status == 404).then_some(())
            });
        }
    }
    cluster.wait_until_equal(&[0, 1, 2]);
}

#[test]
fn of_two_edits_at_once_one_is_served_everywhere_and_the_other_is_kept() {
    let Some(cluster) = Cluster::of(2) else {
        return;
    };
    let heads = &cluster.heads;
    let count = times(3, 20);
    let names: Vec<_> = (0..count)
        .map(|number| format!("edited{number}.ks"))
        .collect();
    for name in &names {
        heads[0].put(name, "before\n");
        wait_until_served(heads, name, "before\n");
    }
    // While they stand still, neither hears of the other's edits.
    let signal_all = |signal| {
        heads
            .iter()
            .for_each(|head| kill_process(head.pid(), signal).unwrap());
    };
    signal_all(Signal::STOP);
    for (number, head) in heads.iter().enumerate() {
        names
            .iter()
            .for_each(|name| head.put(name, text(number, name)));
    }
    signal_all(Signal::CONT);
    cluster.wait_until_equal(&[0, 1]);
    for name in &names {
        let won = soon("both have the same version of it", || {
            let served = heads
                .iter()
                .map(|head| head.get(&format!("/kickstart/{name}")));
            let served: Vec<_> = served.map(|reply| reply.body).collect();
            (served[0] == served[1] && served[0] != b"before\n").then(|| served[0].clone())
        });
        let lost = (0..2).map(|head| text(head, name));
        let lost = lost
            .into_iter()
            .find(|text| text.as_bytes() != won)
            .unwrap();
        soon(&format!("the lost version of {name} is kept"), || {
            let mut kept = heads.iter().flat_map(conflicts);
            kept.any(|(path, text)| {
                let path = path.to_str().unwrap();
                path.starts_with(&format!("kickstarts/{name}.")) && text == lost
            })
            .then_some(())
        });
    }
    // They are reported until somebody has looked at them.
    let status = heads[0].try_cli(["cluster", "status"]);
    assert!(said(&status).contains("conflicts"), "{}", said(&status));
}

fn text(head: usize, name: &str) -> String {
    format!("{name} of head {head}\n")
}

#[test]
fn a_file_is_served_in_one_version_or_the_other() {
    let Some(cluster) = Cluster::of(2) else {
        return;
    };
    let heads = &cluster.heads;
    let version = |number: usize| {
        let letter = b'a' + u8::try_from(number % 26).unwrap();
        vec![letter; (1 << 20) + number]
    };
    heads[0].put("large.img", version(0));
    soon("it has arrived", || {
        (heads[1].get("/kickstart/large.img").body == version(0)).then_some(())
    });
    for number in 1..=times(3, 10) {
        let new = heads[0].path("new");
        fs::write(&new, version(number)).unwrap();
        fs::rename(new, heads[0].kickstarts().join("large.img")).unwrap();
        soon("the new version has arrived", || {
            let body = heads[1].get("/kickstart/large.img").body;
            let is_new = body == version(number);
            assert!(
                is_new || body == version(number - 1),
                "{} bytes",
                body.len()
            );
            is_new.then_some(())
        });
    }
}

#[test]
fn a_file_that_has_not_arrived_is_fetched_for_the_node_that_asks() {
    let Some(mut cluster) = Cluster::begin() else {
        return;
    };
    // So slow that it would take longer than anybody waits here.
    let slow = "[replicate]\nmax_rate = \"10KiB\"\n";
    cluster.grow_with(slow);
    let heads = &cluster.heads;
    let image = vec![b'x'; 8 << 20];
    heads[0].put("image", &image);
    heads[0].put("small.ks", "small\n");
    soon("a node has it from the head that has it not", || {
        let reply = heads[1].get("/kickstart/image");
        assert!([200, 404, 503].contains(&reply.status), "{reply:?}");
        (reply.status == 200 && reply.body == image).then_some(())
    });
    wait_until_served(heads, "small.ks", "small\n");
}

#[test]
fn a_disk_that_is_not_mounted_deletes_nothing() {
    let Some(mut cluster) = Cluster::of(2) else {
        return;
    };
    cluster.heads[0].put("a.ks", "a\n");
    cluster.heads[0].put("b/c.ks", "c\n");
    wait_until_served(&cluster.heads, "a.ks", "a\n");
    wait_until_served(&cluster.heads, "b/c.ks", "c\n");
    cluster.wait_until_equal(&[0, 1]);
    let packages = cluster.heads[0].api("GET", "/packages", None).data();
    cluster.kill(1);
    for directory in ["kickstarts", "clientpkgs"] {
        let directory = cluster.heads[1].data().join(directory);
        fs::remove_dir_all(&directory).unwrap();
        fs::create_dir(&directory).unwrap();
    }
    cluster.start(1);
    wait_until_served(&cluster.heads, "a.ks", "a\n");
    wait_until_served(&cluster.heads, "b/c.ks", "c\n");
    cluster.wait_until_equal(&[0, 1]);
    let left = cluster.heads[0].api("GET", "/packages", None).data();
    assert_eq!(left, packages);

    // One that goes away while the head runs is told of, and what lies there again counts.
    let (kickstarts, away) = (cluster.heads[1].kickstarts(), cluster.heads[1].path("away"));
    fs::rename(&kickstarts, &away).unwrap();
    soon("the status names the directory", || {
        let status = said(&cluster.heads[0].try_cli(["cluster", "status"]));
        status.contains(kickstarts.to_str().unwrap()).then_some(())
    });
    fs::rename(away, kickstarts).unwrap();
    cluster.wait_until_equal(&[0, 1]);
    wait_until_served(&cluster.heads, "a.ks", "a\n");
}

/// Waits until all these heads serve a kickstart with this text from their own disks.
fn wait_until_served(heads: &[Head], name: &str, text: &str) {
    for head in heads {
        soon(
            &format!("{} serves {name} as {text:?}", head.address()),
            || {
                let on_disk = fs::read_to_string(head.kickstarts().join(name)).ok()?;
                let reply = head.get(&format!("/kickstart/{name}"));
                (on_disk == text && reply.status == 200 && reply.text() == text).then_some(())
            },
        );
    }
}

/// The versions that a head has kept of files of which others won, by their paths below its directory `conflicts`.
pub(crate) fn conflicts(head: &Head) -> Vec<(PathBuf, String)> {
    let top = head.data().join("conflicts");
    let (mut waiting, mut found) = (vec![top.clone()], Vec::new());
    while let Some(directory) = waiting.pop() {
        // There is none before it is needed.
        let Ok(entries) = fs::read_dir(directory) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                waiting.push(path);
            } else {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                found.push((path.strip_prefix(&top).unwrap().to_owned(), text));
            }
        }
    }
    found
}
