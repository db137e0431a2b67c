//! The commands for a head's objects against a real head: what they do, and what they print for people.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use head::{Head, pilotlight, until};
use serde_json::{Value, json};

#[test]
fn nodes_are_created_shown_changed_and_deleted() {
    let head = Head::start();
    head.done("group create gpu driver=nvidia");
    head.done("group create rack7 row=3");
    let create = [
        "node",
        "create",
        "n2",
        "mac=525400AA0002",
        "ip=10.0.0.2",
        "index=2",
        "groups=gpu",
        "description=the second",
        "attr.disk=sda",
        "attr.empty=",
        "interfaces:=[{\"name\":\"ib0\",\"mac\":\"52:54:00:bb:00:02\"}]",
    ];
    let created = head.cli(create);
    let uid = created
        .strip_prefix("node n2 created: ")
        .unwrap()
        .trim_end();
    assert_eq!(head.api("GET", "/node/n2", None).data()["uid"], uid);
    head.done("node create n10 mac=52:54:00:aa:00:10 type=switch");
    assert_eq!(
        head.done("node list"),
        "NAME\tSTATE\tLAST_SEEN\tMAC\tIP\tINDEX\tTYPE\tGROUPS\tDESCRIPTION\n\
         n2\tunknown\t\t52:54:00:aa:00:02\t10.0.0.2\t2\tcompute\tgpu\tthe second\n\
         n10\tunknown\t\t52:54:00:aa:00:10\t\t\tswitch\t\t\n"
    );
    let listed = |words: &str| {
        let table = head.done(&format!("node list {words}"));
        let names = table
            .lines()
            .skip(1)
            .map(|line| line.split('\t').next().unwrap());
        names.collect::<Vec<_>>().join(" ")
    };
    for (words, names) in [
        ("name=n*", "n2 n10"),
        ("type=switch", "n10"),
        ("group=gpu name=n*", "n2"),
        ("attr.driver=nvidia", "n2"),
        ("mac=52-54-00-aa-00-10", "n10"),
        ("--limit 1", "n10"),
        ("name=x", ""),
    ] {
        assert_eq!(listed(words), names, "{words}");
    }

    let set = ["node", "set", "10.0.0.2", "disk=sdb", "motd=a=b c"];
    assert_eq!(head.cli(set), "node 10.0.0.2 updated\n");
    assert_eq!(head.done("node clear n2 empty"), "node n2 updated\n");
    assert_eq!(
        head.done("node update n2 ip= index=3 attr.rack=7"),
        "node n2 updated\n"
    );
    let shown = head.done("node show 52:54:00:bb:00:02");
    let shown: Vec<&str> = shown
        .lines()
        .filter(|line| !line.starts_with("revision\t"))
        .collect();
    let uid_row = format!("uid\t{uid}");
    let expected = [
        "FIELD\tVALUE",
        "name\tn2",
        "mac\t52:54:00:aa:00:02",
        "index\t3",
        "type\tcompute",
        "description\tthe second",
        "groups\tgpu",
        "interfaces\tmac=52:54:00:bb:00:02,name=ib0",
        &uid_row,
        "attr.disk\tsdb",
        "attr.motd\ta=b c",
        "attr.rack\t7",
        "status.state\tunknown",
    ];
    assert_eq!(shown, expected);
    assert_eq!(
        head.done("node show n2 --effective"),
        "ATTRIBUTE\tVALUE\tFROM\ndisk\tsdb\tnode\ndriver\tnvidia\tgroup:gpu\nmotd\ta=b c\tnode\nrack\t7\tnode\n"
    );
    assert_eq!(
        head.done("node delete n2 n10"),
        "node n2 deleted\nnode n10 deleted\n"
    );
    assert_eq!(
        head.done("node list"),
        "NAME\tSTATE\tLAST_SEEN\tMAC\tIP\tINDEX\tTYPE\tGROUPS\tDESCRIPTION\n"
    );
}

#[test]
fn nodes_join_and_leave_groups() {
    let head = Head::start();
    let groups = || head.api("GET", "/node/n1", None).data()["groups"].clone();
    let uid = head.done("-q group create gpu");
    head.done("group create rack7");
    head.done("node create n1 mac=52:54:00:aa:00:01");
    assert_eq!(head.done("node join n1 rack7 gpu"), "node n1 updated\n");
    assert_eq!(groups(), json!(["rack7", "gpu"]));
    assert_eq!(head.done("node join n1 rack7"), "node n1 is as it was\n");
    assert_eq!(
        head.done(&format!("node leave n1 {}", uid.trim_end())),
        "node n1 updated\n"
    );
    assert_eq!(groups(), json!(["rack7"]));
    for words in ["node join n1 rack8", "node leave n1 rack8"] {
        assert_eq!(
            head.failed(words),
            "1 pilotlight: there is no attribute group \"rack8\"\n"
        );
    }
    assert_eq!(
        head.failed("node join n9 gpu"),
        "1 pilotlight: there is no node \"n9\"\n"
    );
    // Of many who change its groups at the same time, each gets its way.
    let names: Vec<String> = (0..5).map(|number| format!("g{number}")).collect();
    for name in &names {
        head.create("/attribs", &json!({"name": name}));
    }
    std::thread::scope(|scope| {
        for name in &names {
            let head = &head;
            scope.spawn(move || head.done(&format!("node join n1 {name}")));
        }
    });
    let mut all: Vec<String> = serde_json::from_value(groups()).unwrap();
    all.sort();
    assert_eq!(all, ["g0", "g1", "g2", "g3", "g4", "rack7"]);
}

#[test]
fn groups_boot_configurations_and_administrators_are_managed() {
    let head = Head::start();
    head.cli([
        "group",
        "create",
        "gpu",
        "driver=nvidia",
        "--description",
        "with GPUs",
    ]);
    head.done("group set gpu cuda=12 driver=open");
    head.done("group clear gpu cuda");
    head.done("group update gpu name=gpus attr.row=3");
    let list = head.done("group list name=g*");
    assert_eq!(
        list,
        "NAME\tDESCRIPTION\tATTRIBUTES\ngpus\twith GPUs\tdriver=open,row=3\n"
    );
    assert!(
        head.done("group show gpus")
            .contains("\nattr.driver\topen\nattr.row\t3\n")
    );
    assert_eq!(head.done("group delete gpus"), "group gpus deleted\n");

    head.done("bootconfig create rocky9 kickstart=basic.ks repo=repo/rocky9 boot_style=disked");
    head.done("bootconfig update rocky9 kernel=vmlinuz boot_style=");
    let list = head.done("bootconfig list kickstart=basic*");
    assert_eq!(
        list,
        "NAME\tKERNEL\tKICKSTART\tREPO\tBOOT_STYLE\tDESCRIPTION\nrocky9\tvmlinuz\tbasic.ks\trepo/rocky9\t\t\n"
    );
    assert!(
        head.done("bootconfig show rocky9")
            .starts_with("FIELD\tVALUE\nname\trocky9\nkernel\tvmlinuz\n")
    );
    assert_eq!(
        head.done("bootconfig delete rocky9"),
        "bootconfig rocky9 deleted\n"
    );

    let file = head.path("password");
    fs::write(&file, "correct horse\n").unwrap();
    let file = file.to_str().unwrap();
    head.cli([
        "admin",
        "create",
        "ada",
        "description=night shift",
        "--password-file",
        file,
    ]);
    assert_eq!(
        head.done("admin list"),
        "NAME\tDESCRIPTION\nada\tnight shift\nadmin\t\n"
    );
    let login = |password: &str| {
        let body = json!({"user": "ada", "password": password});
        head.api("POST", "/auth/login", Some(&body)).status
    };
    assert_eq!(login("correct horse"), 200);
    head.done("admin update ada description=");
    assert_eq!(login("correct horse"), 200);
    fs::write(file, "battery staple\n").unwrap();
    head.cli(["admin", "update", "ada", "--password-file", file]);
    assert_eq!(
        (login("correct horse"), login("battery staple")),
        (401, 200)
    );
    assert!(!head.done("--json admin show ada").contains("argon2"));
    assert_eq!(head.done("admin delete ada"), "admin ada deleted\n");
    assert_eq!(
        head.failed("admin delete admin"),
        "1 pilotlight: admin is the last administrator\n"
    );
}

#[test]
fn the_cluster_is_shown_and_changed() {
    let head = Head::start();
    assert_eq!(
        head.done("cluster update name=weather domain=c.example"),
        "cluster updated\n"
    );
    let shown = head.done("cluster show");
    assert!(
        shown.starts_with(
            "FIELD\tVALUE\nname\tweather\ndomain\tc.example\ndefault_group\tDefaultAttribs\n"
        ),
        "{shown}"
    );
    assert!(shown.contains("\ncounts.nodes\t0\n"), "{shown}");
    head.done("cluster update domain=");
    assert!(!head.done("cluster show").contains("domain"));
    // What there must be cannot be cleared.
    assert!(
        head.failed("cluster update name=")
            .starts_with("1 pilotlight: the body is not what was expected: ")
    );
}

#[test]
fn files_are_stored_from_files_and_standard_input() {
    let head = Head::start();
    let content = b"text <a[x]>\n\0\xff\xfe";
    let file = head.path("local.ks");
    fs::write(&file, content).unwrap();
    let put = ["file", "put", "rack 7/a#1.ks", file.to_str().unwrap()];
    assert_eq!(head.cli(put), "file rack 7/a#1.ks stored\n");
    let shown = head.try_cli(["file", "show", "rack 7/a#1.ks"]);
    assert_eq!(
        (shown.status.code(), shown.stdout.as_slice()),
        (Some(0), &content[..])
    );

    let mut from_stdin = pilotlight();
    from_stdin
        .arg("--socket")
        .arg(head.socket())
        .args(["file", "put", "b.ks", "-"]);
    let mut child = from_stdin
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"from stdin\n")
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(
        fs::read(head.kickstarts().join("b.ks")).unwrap(),
        b"from stdin\n"
    );

    let list = head.done("file list");
    let rows: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(rows[0], ["NAME", "SIZE", "MTIME", "SHA256"]);
    assert_eq!(
        (&rows[1][..2], &rows[2][..2]),
        (&["b.ks", "11"][..], &["rack 7/a#1.ks", "15"][..])
    );
    assert!(
        rows[1..]
            .iter()
            .all(|row| row.len() == 4 && row[3].len() == 64),
        "{list}"
    );
    assert!(head.done("file list name=rack*").contains("a#1.ks"));

    assert!(
        head.failed("file put c.ks /nonexistent/c.ks")
            .starts_with("1 pilotlight: cannot read /nonexistent/c.ks: ")
    );
    assert!(
        head.failed("file put ../c.ks /dev/null")
            .starts_with("1 pilotlight: ")
    );
    assert_eq!(
        head.cli(["file", "delete", "b.ks", "rack 7/a#1.ks"]),
        "file b.ks deleted\nfile rack 7/a#1.ks deleted\n"
    );
    assert!(
        head.failed("file delete b.ks")
            .starts_with("1 pilotlight: no file \"b.ks\" in ")
    );
}

#[test]
fn the_ledger_is_shown_and_followed() {
    let head = Head::start();
    head.node("n1", "127.0.0.11", &[]);
    head.put("a.ks", "name <n[name]>\n");
    assert_eq!(head.get_from("127.0.0.11", "/kickstart/a.ks").status, 200);
    assert_eq!(head.get_from("127.0.0.12", "/kickstart/a.ks").status, 404);
    until("both are in the ledger", || {
        (head.ledger("").len() == 2).then_some(())
    });
    let rows = |words: &str| -> Vec<Vec<String>> {
        let table = head.done(words);
        table
            .lines()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect()
    };
    let all = rows("ledger");
    assert_eq!(
        all[0],
        [
            "TIME", "NODE", "ADDRESS", "PATH", "STATUS", "SENT", "MS", "REASON"
        ]
    );
    assert_eq!(
        all[1][1..5],
        ["", "127.0.0.12", "/api/v1/kickstart/a.ks", "404"]
    );
    assert_eq!(
        all[2][1..6],
        ["n1", "127.0.0.11", "/api/v1/kickstart/a.ks", "200", "8"]
    );
    assert!(
        all[1][7].starts_with("no node has address 127.0.0.12"),
        "{all:?}"
    );
    for (words, count) in [
        ("ledger --node n1", 1),
        ("ledger --status 404", 1),
        ("ledger --status 2xx", 1),
        ("ledger --status 5xx", 0),
        ("ledger --limit 1", 1),
        ("ledger --since 1h", 2),
        ("ledger --until 2020-01-01", 0),
    ] {
        assert_eq!(rows(words).len(), 1 + count, "{words}");
    }

    let mut follow = pilotlight();
    follow
        .arg("--socket")
        .arg(head.socket())
        .args(["ledger", "--follow", "--json", "--limit", "1"]);
    let mut child = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["status"], 404);
    assert_eq!(head.get_from("127.0.0.11", "/kickstart/b.ks").status, 404);
    let fetch = next();
    assert_eq!(
        (&fetch["node"], &fetch["path"]),
        (&json!("n1"), &json!("/api/v1/kickstart/b.ks"))
    );
    child.kill().unwrap();
    child.wait().unwrap();
}
