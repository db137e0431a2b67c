//! `/nodes`: pages and filters.
#![allow(clippy::unwrap_used)]

mod head;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use head::Head;
use serde_json::{Value, json};

/// A MAC of one's own for each number.
fn mac(number: usize) -> String {
    format!("52:54:00:cc:{:02x}:{:02x}", number / 256, number % 256)
}

fn names(list: &Value) -> Vec<String> {
    let nodes = list.as_object().unwrap().values();
    let mut names: Vec<String> = nodes
        .map(|node| node["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// The names of all pages, each page in order.
fn walk(head: &Head, query: &str) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = head
            .api("GET", &format!("/nodes?{query}{cursor}"), None)
            .json();
        assert_eq!(page["success"], true, "{page}");
        pages.push(names(&page["data"]));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[test]
fn pages_hold_every_node_once_while_others_come_and_go() {
    let head = Head::start();
    let create = |name: String, number: usize| {
        (
            "POST",
            "/nodes".to_owned(),
            json!({"name": name, "mac": mac(number)}),
        )
    };
    let stay: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    let creations: Vec<_> = stay
        .iter()
        .cloned()
        .enumerate()
        .map(|(i, name)| create(name, i))
        .collect();
    assert_eq!(head.at_once(&creations), [201; 100]);

    let done = AtomicBool::new(false);
    let walks = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 1000;
            while !done.load(Ordering::Relaxed) {
                let passing: Vec<String> = (number..number + 10)
                    .map(|n| format!("n{}x{n}", n % 100))
                    .collect();
                let creations = passing.iter().cloned().enumerate();
                let creations: Vec<_> = creations
                    .map(|(i, name)| create(name, number + i))
                    .collect();
                assert_eq!(head.at_once(&creations), [201; 10]);
                let deletion = |name: &String| ("DELETE", format!("/node/{name}"), Value::Null);
                let deletions: Vec<_> = passing.iter().map(deletion).collect();
                assert_eq!(head.at_once(&deletions), [200; 10]);
                number += 10;
            }
        });
        let walks: Vec<_> = (0..3).map(|_| walk(&head, "limit=7")).collect();
        done.store(true, Ordering::Relaxed);
        walks
    });
    for pages in walks {
        let (last, others) = pages.split_last().unwrap();
        assert!(
            others.iter().all(|page| page.len() == 7) && !last.is_empty(),
            "{pages:?}"
        );
        // In order, so none comes twice.
        let all = pages.concat();
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        let seen: BTreeSet<_> = all.iter().collect();
        let missing: Vec<_> = stay.iter().filter(|name| !seen.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?} of {all:?}");
    }
    assert_eq!(walk(&head, "limit=1000").len(), 1);
    assert_eq!(walk(&head, "limit=50").concat().len(), 100);
    for (limit, reason) in [
        ("0", "400 limit=0: from 1 to 10000"),
        ("10001", "400 limit=10001: from 1 to 10000"),
    ] {
        let refused = head.api("GET", &format!("/nodes?limit={limit}"), None);
        assert_eq!(refused.refusal(), reason);
    }
    for query in ["limit=many", "limit=-1", "cursor=", "cursor=4n"] {
        let refused = head.api("GET", &format!("/nodes?{query}"), None).refusal();
        assert!(refused.starts_with(&format!("400 {query}: ")), "{refused}");
    }
}

#[test]
fn filters_select_nodes() {
    let head = Head::start();
    for (name, attributes) in [
        ("gpu", json!({"driver": "nvidia"})),
        ("boot", json!({"_boot_config": "rocky9"})),
    ] {
        head.create("/attribs", &json!({"name": name, "attributes": attributes}));
    }
    for node in [
        json!({"name": "n1", "mac": "52:54:00:aa:00:01", "ip": "10.0.0.1", "index": 1, "description": "the first",
               "interfaces": [{"name": "ib0", "mac": "52:54:00:bb:00:01", "ip": "fd00::1"}], "attributes": {"rack": "7"}}),
        json!({"name": "n2", "mac": "52:54:00:aa:00:02", "ip": "10.0.0.2", "groups": ["gpu", "boot"]}),
        json!({"name": "n3.example", "mac": "52:54:00:aa:00:03", "groups": ["boot"], "attributes": {"_boot_config": "ztp:a.sh"}}),
        json!({"name": "leaf1", "mac": "52:54:00:aa:01:01", "ip": "10.0.1.1", "type": "switch"}),
    ] {
        head.create("/nodes", &node);
    }
    let hardware = json!({"hardware": {"cpu": "EPYC 9"}});
    assert_eq!(head.api("PATCH", "/node/n2", Some(&hardware)).status, 200);
    for (query, expected) in [
        ("", &["leaf1", "n1", "n2", "n3.example"][..]),
        ("name=n*", &["n1", "n2", "n3.example"]),
        ("name=n?", &["n1", "n2"]),
        ("name=n1", &["n1"]),
        ("name=N1", &[]),
        ("type=switch", &["leaf1"]),
        ("type=comp*", &["n1", "n2", "n3.example"]),
        ("index=1", &["n1"]),
        ("description=the%20first", &["n1"]),
        ("group=gpu", &["n2"]),
        ("group=*o*", &["n2", "n3.example"]),
        ("ip=10.0.0.*", &["n1", "n2"]),
        ("ip=::ffff:10.0.1.1", &["leaf1"]),
        ("ip=fd00:0::1", &["n1"]),
        ("mac=525400AA0002", &["n2"]),
        ("mac=52:54:00:aa:01:*", &["leaf1"]),
        ("mac=52-54-00-BB-00-01", &["n1"]),
        ("hostname=n3", &["n3.example"]),
        ("domain=example", &["n3.example"]),
        ("attr._boot_config=rocky9", &["n2"]),
        ("attr._boot_config=*", &["n2", "n3.example"]),
        ("attr.driver=nvidia&attr._boot_config=rocky9", &["n2"]),
        ("attr.rack=7", &["n1"]),
        ("attr.none=*", &[]),
        ("hardware.cpu=EPYC*", &["n2"]),
        ("status.state=unknown&name=n*", &["n1", "n2", "n3.example"]),
        ("status.up=yes", &[]),
        ("name=n*&type=switch", &[]),
        ("name=n*&name=*2", &["n2"]),
    ] {
        let list = head.api("GET", &format!("/nodes?{query}"), None);
        assert_eq!(names(&list.data()), expected, "{query}");
    }
    assert_eq!(
        walk(&head, "name=n*&limit=2"),
        [&["n1", "n2"][..], &["n3.example"]]
    );
    for unknown in ["colour", "names", "attr", "attributes", "Name", ""] {
        let refused = head
            .api("GET", &format!("/nodes?{unknown}=x"), None)
            .refusal();
        assert!(
            refused.starts_with(&format!(
                "400 there is no filter {unknown}; there are name, mac, ip, "
            )),
            "{refused}"
        );
    }
}
