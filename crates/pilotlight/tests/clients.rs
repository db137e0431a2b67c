//! Real boot clients against a real head: what they fetch is what the node is to get.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use head::{Head, mac_of, repository, run, skip, skipped};

const N1: &str = "127.0.0.11";

/// A head with the node n1, at an address of its own and at 127.0.0.1, from where most clients ask.
fn head_with_n1() -> Head {
    let head = Head::start();
    head.node("n1", "127.0.0.1", &["attr.rack=7"]);
    let interfaces = serde_json::json!({"interfaces": [{"mac": mac_of(N1), "ip": N1}]});
    assert_eq!(head.api("PATCH", "/node/n1", Some(&interfaces)).status, 200);
    head
}

/// Whether this program is there; it says so loudly if not.
fn have(program: &str) -> bool {
    let there = run(Command::new("sh").args(["-c", "command -v \"$0\"", program]))
        .status
        .success();
    if !there {
        skip(&format!("there is no {program} here"));
    }
    there
}

fn script(name: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg(repository().join("tests/clients").join(name));
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The command lines of clients that fetch `$url` into `$file`; the second of each goes on with what is there.
const FETCHERS: [(&str, &str, &str); 3] = [
    (
        "curl",
        "curl -sSf -o \"$file\" \"$url\"",
        "curl -sSf -C - -o \"$file\" \"$url\"",
    ),
    (
        "wget",
        "wget -q --no-proxy -O \"$file\" \"$url\"",
        "wget -q --no-proxy -c -O \"$file\" \"$url\"",
    ),
    (
        "busybox",
        "busybox wget -q -O \"$file\" \"$url\"",
        "busybox wget -q -c -O \"$file\" \"$url\"",
    ),
];

fn fetch(command: &str, url: &str, file: &Path) -> Output {
    run(Command::new("sh")
        .args(["-c", command])
        .env("url", url)
        .env("file", file)
        .env_remove("http_proxy"))
}

#[test]
fn curl_wget_and_busybox_fetch_a_rendered_file() {
    let head = head_with_n1();
    head.put("a.ks", "name <n[name]> rack <a[rack]>\n");
    for (client, get, _) in FETCHERS {
        if !have(client) {
            continue;
        }
        let file = head.path(client);
        let output = fetch(get, &head.url("/kickstart/a.ks"), &file);
        assert!(output.status.success(), "{client}: {}", said(&output));
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "name n1 rack 7\n",
            "{client}"
        );
        // What is not there is an error to each of them, and leaves no file that could be taken for one.
        let file = head.path("none");
        let output = fetch(get, &head.url("/kickstart/gone.ks"), &file);
        assert!(!output.status.success(), "{client}: {}", said(&output));
        assert_eq!(fs::read(&file).unwrap_or_default(), b"", "{client}");
    }
}

#[test]
fn curl_wget_and_busybox_resume() {
    let head = head_with_n1();
    let line = "<n[name]> and no form <br> here\n";
    head.put("big.ks", line.repeat(20_000));
    let whole = line.replace("<n[name]>", "n1").repeat(20_000);
    for (client, _, resume) in FETCHERS {
        if !have(client) {
            continue;
        }
        let file = head.path(client);
        for part in [1, 300_000, whole.len() - 1] {
            fs::write(&file, &whole[..part]).unwrap();
            let output = fetch(resume, &head.url("/kickstart/big.ks"), &file);
            assert!(
                output.status.success(),
                "{client} from {part}: {}",
                said(&output)
            );
            assert!(
                fs::read_to_string(&file).unwrap() == whole,
                "{client} from {part}: another file"
            );
        }
        if client != "wget" {
            // busybox and curl -f take 416 for an error, from any server.
            continue;
        }
        // There is nothing left to fetch.
        let output = fetch(resume, &head.url("/kickstart/big.ks"), &file);
        assert!(output.status.success(), "{client}: {}", said(&output));
        assert!(
            fs::read_to_string(&file).unwrap() == whole,
            "{client}: another file"
        );
    }
    assert!(head.ledger("status=206").len() >= 3, "nothing was resumed");
}

#[test]
fn wget_keeps_what_has_not_changed() {
    if !have("wget") {
        return;
    }
    let head = head_with_n1();
    head.put("plain.ks", "a boot file\n");
    let date = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    fs::File::options()
        .write(true)
        .open(head.kickstarts().join("plain.ks"))
        .unwrap()
        .set_modified(date)
        .unwrap();
    let url = head.url("/kickstart/plain.ks");
    for _ in 0..2 {
        let output = run(Command::new("wget")
            .args(["-q", "--no-proxy", "-N", "-P"])
            .arg(head.path(""))
            .arg(&url));
        assert!(output.status.success(), "{}", said(&output));
    }
    assert_eq!(
        fs::read_to_string(head.path("plain.ks")).unwrap(),
        "a boot file\n"
    );
    assert_eq!(
        head.ledger("status=304").len() + head.ledger("status=200").len(),
        2
    );
    assert_eq!(
        head.ledger("status=304").len(),
        1,
        "{:#?}",
        head.ledger("limit=9")
    );
}

#[test]
fn a_fetched_script_runs_in_every_shell() {
    let head = head_with_n1();
    head.put(
        "first-boot.sh",
        "#!/bin/sh\nset -eu\nmain() {\n\tcat <<'EOF'\n<n[name]> <a[rack]> < > << $HOME\nEOF\n\techo '\\<a[rack]>'\n}\nmain\n",
    );
    head.node(
        "leaf01",
        "127.0.0.31",
        &["attr._boot_config=ztp:first-boot.sh", "attr.rack=9"],
    );
    for shell in ["dash", "bash", "busybox ash"] {
        if !have(shell.split(' ').next().unwrap()) {
            continue;
        }
        // The switch's own way: fetch, then run; and the administrator's: straight into a shell.
        let fetch = "curl -sSf --interface host!127.0.0.31 \"$url\"";
        for command in [
            format!("{fetch} -o \"$file\" && {shell} \"$file\""),
            format!("{fetch} | {shell}"),
        ] {
            let output = run(Command::new("dash")
                .args(["-euc", &command])
                .env("url", head.url("/ztp/script"))
                .env("file", head.path("script")));
            assert!(output.status.success(), "{command}: {}", said(&output));
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                "leaf01 9 < > << $HOME\n<a[rack]>\n",
                "{command}"
            );
        }
    }
}

/// A kickstart whose parts are fetched from the head, too, and which holds letters beyond ASCII.
const KICKSTART: &str = "\
# Küche, n\u{f8}de
text
lang <head[lang]>
keyboard <head[keymap]>
timezone <head[timezone]> --utc
network --bootproto=dhcp --hostname=<n[hostname]>
rootpw --iscrypted <a[rootpw]|$6$x$y>
url --url \"<base_url()>/isos/rocky9\"
zerombr
clearpart --all --initlabel
autopart
%include <base_url()>/kickstart/packages.ks
%post
echo 'n\u{f8}de <n[name]> in rack <a[rack]>' >/etc/motd
%end
reboot
";

#[test]
fn ksvalidator_and_ksflatten_read_a_kickstart_over_http() {
    let head = head_with_n1();
    head.put("a.ks", KICKSTART);
    head.put(
        "packages.ks",
        "%packages\n@^minimal-environment\nrack<a[rack]>-tools\n%end\n",
    );
    let url = head.url("/kickstart/a.ks");
    let output = run(script("pykickstart.sh").args(["ksvalidator", "-v", "RHEL9", "-i", &url]));
    if skipped(&output) {
        return;
    }
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");

    let flat = head.path("flat.ks");
    let output = run(script("pykickstart.sh")
        .args(["ksflatten", "-v", "RHEL9", "-c", &url, "-o"])
        .arg(&flat));
    assert!(output.status.success(), "{}", said(&output));
    let flat = fs::read_to_string(flat).unwrap();
    for text in [
        "n\u{f8}de n1 in rack 7",
        "rack7-tools",
        "--hostname=n1",
        &head.url("/isos/rocky9"),
    ] {
        assert!(flat.contains(text), "{text} is not in:\n{flat}");
    }
}

#[test]
fn ksvalidator_sees_the_faults_and_not_an_error_page() {
    let head = head_with_n1();
    head.put("wrong.ks", "bogus <n[name]>\n");
    head.put("missing.ks", "rootpw <a[rootpw]>\n");
    for (name, code) in [("wrong.ks", 1), ("missing.ks", 2), ("gone.ks", 2)] {
        let url = head.url(&format!("/kickstart/{name}"));
        let output = run(script("pykickstart.sh").args(["ksvalidator", "-v", "RHEL9", &url]));
        if skipped(&output) {
            return;
        }
        assert_eq!(
            output.status.code(),
            Some(code),
            "{name}: {}",
            said(&output)
        );
    }
}

#[test]
fn dracut_fetches_the_kickstart_of_the_address_it_asks_from() {
    let head = head_with_n1();
    head.put("a.ks", KICKSTART);
    let output = run(script("dracut.sh").args(["--from", N1, &head.url("/kickstart/a.ks")]));
    if skipped(&output) {
        return;
    }
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("--hostname=n1\n"), "{text}");
    assert_eq!(head.ledger("limit=1")[0]["how"], "address");
}

#[test]
fn dracut_is_known_by_anacondas_mac_header_from_a_strange_address() {
    let head = head_with_n1();
    head.put("a.ks", KICKSTART);
    let (mac, url) = (format!("eth0 {}", mac_of(N1)), head.url("/kickstart/a.ks"));
    let output = run(script("dracut.sh").args(["--from", "127.0.0.99", "--mac", &mac, &url]));
    if skipped(&output) {
        return;
    }
    assert!(output.status.success(), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("--hostname=n1\n"));
    assert_eq!(head.ledger("limit=1")[0]["how"], "mac-header");
}

#[test]
fn dracut_gives_up_where_a_value_is_missing() {
    let head = head_with_n1();
    head.put("a.ks", "rootpw <a[rootpw]>\n");
    let output = run(script("dracut.sh").args(["--from", N1, &head.url("/kickstart/a.ks")]));
    if skipped(&output) {
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(output.stdout, b"");
    // A decision, not a delay: it was not asked again.
    assert_eq!(head.ledger("limit=9").len(), 1);
}
