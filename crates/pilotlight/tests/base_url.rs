//! The URL of the head in what it serves: the one the client used, and nothing that a shell would run.
#![allow(clippy::unwrap_used)]

mod head;

use head::{Head, get_request};

#[test]
fn a_hostile_host_never_lands_in_a_url() {
    let head = Head::start();
    head.put("a.sh", "curl <base_url()> <head[base_url]>\n");
    let own = format!("curl {0} {0}\n", head.url(""));
    for host in [
        "a;reboot",
        "a$(reboot)",
        "a`reboot`",
        "a'b",
        "a\"b",
        "a b",
        "a/b",
        "a@b",
        "a?b",
        "a#b",
        "a%20b",
        "a\\b",
        "a&b",
        "a|b",
        "a<b>",
        "<a[rootpw]>",
        "a:b",
        "a:99999",
        "a:80:80",
        "a:-1",
        "a:+1",
        "-a",
        "[::1",
        "[::1]x",
        "[a]",
        "::1",
        "\u{e4}",
        "",
        ":80",
        "a,b",
        "a\tb",
    ] {
        let request = format!("GET /api/v1/kickstart/a.sh HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let reply = head.ask_raw(request);
        match reply.status {
            200 => assert_eq!(reply.text(), own, "{host:?}"),
            400 => {}
            _ => panic!("{host:?}: {reply:?}"),
        }
    }
    // The same in an absolute target, and in what a proxy might say.
    let reply =
        head.ask_raw("GET http://a;reboot/api/v1/kickstart/a.sh HTTP/1.1\r\nHost: b\r\n\r\n");
    assert!(!reply.text().contains("reboot"), "{reply:?}");
    let reply = head.ask_raw(get_request(
        "/api/v1/kickstart/a.sh",
        "X-Forwarded-Host: a;reboot\r\nForwarded: host=evil\r\n",
    ));
    assert_eq!(reply.text(), "curl http://head/api/v1 http://head/api/v1\n");
    // Two hosts are one too many.
    let reply = head.ask_raw(get_request(
        "/api/v1/kickstart/a.sh",
        "Host: evil;reboot\r\n",
    ));
    assert!(!reply.text().contains("reboot"), "{reply:?}");
}

#[test]
fn the_base_url_is_the_one_the_client_used() {
    let head = Head::start();
    head.put("a.sh", "<base_url()>");
    for host in [
        "head",
        "head.cluster.example:8080",
        "10.0.0.1",
        "[fd00::1]:81",
        "a_b-c.d",
    ] {
        let request = format!("GET /api/v1/kickstart/a.sh HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(
            head.ask_raw(request).text(),
            format!("http://{host}/api/v1")
        );
    }
    // HTTP/1.0 clients may have no Host.
    let reply = head.ask_raw("GET /api/v1/kickstart/a.sh HTTP/1.0\r\n\r\n");
    assert_eq!(reply.text(), head.url(""));
}

#[test]
fn a_configured_base_url_is_used_as_it_is() {
    let head = Head::with_config("base_url = \"http://10.0.0.1/api/v1\"\n");
    head.put("a.sh", "<base_url()>");
    assert_eq!(
        head.ask_raw(get_request("/api/v1/kickstart/a.sh", ""))
            .text(),
        "http://10.0.0.1/api/v1"
    );
}
