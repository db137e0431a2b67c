//! An edit of a boot file is in the next answer, however it is made; and what is half written never stays.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use head::{Head, run};

const N1: &str = "127.0.0.11";

/// A head with the node n1 and `a.ks`, which it has served before.
fn head_with_served_file(content: &str) -> Head {
    let head = Head::start();
    head.node("n1", N1, &["attr.rack=7"]);
    head.put("a.ks", content);
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").status, 200);
    head
}

/// What is served as `a.ks`; the validators must be those of what is served.
fn served(head: &Head) -> String {
    let reply = head.get_from(N1, "/kickstart/a.ks");
    assert_eq!(reply.status, 200, "{reply:?}");
    let field = format!("If-None-Match: {}", reply.header("ETag").unwrap());
    assert_eq!(
        head.ask_from(N1, "/kickstart/a.ks", &["-H", &field]).status,
        304
    );
    reply.text().to_owned()
}

fn shell(head: &Head, script: &str) {
    let output = run(Command::new("sh")
        .args(["-euc", script])
        .current_dir(head.kickstarts()));
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn an_edit_is_in_the_next_answer_however_it_is_made() {
    let head = head_with_served_file("version 0 <n[name]>\n");
    for (number, edit) in [
        "echo 'version N <n[name]>' >a.ks",
        "echo 'version N <n[name]>' >../new; cp ../new a.ks",
        "echo 'version N <n[name]>' >../new; mv ../new a.ks",
        "echo 'version N <n[name]>' >../new; ln -f ../new a.ks",
        "sed -i 's/version ./version N/' a.ks",
        "printf 'version N' | dd of=a.ks conv=notrunc status=none",
        // The date tells nothing: it is the old one.
        "touch -r a.ks ../date; echo 'version N <n[name]>' >a.ks; touch -r ../date a.ks",
        "echo 'version N <n[name]>' >../new; cp --preserve=timestamps ../new a.ks; touch -d 2001-01-01 a.ks",
        "echo 'version N <n[name]>' >../new; touch -d 2001-01-01 ../new; mv ../new a.ks",
        "rm a.ks; echo 'version N <n[name]>' >a.ks",
        "echo 'version N <n[name]>' >other.ks; ln -sf other.ks a.ks",
        "echo 'version N <n[name]>' >other.ks",
        "mkdir dirN; echo 'version N <n[name]>' >dirN/a.ks; ln -sfn dirN dir; ln -sf dir/a.ks a.ks",
        "mkdir dirN; echo 'version N <n[name]>' >dirN/a.ks; ln -sfn dirN dir",
    ]
    .iter()
    .enumerate()
    {
        let version = char::from(b'A' + u8::try_from(number).unwrap());
        shell(&head, &edit.replace('N', &version.to_string()));
        assert_eq!(served(&head), format!("version {version} n1\n"), "{edit}");
    }
}

#[test]
fn many_edits_of_one_size_in_one_moment_are_told_apart() {
    // Faster than the clock of the file system ticks.
    let head = head_with_served_file("version 000\n");
    let file = head.kickstarts().join("a.ks");
    for version in 0..40 {
        let content = format!("version {version:03}\n");
        fs::write(&file, &content).unwrap();
        assert_eq!(served(&head), content);
    }
}

#[test]
fn a_file_that_goes_away_is_gone_at_once() {
    let head = head_with_served_file("<n[name]>\n");
    shell(&head, "rm a.ks");
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").status, 404);
    shell(&head, "mkdir a.ks");
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").status, 404);
    shell(&head, "rmdir a.ks; : >a.ks");
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").status, 422);
    shell(&head, "echo back >a.ks");
    assert_eq!(served(&head), "back\n");
}

#[test]
fn an_edit_of_an_included_file_is_seen_too() {
    let head = head_with_served_file("<n[name]>\n");
    head.put("part.ks", "part 1\n");
    head.put("a.ks", "<include(part.ks)>");
    assert_eq!(served(&head), "part 1\n");
    head.put("part.ks", "part 2 of <n[name]>\n");
    assert_eq!(served(&head), "part 2 of n1\n");
    shell(&head, "rm part.ks");
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").status, 422);
}

#[test]
fn a_half_written_file_is_never_kept() {
    let head = head_with_served_file("old\n");
    let path = head.kickstarts().join("a.ks");
    let (first, second) = (
        "first half <n[name]>\n".repeat(100),
        "second half <n[name]>\n".repeat(100),
    );
    for _ in 0..10 {
        let mut file = File::create(&path).unwrap();
        file.write_all(first.as_bytes()).unwrap();
        // In the midst of it a node asks: for as much as there is, or to be told to wait.
        let reply = head.get_from(N1, "/kickstart/a.ks");
        match reply.status {
            200 => assert_eq!(reply.text(), first.replace("<n[name]>", "n1")),
            503 => assert!(reply.header("Retry-After").is_some()),
            _ => panic!("{reply:?}"),
        }
        file.write_all(second.as_bytes()).unwrap();
        drop(file);
        assert_eq!(
            served(&head),
            (first.clone() + &second).replace("<n[name]>", "n1")
        );
    }
}

#[test]
fn a_replaced_file_is_served_old_or_new_and_never_mixed() {
    let head = head_with_served_file("<n[name]>\n");
    // Longer than one read and one write.
    let versions = ["a", "b"].map(|letter| letter.repeat(300_000) + "\n");
    head.put("a.ks", &versions[0]);
    let (kickstarts, done) = (head.kickstarts(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            for version in versions.iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                fs::write(kickstarts.join("new"), version).unwrap();
                fs::rename(kickstarts.join("new"), kickstarts.join("a.ks")).unwrap();
            }
        });
        for _ in 0..50 {
            let reply = head.get("/kickstart/a.ks");
            let whole =
                reply.status == 200 && versions.iter().any(|version| *version == reply.text());
            if !whole {
                done.store(true, Ordering::Relaxed);
                panic!(
                    "{} with {} bytes, beginning {:?}",
                    reply.status,
                    reply.body.len(),
                    &reply.text()[..20]
                );
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_file_that_is_written_all_the_time_is_whole_once_it_rests() {
    let head = head_with_served_file("<n[name]>\n");
    let path = head.kickstarts().join("a.ks");
    let last = "last version\n".repeat(10_000);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::options().write(true).open(&path).unwrap();
            for letter in (b'a'..=b'z').cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                file.rewind().unwrap();
                file.write_all(&[letter; 100_000]).unwrap();
            }
            file.set_len(0).unwrap();
            file.rewind().unwrap();
            file.write_all(last.as_bytes()).unwrap();
        });
        for _ in 0..20 {
            let reply = head.get("/kickstart/a.ks");
            // Meanwhile: some content, or to be told to wait; never an error that ends a boot.
            let fine = matches!((reply.status, reply.body.len()), (200, 1..) | (503, 1..));
            if !fine {
                done.store(true, Ordering::Relaxed);
                panic!("{reply:?}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(served(&head), last);
}
