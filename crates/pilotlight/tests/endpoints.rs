//! What holds for the endpoints as a whole: which there are, who may use them, and what they never do.
#![allow(clippy::unwrap_used)]

mod head;

use std::collections::BTreeSet;

use head::{Head, Reply, curl};
use serde_json::Value;

/// The OpenAPI document.
fn openapi(head: &Head) -> Value {
    let reply = head.get("/openapi.json");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
    reply.json()
}

/// Each operation of the OpenAPI document: method, and path (under the base path) with something in the place of each
/// parameter.
fn operations(openapi: &Value) -> Vec<(String, String)> {
    assert_eq!(openapi["servers"][0]["url"], "/api/v1");
    let paths = openapi["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let path = path.replace("{id}", "n1").replace("{name}", "a.ks");
        let methods = item.as_object().unwrap().keys();
        let methods = methods
            .filter(|method| ["get", "put", "post", "delete", "patch"].contains(&method.as_str()));
        methods
            .map(move |method| (method.to_uppercase(), path.clone()))
            .collect::<Vec<_>>()
    });
    operations.collect()
}

/// Asks without a token, over the network.
fn ask(head: &Head, method: &str, path: &str) -> Reply {
    let url = head.url(path);
    match method {
        "HEAD" => curl(["--head", &url]),
        _ => curl(["-X", method, &url]),
    }
}

#[test]
fn probes_metrics_and_the_api_document_need_no_token() {
    let head = Head::start();
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        // Under the base path, and where probes look for them.
        for url in [head.url(path), format!("http://{}{path}", head.address())] {
            let reply = curl([&url]);
            assert_eq!(reply.status, 200, "{url}: {reply:?}");
            assert!(!reply.body.is_empty(), "{url}");
        }
    }
}

#[test]
fn a_head_that_cannot_read_its_boot_files_says_so() {
    let head = Head::start();
    head.put("a.ks", "a boot file\n");
    assert_eq!(head.get("/kickstart/a.ks").status, 200);
    let away = head.path("away");
    std::fs::rename(head.kickstarts(), &away).unwrap();
    for path in ["/healthz", "/readyz"] {
        let reply = head.get(path);
        assert_eq!(reply.status, 503, "{path}: {reply:?}");
        assert!(reply.text().contains("kickstarts"), "{path}: {reply:?}");
    }
    assert_ne!(head.get("/kickstart/a.ks").status, 200);
    std::fs::rename(&away, head.kickstarts()).unwrap();
    assert_eq!(head.get("/healthz").status, 200);
    assert_eq!(head.get("/kickstart/a.ks").text(), "a boot file\n");
}

#[test]
fn metrics_count_boot_requests() {
    let head = Head::start();
    head.put("a.ks", "x\n");
    let count = |status: &str| -> f64 {
        let metrics = head.get("/metrics");
        let metrics = metrics.text().lines().filter(|line| !line.starts_with('#'));
        let boot = metrics
            .filter(|line| line.contains("kickstart") && line.contains(&format!("\"{status}\"")));
        let count = boot.filter(|line| line.contains("_total"));
        count
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    };
    assert_eq!((count("200"), count("404")), (0.0, 0.0));
    for _ in 0..3 {
        head.get("/kickstart/a.ks");
    }
    head.get("/kickstart/gone.ks");
    head::until("the metrics count the requests", || {
        ((count("200"), count("404")) == (3.0, 1.0)).then_some(())
    });
}

#[test]
fn the_api_document_lists_every_path_that_answers() {
    let head = Head::start();
    let openapi = openapi(&head);
    assert!(
        openapi["openapi"].as_str().unwrap().starts_with("3."),
        "{}",
        openapi["openapi"]
    );
    let listed: BTreeSet<_> = operations(&openapi).into_iter().collect();
    for (method, path) in [
        ("GET", "/kickstart/a.ks"),
        ("GET", "/ignition/bin"),
        ("GET", "/ztp/script"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("POST", "/auth/login"),
        ("POST", "/auth/refresh"),
        ("POST", "/auth/logout"),
        ("GET", "/nodes"),
        ("POST", "/nodes"),
        ("GET", "/node/n1"),
        ("PATCH", "/node/n1"),
        ("PUT", "/node/n1"),
        ("DELETE", "/node/n1"),
        ("GET", "/install/client/attributes"),
        ("POST", "/node/n1/status"),
        ("GET", "/attribs"),
        ("GET", "/attrib/n1"),
        ("PATCH", "/attrib/n1/attributes"),
        ("GET", "/bootconfigs"),
        ("GET", "/bootconfig/n1"),
        ("GET", "/gitrepos"),
        ("GET", "/gitrepo/n1"),
        ("GET", "/admins"),
        ("GET", "/admin/n1"),
        ("GET", "/cluster"),
        ("GET", "/files"),
        ("GET", "/files/a.ks"),
        ("PUT", "/files/a.ks"),
        ("DELETE", "/files/a.ks"),
        ("GET", "/install/client/installer"),
        ("GET", "/install/client/download/a.ks"),
        ("GET", "/download/a.ks"),
        ("GET", "/repo/a.ks"),
        ("GET", "/packages"),
        ("GET", "/packages/n1"),
        ("PUT", "/packages/n1/a.ks"),
        ("DELETE", "/packages/n1/a.ks"),
        ("POST", "/packages/n1/convert"),
        ("GET", "/ledger"),
    ] {
        assert!(
            listed.contains(&(method.to_owned(), path.to_owned())),
            "{method} {path} is not listed"
        );
    }
    // What is listed is there: it answers, if only that it needs a token, or that there is no n1.
    for (method, path) in &listed {
        let reply = ask(&head, method, path);
        assert_ne!(reply.status, 405, "{method} {path}");
        assert_ne!(reply.status, 500, "{method} {path}");
        if reply.status == 404 {
            let reason = reply.text();
            assert!(!reason.contains("no endpoint"), "{method} {path}: {reason}");
        }
    }
}

#[test]
fn management_needs_a_token_and_boot_files_do_not() {
    let head = Head::start();
    head.put("a.ks", "x\n");
    let revision = head.state_revision();
    let public = [
        "ignition",
        "install/",
        "download/",
        "repo/",
        "kickstart",
        "ztp",
        "healthz",
        "readyz",
        "metrics",
        "openapi.json",
        "auth/login",
        "auth/refresh",
    ];
    for (method, path) in operations(&openapi(&head)) {
        let below = path.trim_start_matches('/');
        let is_public =
            public.iter().any(|public| below.starts_with(public)) || below == "node/n1/status";
        let reply = ask(&head, &method, &path);
        if is_public {
            assert_ne!(reply.status, 401, "{method} {path}: {reply:?}");
            continue;
        }
        assert_eq!(reply.status, 401, "{method} {path}: {reply:?}");
        assert_eq!(
            reply.header("WWW-Authenticate"),
            Some("Bearer"),
            "{method} {path}"
        );
        assert_eq!(reply.json()["success"], false, "{method} {path}");
        assert!(
            !reply.json()["reason"].as_str().unwrap().is_empty(),
            "{method} {path}"
        );
    }
    assert_eq!(head.state_revision(), revision);
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let head = Head::start();
    for (path, allowed) in [
        ("/kickstart/a.ks", "GET, HEAD"),
        ("/ztp/script", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
    ] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let reply = ask(&head, method, path);
            assert_eq!(
                (reply.status, reply.header("Allow")),
                (405, Some(allowed)),
                "{method} {path}"
            );
            assert!(reply.text().contains(allowed), "{method} {path}: {reply:?}");
        }
    }
    let reply = ask(&head, "GET", "/auth/login");
    assert_eq!((reply.status, reply.header("Allow")), (405, Some("POST")));
    let reply = ask(&head, "BREW", "/nodes");
    assert_eq!(
        (reply.status, reply.header("Allow")),
        (405, Some("GET, POST, HEAD"))
    );
    assert_eq!(reply.json()["success"], false);
}

#[test]
fn asking_changes_nothing() {
    let head = Head::start();
    head.put("a.ks", "<n[name]>\n");
    head.node("n1", "127.0.0.1", &["attr._boot_config=ztp:a.ks"]);
    let revision = head.state_revision();
    for (method, path) in operations(&openapi(&head)) {
        if method != "GET" {
            continue;
        }
        for method in ["GET", "HEAD"] {
            ask(&head, method, &path);
        }
        head.api("GET", &path, None);
        head.api("GET", &format!("{path}?node=n1"), None);
    }
    assert_eq!(head.state_revision(), revision);
    assert_eq!(head.api("GET", "/node/n1", None).data()["name"], "n1");
}
