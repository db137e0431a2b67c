//! The command line against a real head: what it prints, for people and for programs, and how it ends.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use head::{Head, pilotlight, run, until};
use serde_json::{Value, json};

/// How a command ended: its exit code, and what it said on standard output and standard error.
fn ended(output: &Output) -> (i32, &str, &str) {
    let text = |bytes| str::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// What a command of words without blanks prints; it is expected to succeed.
fn done(head: &Head, words: &str) -> String {
    head.cli(words.split(' '))
}

/// Why a command of words without blanks fails, after its exit code.
fn failed(head: &Head, words: &str) -> String {
    let output = head.try_cli(words.split(' '));
    let (code, stdout, stderr) = ended(&output);
    assert_eq!(stdout, "", "{words}");
    format!("{code} {stderr}")
}

/// The command `pilotlight` for somebody at another machine, whose logins are in a directory of their own.
fn remote(head: &Head, words: &str) -> Command {
    let mut command = pilotlight();
    command.env("XDG_CONFIG_HOME", head.path("config"));
    command.args(["--head", &format!("http://{}", head.address())]);
    command.args(words.split(' '));
    command
}

fn is_uid(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase())
}

#[test]
fn nodes_are_created_shown_changed_and_deleted() {
    let head = Head::start();
    done(&head, "group create gpu driver=nvidia");
    done(&head, "group create rack7 row=3");
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
    assert!(is_uid(uid), "{created}");
    done(&head, "node create n10 mac=52:54:00:aa:00:10 type=switch");
    assert_eq!(
        done(&head, "node list"),
        "NAME\tMAC\tIP\tINDEX\tTYPE\tGROUPS\tDESCRIPTION\n\
         n2\t52:54:00:aa:00:02\t10.0.0.2\t2\tcompute\tgpu\tthe second\n\
         n10\t52:54:00:aa:00:10\t\t\tswitch\t\t\n"
    );
    let listed = |words: &str| {
        let table = done(&head, &format!("node list {words}"));
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
    assert_eq!(done(&head, "node clear n2 empty"), "node n2 updated\n");
    assert_eq!(
        done(&head, "node update n2 ip= index=3 attr.rack=7"),
        "node n2 updated\n"
    );
    let shown = done(&head, "node show 52:54:00:bb:00:02");
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
    ];
    assert_eq!(shown, expected);
    assert_eq!(
        done(&head, "node show n2 --effective"),
        "ATTRIBUTE\tVALUE\tFROM\ndisk\tsdb\tnode\ndriver\tnvidia\tgroup:gpu\nmotd\ta=b c\tnode\nrack\t7\tnode\n"
    );
    assert_eq!(
        done(&head, "node delete n2 n10"),
        "node n2 deleted\nnode n10 deleted\n"
    );
    assert_eq!(
        done(&head, "node list"),
        "NAME\tMAC\tIP\tINDEX\tTYPE\tGROUPS\tDESCRIPTION\n"
    );
}

#[test]
fn nodes_join_and_leave_groups() {
    let head = Head::start();
    let groups = || head.api("GET", "/node/n1", None).data()["groups"].clone();
    let uid = done(&head, "-q group create gpu");
    done(&head, "group create rack7");
    done(&head, "node create n1 mac=52:54:00:aa:00:01");
    assert_eq!(done(&head, "node join n1 rack7 gpu"), "node n1 updated\n");
    assert_eq!(groups(), json!(["rack7", "gpu"]));
    assert_eq!(done(&head, "node join n1 rack7"), "node n1 is as it was\n");
    assert_eq!(
        done(&head, &format!("node leave n1 {}", uid.trim_end())),
        "node n1 updated\n"
    );
    assert_eq!(groups(), json!(["rack7"]));
    for words in ["node join n1 rack8", "node leave n1 rack8"] {
        assert_eq!(
            failed(&head, words),
            "1 pilotlight: there is no attribute group \"rack8\"\n"
        );
    }
    assert_eq!(
        failed(&head, "node join n9 gpu"),
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
            scope.spawn(move || done(head, &format!("node join n1 {name}")));
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
    done(&head, "group set gpu cuda=12 driver=open");
    done(&head, "group clear gpu cuda");
    done(&head, "group update gpu name=gpus attr.row=3");
    let list = done(&head, "group list name=g*");
    assert_eq!(
        list,
        "NAME\tDESCRIPTION\tATTRIBUTES\ngpus\twith GPUs\tdriver=open,row=3\n"
    );
    assert!(done(&head, "group show gpus").contains("\nattr.driver\topen\nattr.row\t3\n"));
    assert_eq!(done(&head, "group delete gpus"), "group gpus deleted\n");

    done(
        &head,
        "bootconfig create rocky9 kickstart=basic.ks repo=repo/rocky9 boot_style=disked",
    );
    done(&head, "bootconfig update rocky9 kernel=vmlinuz boot_style=");
    let list = done(&head, "bootconfig list kickstart=basic*");
    assert_eq!(
        list,
        "NAME\tKERNEL\tKICKSTART\tREPO\tBOOT_STYLE\tDESCRIPTION\nrocky9\tvmlinuz\tbasic.ks\trepo/rocky9\t\t\n"
    );
    assert!(
        done(&head, "bootconfig show rocky9")
            .starts_with("FIELD\tVALUE\nname\trocky9\nkernel\tvmlinuz\n")
    );
    assert_eq!(
        done(&head, "bootconfig delete rocky9"),
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
        done(&head, "admin list"),
        "NAME\tDESCRIPTION\nada\tnight shift\nadmin\t\n"
    );
    let login = |password: &str| {
        let body = json!({"user": "ada", "password": password});
        head.api("POST", "/auth/login", Some(&body)).status
    };
    assert_eq!(login("correct horse"), 200);
    done(&head, "admin update ada description=");
    assert_eq!(login("correct horse"), 200);
    fs::write(file, "battery staple\n").unwrap();
    head.cli(["admin", "update", "ada", "--password-file", file]);
    assert_eq!(
        (login("correct horse"), login("battery staple")),
        (401, 200)
    );
    assert!(!done(&head, "--json admin show ada").contains("argon2"));
    assert_eq!(done(&head, "admin delete ada"), "admin ada deleted\n");
    assert_eq!(
        failed(&head, "admin delete admin"),
        "1 pilotlight: admin is the last administrator\n"
    );
}

#[test]
fn the_cluster_is_shown_and_changed() {
    let head = Head::start();
    assert_eq!(
        done(&head, "cluster update name=weather domain=c.example"),
        "cluster updated\n"
    );
    let shown = done(&head, "cluster show");
    assert!(
        shown.starts_with(
            "FIELD\tVALUE\nname\tweather\ndomain\tc.example\ndefault_group\tDefaultAttribs\n"
        ),
        "{shown}"
    );
    assert!(shown.contains("\ncounts.nodes\t0\n"), "{shown}");
    done(&head, "cluster update domain=");
    assert!(!done(&head, "cluster show").contains("domain"));
    // What there must be cannot be cleared.
    assert!(
        failed(&head, "cluster update name=")
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

    let list = done(&head, "file list");
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
    assert!(done(&head, "file list name=rack*").contains("a#1.ks"));

    assert!(
        failed(&head, "file put c.ks /nonexistent/c.ks")
            .starts_with("1 pilotlight: cannot read /nonexistent/c.ks: ")
    );
    assert!(failed(&head, "file put ../c.ks /dev/null").starts_with("1 pilotlight: "));
    assert_eq!(
        head.cli(["file", "delete", "b.ks", "rack 7/a#1.ks"]),
        "file b.ks deleted\nfile rack 7/a#1.ks deleted\n"
    );
    assert!(failed(&head, "file delete b.ks").starts_with("1 pilotlight: no file \"b.ks\" in "));
}

#[test]
fn json_is_what_the_api_answers() {
    let head = Head::start();
    let json = |words: &str| -> Value { serde_json::from_str(&done(&head, words)).unwrap() };
    let uid = json("--json node create n1 mac=52:54:00:aa:00:01 attr.rack=7");
    assert!(is_uid(uid.as_str().unwrap()), "{uid}");
    head.put("a.ks", "rack <a[rack]>\n");
    for (words, path) in [
        ("node list", "/nodes"),
        ("node list name=x", "/nodes?name=x"),
        ("node show n1", "/node/n1"),
        ("node show n1 --effective", "/node/n1?effective=true"),
        ("group list", "/attribs"),
        ("group show DefaultAttribs", "/attrib/DefaultAttribs"),
        ("bootconfig list", "/bootconfigs"),
        ("admin list", "/admins"),
        ("cluster show", "/cluster"),
        ("file list", "/files"),
        ("ledger", "/ledger"),
        ("check", "/check"),
        (
            "render kickstart a.ks --node n1",
            "/render/kickstart/a.ks?node=n1",
        ),
    ] {
        assert_eq!(
            json(&format!("{words} --json")),
            head.api("GET", path, None).data(),
            "{words}"
        );
    }
    assert_eq!(
        json("node set n1 rack=8 --json"),
        head.api("GET", "/node/n1", None).data()
    );
    assert_eq!(json("node delete n1 --json"), Value::Null);
}

#[test]
fn quiet_commands_print_only_what_was_asked_for() {
    let head = Head::start();
    let uid = done(&head, "-q node create n1 mac=52:54:00:aa:00:01");
    assert!(is_uid(uid.trim_end()), "{uid}");
    let listed = done(&head, "node list -q");
    assert!(listed.contains("n1\t"), "{listed}");
    for words in [
        "node set n1 a=1",
        "node clear n1 a",
        "node update n1 index=1",
        "group create g",
        "node join n1 g",
        "check",
        "node delete n1",
    ] {
        let said = done(&head, &format!("{words} --quiet"));
        assert!(
            said.is_empty() || is_uid(said.trim_end()),
            "{words}: {said}"
        );
    }
}

#[test]
fn exit_codes_tell_what_kind_of_failure_it_was() {
    let head = Head::start();
    done(&head, "node create n1 mac=52:54:00:aa:00:01");
    for (words, said) in [
        ("node show n9", "1 pilotlight: there is no node \"n9\"\n"),
        ("node delete n9", "1 pilotlight: there is no node \"n9\"\n"),
        (
            "node clear n1 x",
            "1 pilotlight: there is no attribute \"x\"\n",
        ),
        (
            "node create n1 mac=52:54:00:aa:00:02",
            "1 pilotlight: there is already a node named n1\n",
        ),
        (
            "node create n2 mac=52:54:00:aa:00:01",
            "1 pilotlight: MAC 52:54:00:aa:00:01 belongs to node n1\n",
        ),
        (
            "node create n2",
            "1 pilotlight: not a valid node: missing field `mac`",
        ),
        ("node set n1 a-b=1", "1 pilotlight: "),
        (
            "node list colour=red",
            "1 pilotlight: there is no filter colour; there are name, ",
        ),
        (
            "render ztp --node n1",
            "1 pilotlight: node n1 has no attribute \"_boot_config\"\n",
        ),
        (
            "node create n2 mac=52:54:00:aa:00:02 colour=red",
            "2 pilotlight: unknown field \"colour\"; there are name, ",
        ),
        (
            "node update n1 index=one",
            "2 pilotlight: index must be a whole number, not \"one\"\n",
        ),
        ("node create n2 mac", "2 error: "),
        ("node set n1", "2 error: "),
        ("node frobnicate n1", "2 error: "),
        ("render kickstart a.ks", "2 error: "),
        ("node list --head http://127.0.0.1:1", "2 error: "),
    ] {
        let failure = failed(&head, words);
        assert!(failure.starts_with(said), "{words}: {failure}");
    }
    // Nobody listens on port 1, and nothing is at that path.
    for (place, at) in [
        ("--head", "http://127.0.0.1:1"),
        ("--socket", "/nonexistent/api.sock"),
    ] {
        let output = run(pilotlight().args([place, at, "node", "list"]));
        let (code, stdout, stderr) = ended(&output);
        assert_eq!((code, stdout), (3, ""), "{stderr}");
        assert!(
            stderr.starts_with("pilotlight: cannot reach ") && stderr.contains(at),
            "{stderr}"
        );
    }
    // Whoever reads only the beginning is no failure.
    for number in 0..30 {
        let mac = format!("52:54:00:bb:00:{number:02}");
        head.create(
            "/nodes",
            &json!({"name": format!("m{number}"), "mac": mac, "description": "x".repeat(60_000)}),
        );
    }
    let mut list = pilotlight();
    list.arg("--socket")
        .arg(head.socket())
        .args(["node", "list"]);
    let mut child = list
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );
    assert!(first.starts_with("NAME\t"), "{first}");
}

#[test]
fn the_environment_names_the_head_where_no_flag_does() {
    let head = Head::start();
    let url = format!("http://{}", head.address());
    let (socket, token) = (head.socket(), head.token());
    let wrong = "0".repeat(64);
    for (variables, code) in [
        (vec![("PILOTLIGHT_SOCKET", socket.to_str().unwrap())], 0),
        (
            vec![
                ("PILOTLIGHT_HEAD", url.as_str()),
                ("PILOTLIGHT_TOKEN", &token),
            ],
            0,
        ),
        (
            vec![("PILOTLIGHT_HEAD", &url), ("PILOTLIGHT_TOKEN", &wrong)],
            1,
        ),
        (vec![("PILOTLIGHT_HEAD", "http://127.0.0.1:1")], 3),
        (vec![("PILOTLIGHT_HEAD", "ftp://127.0.0.1")], 2),
    ] {
        let mut command = pilotlight();
        command
            .env("XDG_CONFIG_HOME", head.path("config"))
            .envs(variables.iter().copied());
        let output = run(command.args(["node", "list"]));
        assert_eq!(ended(&output).0, code, "{variables:?}: {output:?}");
        assert!(!ended(&output).2.contains(&wrong), "{output:?}");
    }
    let mut flag_wins = pilotlight();
    flag_wins
        .env("PILOTLIGHT_HEAD", "http://127.0.0.1:1")
        .arg("--socket")
        .arg(head.socket());
    assert_eq!(ended(&run(flag_wins.args(["node", "list"]))).0, 0);
}

#[test]
fn a_login_is_kept_used_refreshed_and_ended() {
    let head = Head::start();
    let refused = run(&mut remote(&head, "node list"));
    let (code, _, stderr) = ended(&refused);
    assert_eq!(
        (code, stderr.ends_with("(`pilotlight login` logs in)\n")),
        (1, true),
        "{stderr}"
    );
    let nothing = run(&mut remote(&head, "token"));
    assert_eq!(ended(&nothing).0, 1, "{nothing:?}");

    let wrong = head.path("wrong");
    fs::write(&wrong, "not the password\n").unwrap();
    let login = |file: &std::path::Path| run(remote(&head, "login --password-file").arg(file));
    assert_eq!(
        ended(&login(&wrong)),
        (1, "", "pilotlight: wrong user or password\n")
    );
    let stored = head.path("config/pilotlight/token");
    assert!(!stored.exists());
    let logged_in = login(&head.data().join("admin_pass"));
    let url = format!("http://{}", head.address());
    assert_eq!(
        ended(&logged_in),
        (0, format!("logged in to {url} as admin\n").as_str(), "")
    );
    assert_eq!(
        fs::metadata(&stored).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        fs::metadata(stored.parent().unwrap())
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );

    assert_eq!(
        ended(&run(&mut remote(
            &head,
            "node create n1 mac=52:54:00:aa:00:01"
        )))
        .0,
        0
    );
    let token = |head: &Head| {
        let output = run(&mut remote(head, "token"));
        let (code, token, stderr) = ended(&output);
        assert_eq!((code, stderr), (0, ""));
        token.trim_end().to_owned()
    };
    let first = token(&head);
    assert_eq!((first.len(), token(&head) == first), (64, true));
    assert_eq!(head.api_as(&first, "GET", "/node/n1", None).status, 200);

    // The tokens' end has come, by the clock: of many commands at once, one renews them for all.
    let mut logins: Value = serde_json::from_slice(&fs::read(&stored).unwrap()).unwrap();
    logins[&url]["ends"] = 0.into();
    fs::write(&stored, logins.to_string()).unwrap();
    let commands: Vec<_> = (0..5)
        .map(|_| {
            remote(&head, "node show n1")
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut command in commands {
        assert!(command.wait().unwrap().success());
    }
    let second = token(&head);
    assert_ne!(first, second);
    assert_eq!(head.api_as(&first, "GET", "/nodes", None).status, 401);

    assert_eq!(
        ended(&run(&mut remote(&head, "logout"))),
        (0, format!("logged out of {url}\n").as_str(), "")
    );
    assert_eq!(head.api_as(&second, "GET", "/nodes", None).status, 401);
    assert_eq!(fs::read_to_string(&stored).unwrap(), "{}");
    assert_eq!(
        ended(&run(&mut remote(&head, "logout"))),
        (0, format!("not logged in to {url}\n").as_str(), "")
    );
    assert_eq!(ended(&run(&mut remote(&head, "node list"))).0, 1);
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
        let table = done(&head, words);
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

#[test]
fn a_configuration_is_checked() {
    let head = Head::stopped("listen = [\"127.0.0.1:0\"]\n[limits]\nbody = \"2048KiB\"\n");
    let config = head.path("config.toml");
    let check = |words: &[&str]| {
        let mut command = pilotlight();
        command
            .args(["config", "check", "--config"])
            .arg(&config)
            .args(words);
        run(command.env("PILOTLIGHT_LOG_LEVEL", "debug"))
    };
    let good = check(&[]);
    let (code, stdout, stderr) = ended(&good);
    assert_eq!((code, stderr), (0, ""));
    let body = format!("\nbody = \"2MiB\"  # {}:3\n", config.display());
    assert!(
        stdout.contains(&body) && stdout.contains("level = \"debug\"  # PILOTLIGHT_LOG_LEVEL\n"),
        "{stdout}"
    );
    let json: Value = serde_json::from_slice(&check(&["--json"]).stdout).unwrap();
    assert_eq!(
        (&json["settings"]["limits"]["body"], &json["faults"]),
        (&json!("2MiB"), &json!([]))
    );

    fs::write(
        &config,
        "listen = \"x\"\ncolour = 1\n[limits]\nbody = \"big\"\n[auth]\ntries_per_minute = 0\n",
    )
    .unwrap();
    let bad = check(&[]);
    let (code, stdout, stderr) = ended(&bad);
    assert_eq!(
        (code, stderr),
        (1, "pilotlight: the configuration has 4 faults\n"),
        "{stdout}"
    );
    for (line, key) in [
        (1, "listen"),
        (2, "colour"),
        (4, "limits.body"),
        (6, "auth.tries_per_minute"),
    ] {
        let origin = format!("{}:{line}: ", config.display());
        let fault = stdout.lines().find(|fault| fault.starts_with(&origin));
        assert!(
            fault.is_some_and(|fault| fault.contains(key)),
            "{key}: {stdout}"
        );
    }
}

#[test]
fn completions_are_understood_by_their_shells() {
    let completions = |shell: &str| {
        let output = run(pilotlight().args(["completions", shell]));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("pilotlight");
    fs::write(&script, completions("bash")).unwrap();
    let complete = "source \"$0\"; COMP_WORDS=(pilotlight \"$@\"); COMP_CWORD=$#; \
                    _pilotlight pilotlight \"${@: -1}\" \"${COMP_WORDS[$#-1]}\"; printf '%s ' \"${COMPREPLY[@]}\"";
    for (words, expected) in [
        (&["no"][..], "node"),
        (&["node", "cr"], "create"),
        (&["node", "list", "--js"], "--json"),
    ] {
        let output = run(Command::new("bash")
            .args(["-euc", complete])
            .arg(&script)
            .args(words));
        let (code, stdout, stderr) = ended(&output);
        assert_eq!(
            (code, stdout.trim(), stderr),
            (0, expected, ""),
            "{words:?}"
        );
    }
    for (shell, beginning) in [("zsh", "#compdef pilotlight\n"), ("fish", "")] {
        let text = completions(shell);
        assert!(
            text.starts_with(beginning) && text.contains("bootconfig"),
            "{shell}: {text}"
        );
        fs::write(&script, text).unwrap();
        match Command::new(shell).arg("-n").arg(&script).output() {
            Ok(output) => assert_eq!(ended(&output), (0, "", ""), "{shell}"),
            Err(_) => eprintln!("SKIPPED: no {shell} here to parse its completions"),
        }
    }
    assert_eq!(ended(&run(pilotlight().args(["completions", "tcsh"]))).0, 2);
}

#[test]
fn every_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("share/man1");
    let output = run(pilotlight().args(["man", "--out"]).arg(&out));
    assert_eq!(ended(&output), (0, "", ""));
    let mut pages: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.sort();
    for name in [
        "pilotlight.1",
        "pilotlight-serve.1",
        "pilotlight-node-create.1",
        "pilotlight-render-ztp.1",
    ] {
        assert!(
            pages.contains(&out.join(name)),
            "{name} is not in {pages:?}"
        );
    }
    let alone = run(pilotlight().arg("man")).stdout;
    assert_eq!(alone, fs::read(out.join("pilotlight.1")).unwrap());
    let mut groff = Command::new("groff");
    groff.args(["-mandoc", "-Tutf8", "-ww", "-z"]).args(&pages);
    match groff.output() {
        Ok(output) => assert_eq!(ended(&output), (0, "", "")),
        Err(_) => eprintln!("SKIPPED: no groff here to set the pages"),
    }
}
