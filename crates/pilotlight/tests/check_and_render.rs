//! `pilotlight check` and `pilotlight render`: what nodes will get, before any node finds out.
#![allow(clippy::unwrap_used)]

mod head;

use std::process::Output;

use head::{Head, Reply};
use serde_json::{Value, json};

/// The address of the node n1.
const N1: &str = "127.0.0.11";

/// What `pilotlight check` finds: node, file and reason of each.
fn problems(head: &Head) -> (Option<i32>, Vec<String>) {
    let output = head.try_cli(["check"]);
    let table = String::from_utf8(output.stdout).unwrap();
    let rows = table.lines().skip(1).map(|line| line.replace('\t', " | "));
    (output.status.code(), rows.collect())
}

/// What a node gets as a node, and what an administrator is shown of it.
fn both(head: &Head, address: &str, boot: &str, preview: &str) -> (Reply, Value) {
    let got = head.get_from(address, boot);
    assert_eq!(got.status, 200, "{got:?}");
    let shown = head.api("GET", preview, None);
    assert_eq!(shown.status, 200, "{shown:?}");
    (got, shown.data())
}

fn said(output: &Output) -> (Option<i32>, String) {
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_check_lists_exactly_what_would_fail_and_why() {
    let head = Head::start();
    head.put("good.ks", "rack <a[rack]>\n");
    head.put("sub/part.ks", "\n<a[partition]>\n");
    head.put("including.ks", "<include(sub/part.ks)>\n");
    head.put("dangling.ks", "one\n<include(none.ks)>\n");
    head.put("cycle.ks", "<include(cycle.ks)>\n");
    head.put("nothing.ks", "<a[nothing]>");
    head.put(
        "good.sh",
        "#!/bin/sh\n# CUMULUS-AUTOPROVISIONING <n[name]>\n",
    );
    head.put("repo.ks", "url --url=<root_url()>\n");
    for file in [
        "good",
        "including",
        "dangling",
        "cycle",
        "nothing",
        "absent",
        "repo",
    ] {
        head.create(
            "/bootconfigs",
            &json!({"name": file, "kickstart": format!("{file}.ks")}),
        );
    }
    head.create("/bootconfigs", &json!({"name": "diskless"}));
    head.create(
        "/bootconfigs",
        &json!({"name": "outside", "kickstart": "../secret"}),
    );
    head.create(
        "/attribs",
        &json!({"name": "typo", "attributes": {"_boot_config": "rokcy9"}}),
    );

    let node = |number: usize, name: &str, attributes: Value, groups: Value| {
        let mac = format!("52:54:00:aa:00:{number:02x}");
        head.create(
            "/nodes",
            &json!({"name": name, "mac": mac, "groups": groups, "attributes": attributes}),
        );
    };
    let boot = |name: &str, config: &str| {
        node(
            name[1..].parse().unwrap(),
            name,
            json!({"_boot_config": config}),
            json!([]),
        );
    };
    node(
        1,
        "n01",
        json!({"_boot_config": "good", "rack": "7"}),
        json!([]),
    );
    node(2, "n02", json!({}), json!([]));
    boot("n03", "diskless");
    boot("n04", "ztp:good.sh");
    let sound = json!({"checked": 2, "without": ["n02", "n03"], "problems": [], "warnings": []});
    assert_eq!(head.api("GET", "/check", None).data(), sound);
    assert_eq!(
        head.cli(["check"]),
        "2 nodes checked, every boot file renders; without one: n02, n03\n"
    );
    assert_eq!(head.cli(["check", "-q"]), "");

    boot("n11", "good");
    boot("n12", "including");
    boot("n13", "dangling");
    boot("n14", "cycle");
    node(
        15,
        "n15",
        json!({"_boot_config": "nothing", "nothing": ""}),
        json!([]),
    );
    boot("n16", "absent");
    boot("n17", "repo");
    boot("n18", "rocky9");
    node(19, "n19", json!({}), json!(["typo"]));
    boot("n20", "ztp:absent.sh");
    boot("n21", "ztp:");
    boot("n22", "outside");
    let directory = head.kickstarts().display().to_string();
    let (code, found) = problems(&head);
    let expected = [
        "n11 | good.ks | good.ks:1: node n11 has no attribute \"rack\"".to_owned(),
        "n12 | including.ks | sub/part.ks:2: node n12 has no attribute \"partition\"".to_owned(),
        "n13 | dangling.ks | dangling.ks:2: cannot include \"none.ks\": no such file".to_owned(),
        "n14 | cycle.ks | cycle.ks:1: include cycle: cycle.ks -> cycle.ks".to_owned(),
        "n15 | nothing.ks | nothing.ks renders to nothing for this node".to_owned(),
        format!("n16 | absent.ks | no file \"absent.ks\" in {directory}"),
        "n17 | repo.ks | repo.ks:1: node n17 has no install tree for <root_url()>".to_owned(),
        "n18 |  | _boot_config \"rocky9\" (set by node) names no boot configuration".to_owned(),
        "n19 |  | _boot_config \"rokcy9\" (set by group:typo) names no boot configuration".to_owned(),
        format!("n20 | absent.sh | no file \"absent.sh\" in {directory}"),
        "n21 |  | node n21: bad file name \"\": it is empty".to_owned(),
        "n22 |  | boot configuration outside: kickstart: bad file name \"../secret\": it has a component `..`".to_owned(),
    ];
    assert_eq!(found, expected);
    assert_eq!(code, Some(1));
    let output = head.try_cli(["check", "--json"]);
    assert_eq!(
        said(&output),
        (
            Some(1),
            "pilotlight: 14 nodes checked, 12 would not get their boot file\n".to_owned()
        )
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report, head.api("GET", "/check", None).data());
    let named: Vec<&str> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["node"].as_str().unwrap())
        .collect();
    assert_eq!(
        named,
        expected.iter().map(|row| &row[..3]).collect::<Vec<_>>()
    );

    // What is put right is no problem any more.
    head.api(
        "PATCH",
        "/attrib/DefaultAttribs/attributes",
        Some(&json!({"rack": "1", "partition": "sda"})),
    );
    for name in [
        "n13", "n14", "n15", "n16", "n17", "n18", "n19", "n20", "n21",
    ] {
        assert_eq!(
            head.api("DELETE", &format!("/node/{name}"), None).status,
            200
        );
    }
    let (code, found) = problems(&head);
    assert_eq!((code, found), (Some(1), vec![expected[11].clone()]));
    assert_eq!(
        head.api(
            "PATCH",
            "/bootconfig/outside",
            Some(&json!({"kickstart": "good.ks"}))
        )
        .status,
        200
    );
    assert_eq!(problems(&head), (Some(0), vec![]));
}

#[test]
fn a_check_agrees_with_what_nodes_get() {
    let head = Head::start();
    head.put("a.ks", "rack <a[rack]> from <head[ip]> at <base_url()>\n");
    head.create("/bootconfigs", &json!({"name": "a", "kickstart": "a.ks"}));
    head.node("n1", N1, &["attr._boot_config=a", "attr.rack=7"]);
    head.node("n2", "127.0.0.12", &["attr._boot_config=a"]);
    let (code, found) = problems(&head);
    let refused = head.get_from("127.0.0.12", "/kickstart/a.ks");
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(
        (code, found),
        (
            Some(1),
            vec![format!("n2 | a.ks | {}", refused.text().trim_end())]
        )
    );
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").status, 200);
}

#[test]
fn a_rendering_says_where_each_value_comes_from() {
    let head = Head::start();
    let text = "# <n[name]> <h[mac]> <s[up]>\n<include(part.ks)>\nurl --url=<root_url()>\nlang <head[lang]>\n\
                <a[extra]|none>\n\\<a[not_a_form]>\n";
    head.put("a.ks", text);
    head.put("part.ks", "<a[own]> <a[shared]>\n<a[common]>\n");
    assert_eq!(
        head.api(
            "PATCH",
            "/attrib/DefaultAttribs/attributes",
            Some(&json!({"common": "c"}))
        )
        .status,
        200
    );
    head.create(
        "/attribs",
        &json!({"name": "gpu", "attributes": {"shared": "s"}}),
    );
    head.create(
        "/bootconfigs",
        &json!({"name": "rocky9", "repo": "https://mirror.example/9"}),
    );
    head.node(
        "n1",
        N1,
        &["groups=gpu", "attr._boot_config=rocky9", "attr.own=o"],
    );
    assert_eq!(
        head.ask_from(
            N1,
            "/node/n1/status",
            &["-d", r#"{"status": {"up": "yes"}}"#]
        )
        .status,
        200
    );

    let rendered = format!(
        "# n1 {} yes\no s\nc\n\nurl --url=https://mirror.example/9\nlang en_US.UTF-8\nnone\n<a[not_a_form]>\n",
        head::mac_of(N1)
    );
    let render = ["render", "kickstart", "a.ks", "--node", "n1"];
    assert_eq!(head.cli(render), rendered);
    let with_provenance = head.cli(render.iter().chain(&["--provenance"]));
    let table = with_provenance.strip_prefix(&rendered).unwrap();
    let mac = head::mac_of(N1);
    let mac_row = format!("a.ks:1\t<h[mac]>\t{mac}\thardware");
    let expected = [
        "",
        "LINE\tFORM\tVALUE\tFROM",
        "a.ks:1\t<n[name]>\tn1\tnode",
        &mac_row,
        "a.ks:1\t<s[up]>\tyes\tstatus",
        "part.ks:1\t<a[own]>\to\tnode",
        "part.ks:1\t<a[shared]>\ts\tgroup:gpu",
        "part.ks:2\t<a[common]>\tc\tdefault:DefaultAttribs",
        "a.ks:3\t<root_url()>\thttps://mirror.example/9\tbootconfig:rocky9",
        "a.ks:4\t<head[lang]>\ten_US.UTF-8\thead",
        "a.ks:5\t<a[extra]|none>\tnone\tthe form's default",
    ];
    assert_eq!(table.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_rendering_is_byte_for_byte_what_the_node_gets() {
    let head = Head::start();
    head.put("plain.ks", "no form at all\n");
    head.put("bytes.ks", b"<n[name]> \xff\xfe\0 \xc3\n");
    head.put(
        "a.sh",
        "#!/bin/sh\n# CUMULUS-AUTOPROVISIONING\necho <n[name]> <a[x]>\n",
    );
    head.node("n1", N1, &["attr._boot_config=ztp:a.sh", "attr.x=<a[x]> ü"]);
    for (boot, preview) in [
        ("/kickstart/plain.ks", "/render/kickstart/plain.ks?node=n1"),
        ("/kickstart/bytes.ks", "/render/kickstart/bytes.ks?node=n1"),
        ("/ztp/script", "/render/ztp?node=n1"),
    ] {
        let (got, shown) = both(&head, N1, boot, preview);
        let sha256 = shown["sha256"].as_str().unwrap();
        // The entity tag is the hash's first half.
        assert_eq!(
            got.header("ETag"),
            Some(format!("\"{}\"", &sha256[..32]).as_str()),
            "{boot}"
        );
        let record = head::until("the fetch is in the ledger", || {
            head.ledger("limit=1")
                .into_iter()
                .find(|fetch| fetch["path"] == format!("/api/v1{boot}"))
        });
        assert_eq!(record["sha256"], sha256, "{boot}");
        assert_eq!(
            shown["text"],
            String::from_utf8_lossy(&got.body).as_ref(),
            "{boot}"
        );
        assert_eq!(shown["node"], "n1");
    }
    let rendered = head.try_cli(["render", "ztp", "--node", "n1"]);
    assert_eq!(rendered.stdout, head.get_from(N1, "/ztp/script").body);
    // What an administrator was shown is not on record as a fetch of the node's.
    assert_eq!(head.get_from(N1, "/kickstart/none.ks").status, 404);
    let fetches = head::until("the last fetch is in the ledger", || {
        let fetches = head.ledger("node=n1");
        (fetches[0]["status"] == 404).then_some(fetches)
    });
    let paths: Vec<_> = fetches
        .iter()
        .map(|fetch| {
            fetch["path"]
                .as_str()
                .unwrap()
                .strip_prefix("/api/v1")
                .unwrap()
        })
        .collect();
    let expected = [
        "/kickstart/none.ks",
        "/ztp/script",
        "/ztp/script",
        "/kickstart/bytes.ks",
        "/kickstart/plain.ks",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn the_urls_of_a_rendering_are_those_a_node_would_use() {
    let head = Head::start();
    head.put("a.ks", "<base_url()> <root_url()>\n");
    head.create("/bootconfigs", &json!({"name": "r", "repo": "repo/r"}));
    head.node("n1", N1, &["attr._boot_config=r"]);
    let base = head.url("");
    let text = format!("{base} {base}/repo/r\n");
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").text(), text);
    let over_network = head.api_as(&head.token(), "GET", "/render/kickstart/a.ks?node=n1", None);
    assert_eq!(over_network.data()["text"], text.as_str());
    // On the socket, the head's own address stands in for the one that the node would use.
    let on_socket = head.cli(["render", "kickstart", "a.ks", "--node", "n1"]);
    let (base, root) = on_socket.trim_end().split_once(' ').unwrap();
    assert!(
        base.starts_with("http://") && base.ends_with("/api/v1"),
        "{on_socket}"
    );
    assert_eq!(root, format!("{base}/repo/r"));
}

#[test]
fn what_cannot_be_rendered_says_why() {
    let head = Head::start();
    head.put("a.ks", "one\n<a[rack]>\n");
    head.node("n1", N1, &["attr._boot_config=rocky9"]);
    let path = head.kickstarts().display().to_string();
    for (words, reason) in [
        (
            &["kickstart", "a.ks", "--node", "n1"][..],
            "a.ks:2: node n1 has no attribute \"rack\"".to_owned(),
        ),
        (
            &["kickstart", "b.ks", "--node", "n1"],
            format!("no file \"b.ks\" in {path}"),
        ),
        (
            &["kickstart", "a.ks", "--node", "n9"],
            "there is no node \"n9\"".to_owned(),
        ),
        (
            &["ztp", "--node", "n1"],
            "node n1 has _boot_config \"rocky9\" (set by node), which is not ztp:<NAME>".to_owned(),
        ),
    ] {
        let output = head.try_cli([&["render"], words].concat());
        assert_eq!(
            said(&output),
            (Some(1), format!("pilotlight: {reason}\n")),
            "{words:?}"
        );
        assert!(output.stdout.is_empty());
    }
    let without = head.api("GET", "/render/kickstart/a.ks", None);
    assert_eq!(without.refusal(), "400 node: say for which node");
}
