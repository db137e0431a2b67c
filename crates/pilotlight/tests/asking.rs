//! Who is asking: the node that owns the source address, and what a client may and may not say of itself.
#![allow(clippy::unwrap_used)]

mod head;

use head::{Head, Reply, curl, mac_of};
use serde_json::{Value, json};

/// Nobody's address.
const STRANGER: &str = "127.0.0.99";
/// The addresses of n1 and n2.
const N1: &str = "127.0.0.11";
const N2: &str = "127.0.0.12";

/// A head with the nodes n1 and n2, and `who.ks`, which says who asks.
fn head_with_config(config: &str) -> Head {
    let head = Head::with_config(config);
    head.node("n1", N1, &[]);
    head.node("n2", N2, &[]);
    head.put("who.ks", "<n[name]>\n");
    head
}

fn ask(head: &Head, from: &str, fields: &[&str]) -> Reply {
    let options: Vec<&str> = fields.iter().flat_map(|field| ["-H", field]).collect();
    head.ask_from(from, "/kickstart/who.ks", &options)
}

/// Who the head takes the client for; empty for nobody.
fn who(head: &Head, from: &str, fields: &[&str]) -> String {
    let reply = ask(head, from, fields);
    match reply.status {
        200 => reply.text().trim().to_owned(),
        404 => String::new(),
        _ => panic!("{reply:?}"),
    }
}

/// How the newest request was recognised, as the ledger has it.
fn how(head: &Head) -> Value {
    let records = head.ledger("limit=1");
    records[0]["how"].clone()
}

#[test]
fn a_forwarded_address_counts_for_nothing_by_default() {
    let head = head_with_config("");
    for field in [
        "X-Forwarded-For: 127.0.0.12",
        "Forwarded: for=127.0.0.12",
        "X-Real-IP: 127.0.0.12",
        "X-Client-IP: 127.0.0.12",
        "True-Client-IP: 127.0.0.12",
        "Via: 1.1 127.0.0.12",
    ] {
        assert_eq!(who(&head, N1, &[field]), "n1", "{field}");
        assert_eq!(who(&head, STRANGER, &[field]), "", "{field}");
    }
    let reply = ask(&head, STRANGER, &["X-Forwarded-For: 127.0.0.12"]);
    assert!(
        reply.text().starts_with("no node has address 127.0.0.99"),
        "{reply:?}"
    );
}

#[test]
fn a_forwarded_address_counts_where_the_peer_is_a_trusted_proxy() {
    let head = head_with_config("trusted_proxies = [\"127.0.0.64/26\"]\n");
    let proxy = "127.0.0.70";
    for (field, node) in [
        ("X-Forwarded-For: 127.0.0.12", "n2"),
        ("X-Forwarded-For: 127.0.0.11, 127.0.0.12", "n2"),
        ("X-Forwarded-For: 127.0.0.12, 127.0.0.71", "n2"),
        ("X-Forwarded-For: ::ffff:127.0.0.12", "n2"),
        ("X-Forwarded-For: 10.9.9.9", ""),
        ("X-Forwarded-For: nonsense", ""),
        ("Forwarded: for=127.0.0.12;proto=http", "n2"),
        ("Forwarded: for=\"127.0.0.12:4711\"", "n2"),
    ] {
        assert_eq!(who(&head, proxy, &[field]), node, "{field}");
        // The same from a peer that is no proxy.
        assert_eq!(who(&head, N1, &[field]), "n1", "{field}");
    }
    assert_eq!(who(&head, proxy, &["X-Forwarded-For: 127.0.0.12"]), "n2");
    assert_eq!(head.ledger("limit=1")[0]["address"], N2);
}

#[test]
fn anacondas_mac_header_names_a_node_only_when_the_address_does_not() {
    let head = head_with_config("");
    let mac = mac_of(N2);
    for field in [
        format!("X-RHN-Provisioning-MAC-0: eth0 {mac}"),
        format!("x-rhn-provisioning-mac-0: eth0 {}", mac.to_uppercase()),
        format!("X-RHN-Provisioning-MAC-3: enp1s0f0np0 {mac}"),
    ] {
        assert_eq!(who(&head, STRANGER, &[&field]), "n2", "{field}");
        assert_eq!(how(&head), "mac-header", "{field}");
        assert_eq!(who(&head, N1, &[&field]), "n1", "{field}");
        assert_eq!(how(&head), "address", "{field}");
    }
}

#[test]
fn of_several_macs_the_first_known_one_counts() {
    let head = head_with_config("");
    let (mac1, mac2) = (mac_of(N1), mac_of(N2));
    let fields = [
        format!("X-RHN-Provisioning-MAC-2: eth2 {mac1}"),
        format!("X-RHN-Provisioning-MAC-1: eth1 {mac2}"),
        "X-RHN-Provisioning-MAC-0: eth0 52:54:00:00:00:01".to_owned(),
    ];
    assert_eq!(
        who(&head, STRANGER, &fields.each_ref().map(String::as_str)),
        "n2"
    );
}

#[test]
fn a_mac_header_that_names_nobody_changes_nothing() {
    let head = head_with_config("");
    for field in [
        "X-RHN-Provisioning-MAC-0: eth0 52:54:00:00:00:01",
        "X-RHN-Provisioning-MAC-0: nonsense",
        "X-RHN-Provisioning-MAC-0;",
        "X-RHN-Provisioning-MAC: eth0 52:54:7f:00:00:0c",
    ] {
        assert_eq!(who(&head, STRANGER, &[field]), "", "{field}");
    }
    assert_eq!(how(&head), Value::Null);
}

#[test]
fn an_administrator_previews_as_any_node_by_any_of_its_names() {
    let head = head_with_config("");
    let token = format!("Authorization: Bearer {}", head.token());
    let uid = head.api("GET", "/node/n2", None).data()["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let mac = mac_of(N2);
    for id in [
        "n2",
        &uid,
        N2,
        &mac,
        &mac.to_uppercase().replace(':', "-"),
        &mac.replace(':', ""),
        "::ffff:127.0.0.12",
    ] {
        for from in [STRANGER, N1] {
            let reply = head.ask_from(
                from,
                &format!("/kickstart/who.ks?node={id}"),
                &["-H", &token],
            );
            assert_eq!((reply.status, reply.text()), (200, "n2\n"), "{id}");
            assert_eq!(how(&head), "token", "{id}");
        }
    }
    let reply = head.ask_from(N1, "/kickstart/who.ks?node=n7", &["-H", &token]);
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("n7"), "{reply:?}");
}

#[test]
fn a_preview_needs_a_good_token() {
    let head = head_with_config("");
    let token = head.token();
    let cut = &token[..token.len() - 1];
    for field in [
        "Authorization: Bearer wrong".to_owned(),
        format!("Authorization: Bearer {cut}"),
        format!("Authorization: Basic {token}"),
        "Authorization: Bearer".to_owned(),
    ] {
        for from in [STRANGER, N1] {
            let reply = head.ask_from(from, "/kickstart/who.ks?node=n2", &["-H", &field]);
            assert_eq!(reply.status, 401, "{field}");
            assert!(!reply.text().contains("n2\n"), "{field}");
        }
    }
    // Log out: the same token is bad now.
    let field = format!("Authorization: Bearer {token}");
    assert_eq!(
        curl(["-X", "POST", "-H", &field, &head.url("/auth/logout")]).status,
        200
    );
    assert_eq!(
        head.ask_from(N1, "/kickstart/who.ks?node=n2", &["-H", &field])
            .status,
        401
    );
}

#[test]
fn without_a_token_nobody_is_asked_for() {
    let head = head_with_config("");
    let reply = head.get_from(N1, "/kickstart/who.ks?node=n2");
    assert_eq!((reply.status, reply.text()), (200, "n1\n"));
    assert_eq!(how(&head), "address");
    assert_eq!(
        head.get_from(STRANGER, "/kickstart/who.ks?node=n2").status,
        404
    );
}

#[test]
fn a_node_may_own_several_addresses_and_macs() {
    let head = head_with_config("");
    let interfaces = json!({"interfaces": [
        {"name": "eth1", "mac": "52:54:00:00:01:01", "ip": "127.0.0.21"},
        {"name": "eth2", "mac": "52:54:00:00:01:02"},
    ]});
    assert_eq!(head.api("PATCH", "/node/n1", Some(&interfaces)).status, 200);
    assert_eq!(who(&head, N1, &[]), "n1");
    assert_eq!(who(&head, "127.0.0.21", &[]), "n1");
    assert_eq!(
        who(
            &head,
            STRANGER,
            &["X-RHN-Provisioning-MAC-0: eth2 52:54:00:00:01:02"]
        ),
        "n1"
    );
    // What is taken away names nobody any more.
    assert_eq!(
        head.api("PATCH", "/node/n1", Some(&json!({"interfaces": []})))
            .status,
        200
    );
    assert_eq!(who(&head, "127.0.0.21", &[]), "");
}

#[test]
fn an_ipv4_node_is_known_on_a_listener_for_ipv6_too() {
    let head = head_with_config("listen = [\"[::]:0\"]\n");
    let port = head
        .urls()
        .iter()
        .find_map(|url| url.strip_prefix("http://[::]:"))
        .unwrap();
    let url = format!("http://127.0.0.1:{port}/api/v1/kickstart/who.ks");
    let reply = curl(["--interface", "host!127.0.0.11", &url]);
    assert_eq!((reply.status, reply.text()), (200, "n1\n"));
    assert_eq!(head.ledger("limit=1")[0]["address"], N1);
}

#[test]
fn an_ipv6_node_is_known_by_its_address() {
    let head = head_with_config("listen = [\"[::1]:0\"]\n");
    let node = json!({"name": "n6", "mac": "52:54:00:00:00:06", "ip": "0:0:0:0:0:0:0:1"});
    assert_eq!(head.api("POST", "/nodes", Some(&node)).status, 201);
    let url = head
        .urls()
        .iter()
        .find(|url| url.starts_with("http://[::1]:"))
        .unwrap();
    let reply = curl([&format!("{url}/api/v1/kickstart/who.ks")]);
    assert_eq!((reply.status, reply.text()), (200, "n6\n"));
}
