//! `GET /kickstart/<NAME>`: files, with the values of the node that asks.
#![allow(clippy::unwrap_used)]

mod head;

use head::Head;
use serde_json::json;

/// The address of the node n1.
const N1: &str = "127.0.0.11";

/// A head that knows the node n1.
fn head_with_n1(words: &[&str]) -> Head {
    let head = Head::start();
    head.node("n1", N1, words);
    head
}

/// What n1 gets where a file of this content is served: status and body.
fn rendered(head: &Head, content: &str) -> (u16, String) {
    head.put("a.ks", content);
    let reply = head.get_from(N1, "/kickstart/a.ks");
    (reply.status, reply.text().to_owned())
}

#[test]
fn a_node_gets_its_own_values() {
    let head = Head::start();
    head.put("a.ks", "name <n[name]> rack <a[rack]>\n");
    head.node("n1", "127.0.0.11", &["attr.rack=7"]);
    head.node("n2", "127.0.0.12", &["attr.rack=8"]);
    for (address, expected) in [
        ("127.0.0.11", "name n1 rack 7\n"),
        ("127.0.0.12", "name n2 rack 8\n"),
    ] {
        let reply = head.get_from(address, "/kickstart/a.ks");
        assert_eq!((reply.status, reply.text()), (200, expected));
        assert_eq!(
            reply.header("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
    }
}

#[test]
fn an_address_that_no_node_owns_gets_404_with_the_reason() {
    let head = Head::start();
    head.put("a.ks", "name <n[name]>\n");
    let reply = head.get_from("127.0.0.99", "/kickstart/a.ks");
    assert_eq!(reply.status, 404);
    assert!(
        reply.text().starts_with("no node has address 127.0.0.99"),
        "{reply:?}"
    );
    assert_eq!(reply.text().lines().count(), 1, "{reply:?}");
    assert_eq!(
        reply.header("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
}

#[test]
fn a_file_that_uses_nothing_of_a_node_is_served_to_anybody() {
    let head = Head::start();
    head.put("a.ks", "lang <head[lang]> from <base_url()>\n");
    let reply = head.get_from("127.0.0.99", "/kickstart/a.ks");
    let expected = format!("lang en_US.UTF-8 from {}\n", head.url(""));
    assert_eq!((reply.status, reply.text()), (200, &*expected));
}

#[test]
fn a_change_of_an_attribute_is_seen_by_the_next_request() {
    let head = head_with_n1(&["attr.rack=7"]);
    assert_eq!(rendered(&head, "<a[rack]>\n"), (200, "7\n".into()));
    head.cli(["node", "set", "n1", "rack=8"]);
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").text(), "8\n");
    head.cli(["node", "clear", "n1", "rack"]);
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").status, 422);
    head.cli(["node", "delete", "n1"]);
    assert_eq!(head.get_from(N1, "/kickstart/a.ks").status, 404);
}

#[test]
fn what_was_rendered_before_is_served_again_only_to_whom_it_is_true_for() {
    let head = head_with_n1(&[]);
    head.node("n2", "127.0.0.12", &[]);
    head.put("a.ks", "<n[name]> <a[rack]> <base_url()>\n");
    for rack in ["7", "8"] {
        // Of the group that both nodes are in without being told.
        head.cli(["group", "set", "DefaultAttribs", &format!("rack={rack}")]);
        for _ in 0..2 {
            for (address, name) in [(N1, "n1"), ("127.0.0.12", "n2")] {
                for host in ["head-a", "head-b"] {
                    let field = format!("Host: {host}");
                    let reply = head.ask_from(address, "/kickstart/a.ks", &["-H", &field]);
                    let expected = format!("{name} {rack} http://{host}/api/v1\n");
                    assert_eq!((reply.status, reply.text()), (200, &*expected));
                }
            }
        }
    }
}

#[test]
fn every_kind_of_value_has_its_form() {
    let config = "[head]\nname = \"head1\"\nkeymap = \"de\"\nlang = \"de_DE.UTF-8\"\ntimezone = \"Europe/Berlin\"\n";
    let head = Head::with_config(config);
    head.cli(["bootconfig", "create", "rocky", "repo=isos/rocky9"]);
    let node = json!({
        "name": "n1.cluster.example", "mac": "52:54:00:AA:00:01", "ip": N1, "index": 4, "type": "compute",
        "description": "fourth from below", "attributes": {"rack": "7", "_boot_config": "rocky"},
        "hardware": {"cpus": "64"},
    });
    let uid = head.api("POST", "/nodes", Some(&node)).data();
    let report = r#"{"status": {"install": "done"}}"#;
    let reported = head.ask_from(N1, "/node/n1.cluster.example/status", &["-d", report]);
    assert_eq!(reported.status, 200, "{reported:?}");

    for (form, value) in [
        ("<a[rack]>", "7"),
        ("<attributes[rack]>", "7"),
        ("<h[cpus]>", "64"),
        ("<hardware[mac]>", "52:54:00:aa:00:01"),
        ("<s[state]>", "up"),
        ("<status[install]>", "done"),
        ("<n[uid]>", uid.as_str().unwrap()),
        ("<n[name]>", "n1.cluster.example"),
        ("<node[hostname]>", "n1"),
        ("<n[domain]>", "cluster.example"),
        ("<n[ip]>", N1),
        ("<n[mac]>", "52:54:00:aa:00:01"),
        ("<n[index]>", "4"),
        ("<n[type]>", "compute"),
        ("<n[description]>", "fourth from below"),
        ("<head[name]>", "head1"),
        ("<head[lang]>", "de_DE.UTF-8"),
        ("<head[keymap]>", "de"),
        ("<head[timezone]>", "Europe/Berlin"),
        ("<head[ip]>", "127.0.0.1"),
        ("<head[base_url]>", &head.url("")),
        ("<base_url()>", &head.url("")),
        ("<root_url()>", &head.url("/isos/rocky9")),
    ] {
        assert_eq!(
            rendered(&head, &format!("{form}\n")),
            (200, format!("{value}\n")),
            "{form}"
        );
    }
}

#[test]
fn the_later_group_and_then_the_node_itself_win() {
    let head = Head::start();
    let attributes = json!({"level": "default", "default": "yes"});
    let path = "/attrib/DefaultAttribs/attributes";
    assert_eq!(head.api("PATCH", path, Some(&attributes)).status, 200);
    head.cli(["group", "create", "gpu", "level=gpu", "gpu=yes"]);
    head.cli(["group", "create", "big", "level=big"]);
    head.node("n1", N1, &["groups=gpu,big"]);
    let file = "<a[level]> <a[gpu]> <a[default]>\n";
    assert_eq!(rendered(&head, file), (200, "big yes yes\n".into()));
    head.cli(["node", "update", "n1", "groups=big,gpu"]);
    assert_eq!(rendered(&head, file), (200, "gpu yes yes\n".into()));
    head.cli(["node", "set", "n1", "level=own"]);
    assert_eq!(rendered(&head, file), (200, "own yes yes\n".into()));
}

#[test]
fn a_missing_value_is_422_with_file_line_and_name() {
    let head = head_with_n1(&[]);
    assert_eq!(
        rendered(&head, "one\ntwo\nthree <a[rootpw]> <a[other]>\n"),
        (422, "a.ks:3: node n1 has no attribute \"rootpw\"\n".into())
    );
    for form in [
        "<h[cpus]>",
        "<s[install]>",
        "<n[description]>",
        "<root_url()>",
    ] {
        let (status, reason) = rendered(&head, &format!("x\n{form}\n"));
        assert_eq!(status, 422, "{form}: {reason}");
        assert!(
            reason.starts_with("a.ks:2: node n1 has no "),
            "{form}: {reason}"
        );
        assert_eq!(reason.lines().count(), 1, "{form}: {reason}");
    }
}

#[test]
fn missing_values_may_be_configured_to_be_empty() {
    let head = Head::with_config("[templates]\nmissing = \"empty\"\n");
    head.node("n1", N1, &[]);
    let file = "[<a[rootpw]>] [<a[rack]|7>]\n";
    assert_eq!(rendered(&head, file), (200, "[] [7]\n".into()));
}

#[test]
fn a_default_stands_in_for_what_is_missing() {
    let head = head_with_n1(&["attr.there=yes", "attr.void="]);
    let file = "<a[there]|no> <a[gone]|/dev/sda> [<a[gone]|>] [<a[void]|no>] <root_url()|http://mirror/>\n";
    let expected = "yes /dev/sda [] [] http://mirror/\n";
    assert_eq!(rendered(&head, file), (200, expected.into()));
}

#[test]
fn an_escaped_form_stays_as_it_is_written() {
    let head = head_with_n1(&["attr.x=1"]);
    let file = "\\<a[x]> <a[x]> \\<include(b.ks)> \\<base_url()>\n";
    let expected = "<a[x]> 1 <include(b.ks)> <base_url()>\n";
    assert_eq!(rendered(&head, file), (200, expected.into()));
}

#[test]
fn values_are_never_expanded_again() {
    let head = head_with_n1(&[
        "attr.a=<a[secret]>",
        "attr.b=<include(other.ks)>",
        "attr.c=<a[nothing]|<n[name]>",
        "attr.secret=hunter2",
    ]);
    head.put("other.ks", "never\n");
    let file = "<a[a]> <a[b]> <a[c]> <a[gone]|<n[name]>\n";
    let expected = "<a[secret]> <include(other.ks)> <a[nothing]|<n[name]> <n[name]\n";
    assert_eq!(rendered(&head, file), (200, expected.into()));
}

#[test]
fn what_is_no_form_passes_through_byte_for_byte() {
    let head = head_with_n1(&[]);
    let mut bytes = b"cat <<EOF\r\na < b > c <html> <a> <a[]> <a[x <a[x y]> <n(x)> <A[x]> < a[x]> \\<b> \\\\ <<a\n".to_vec();
    bytes.extend(0..=255_u8);
    bytes.extend(b"\xff\xfe<\xc3(\n");

    head.put("plain.ks", &bytes);
    assert_eq!(head.get("/kickstart/plain.ks").body, bytes);

    // The same around a form, so that it is rendered.
    head.put("form.ks", [&bytes[..], b"<n[name]>", &bytes].concat());
    let reply = head.get_from(N1, "/kickstart/form.ks");
    assert_eq!(reply.body, [&bytes[..], b"n1", &bytes].concat());
}

#[test]
fn an_included_file_is_rendered_too() {
    let head = head_with_n1(&["attr.disk=sda"]);
    head.put("parts/disk.ks", "disk <a[disk]>\n<include(parts/end.ks)>");
    head.put("parts/end.ks", "end of <n[name]>\n");
    assert_eq!(
        rendered(&head, "begin\n<include(parts/disk.ks)>"),
        (200, "begin\ndisk sda\nend of n1\n".into())
    );
}

#[test]
fn a_fault_in_an_included_file_is_named_where_it_stands() {
    let head = head_with_n1(&[]);
    head.put("part.ks", "one\n<a[rootpw]>\n");
    assert_eq!(
        rendered(&head, "<include(part.ks)>\n"),
        (
            422,
            "part.ks:2: node n1 has no attribute \"rootpw\"\n".into()
        )
    );
}

#[test]
fn an_include_that_cannot_be_had_is_an_error_that_names_it() {
    let head = head_with_n1(&[]);
    std::fs::write(head.data().join("secret"), "secret\n").unwrap();
    std::os::unix::fs::symlink("../secret", head.kickstarts().join("link")).unwrap();
    head.put("empty.ks", "");
    for file in [
        "gone.ks",
        "../secret",
        "/etc/passwd",
        "link",
        "empty.ks",
        ".",
    ] {
        let (status, reason) = rendered(&head, &format!("a\nb <include({file})>\n"));
        assert_eq!(status, 422, "{file}: {reason}");
        assert!(reason.starts_with("a.ks:2: "), "{file}: {reason}");
        assert!(reason.contains(file), "{file}: {reason}");
        assert_eq!(reason.lines().count(), 1, "{file}: {reason}");
    }
}

#[test]
fn a_cycle_of_includes_is_an_error_that_names_it() {
    let head = head_with_n1(&[]);
    head.put("b.ks", "\n<include(c.ks)>\n");
    head.put("c.ks", "\n\n<include(a.ks)>\n");
    let (status, reason) = rendered(&head, "<include(b.ks)>\n");
    assert_eq!(status, 422, "{reason}");
    assert!(reason.contains("a.ks -> b.ks -> c.ks -> a.ks"), "{reason}");

    let (status, reason) = rendered(&head, "<include(a.ks)>\n");
    assert_eq!(status, 422, "{reason}");
    assert!(reason.contains("a.ks -> a.ks"), "{reason}");
}

#[test]
fn includes_nest_sixteen_deep_and_no_deeper() {
    let head = head_with_n1(&[]);
    for depth in 1..=17 {
        head.put(
            &format!("{depth}.ks"),
            format!("<include({}.ks)>", depth + 1),
        );
    }
    head.put("18.ks", "bottom\n");
    // From 2.ks it is 16 includes to the bottom, from 1.ks 17.
    assert_eq!(head.get("/kickstart/2.ks").text(), "bottom\n");
    let reply = head.get("/kickstart/1.ks");
    assert_eq!(reply.status, 422);
    assert!(reply.text().contains("16"), "{reply:?}");
}

#[test]
fn an_empty_answer_is_an_error() {
    let head = head_with_n1(&["attr.void="]);
    for content in ["", "<a[void]>"] {
        let (status, reason) = rendered(&head, content);
        assert_eq!(status, 422, "{content:?}: {reason}");
        assert!(reason.contains("a.ks"), "{reason}");
        let head_of_it = head.ask_from(N1, "/kickstart/a.ks", &["--head"]);
        assert_eq!(head_of_it.status, 422, "{content:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_404_and_named() {
    let head = head_with_n1(&[]);
    for path in ["/kickstart/gone.ks", "/kickstart/no/such/dir.ks"] {
        let reply = head.get_from(N1, path);
        assert_eq!(reply.status, 404, "{reply:?}");
        let name = path.strip_prefix("/kickstart/").unwrap();
        assert!(reply.text().contains(name), "{reply:?}");
        assert_eq!(reply.text().lines().count(), 1, "{reply:?}");
    }
}

#[test]
fn names_may_hold_directories_blanks_and_letters_of_any_language() {
    let head = Head::start();
    for (name, path) in [
        ("rack7/leaf/a.ks", "rack7/leaf/a.ks"),
        ("two words.ks", "two%20words.ks"),
        ("größe.ks", "gr%C3%B6%C3%9Fe.ks"),
        ("100%.ks", "100%25.ks"),
        ("a+b;c=d@e.ks", "a+b;c=d@e.ks"),
    ] {
        head.put(name, name);
        let reply = head.get(&format!("/kickstart/{path}"));
        assert_eq!((reply.status, reply.text()), (200, name));
    }
}

#[test]
fn noise_in_a_path_means_nothing() {
    let head = Head::start();
    head.put("dir/x", "here\n");
    let address = head.address();
    for path in [
        "//api///v1/./kickstart/dir/x",
        "/api/v1/kickstart//dir/./x",
        "/./api/v1/kickstart/dir//x",
        "/api/v1/kickstart/dir%2Fx",
        "/api/v1/kickstart/%64ir/x",
        "/api/v1/kickstart/dir/x?unused=1",
    ] {
        let reply = head::curl([format!("http://{address}{path}")]);
        assert_eq!((reply.status, reply.text()), (200, "here\n"), "{path}");
    }
}

#[test]
fn json_is_served_as_such() {
    let head = Head::start();
    head.put("sonic.json", "{}\n");
    let reply = head.get("/kickstart/sonic.json");
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
}

#[test]
fn a_stored_file_is_served_by_the_next_request() {
    let head = head_with_n1(&[]);
    let local = head.path("local.ks");
    for content in ["first <n[name]>\n", "second <n[name]>\n"] {
        std::fs::write(&local, content).unwrap();
        head.cli(["file", "put", "up/a.ks", local.to_str().unwrap()]);
        let reply = head.get_from(N1, "/kickstart/up/a.ks");
        assert_eq!(reply.text(), content.replace("<n[name]>", "n1"));
    }
    head.cli(["file", "delete", "up/a.ks"]);
    assert_eq!(head.get_from(N1, "/kickstart/up/a.ks").status, 404);
}
