//! What holds for every command: output for programs, exit codes, where the head is, being logged in; and the commands
//! that ask no head.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use head::{Head, ended, pilotlight, run, skip};
use serde_json::{Value, json};

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
fn json_is_what_the_api_answers() {
    let head = Head::start();
    let json = |words: &str| -> Value { serde_json::from_str(&head.done(words)).unwrap() };
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
        ("gitrepo list", "/gitrepos"),
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
    let uid = head.done("-q node create n1 mac=52:54:00:aa:00:01");
    assert!(is_uid(uid.trim_end()), "{uid}");
    let listed = head.done("node list -q");
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
        let said = head.done(&format!("{words} --quiet"));
        assert!(
            said.is_empty() || is_uid(said.trim_end()),
            "{words}: {said}"
        );
    }
}

#[test]
fn exit_codes_tell_what_kind_of_failure_it_was() {
    let head = Head::start();
    head.done("node create n1 mac=52:54:00:aa:00:01");
    for (words, said) in [
        ("node show n9", "1 pilotlight: there is no node \"n9\"\n"),
        ("node delete n9", "1 pilotlight: there is no node \"n9\"\n"),
        (
            "node clear n1 x",
            "1 pilotlight: there is no attribute \"x\"\n",
        ),
        (
            "node create n1 mac=52:54:00:aa:00:02",
            "1 pilotlight: there is another node named n1\n",
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
        (
            "node list --head http://127.0.0.1:1",
            "2 pilotlight: --head and --socket are given; ",
        ),
    ] {
        let failure = head.failed(words);
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
            Err(_) => skip(&format!("no {shell} here to parse its completions")),
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
        Err(_) => skip("no groff here to set the pages"),
    }
}
