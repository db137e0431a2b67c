//! Every operation of the API, as its own document lists them: who may use it, what it answers, and what is written
//! down about it.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;

use head::{Head, Reply};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What needs no administrator, and who may use it. Everything else must be for administrators.
const OPEN: &[(&str, &str, &str)] = &[
    ("get", "/kickstart/{name}", "boot"),
    ("get", "/ignition/bin", "boot"),
    ("get", "/ignition/{id}", "boot"),
    ("get", "/ztp/script", "boot"),
    ("get", "/install/client/attributes", "boot"),
    ("get", "/install/client/installer", "boot"),
    ("get", "/install/client/download/{name}", "boot"),
    ("get", "/download/{name}", "boot"),
    ("get", "/repo/{name}", "boot"),
    ("get", "/repo/head/{name}", "boot"),
    ("post", "/node/{id}/status", "node"),
    ("get", "/healthz", "public"),
    ("get", "/readyz", "public"),
    ("get", "/metrics", "public"),
    ("get", "/openapi.json", "public"),
    ("get", "/install/head/scyld-install", "boot"),
    ("get", "/install/head/cw-install", "boot"),
    ("get", "/install/repo", "public"),
    ("get", "/install/head/join", "public"),
    ("post", "/install/head/join", "public"),
    ("post", "/install/password", "public"),
    ("post", "/auth/login", "public"),
    ("post", "/auth/refresh", "public"),
];

/// What a single head has none of, or ceases to be one by. The tests of several heads use it.
const OF_SEVERAL: [&str; 2] = ["/head/{id}", "/cluster/etcd"];

/// Reading before changing, and deleting last.
const METHODS: [&str; 5] = ["get", "post", "patch", "put", "delete"];

/// The address of the node n1.
const N1: &str = "127.0.0.11";

/// One operation, with what to ask of it on a head made by [`head_with_everything`].
struct Operation {
    method: &'static str,
    /// As the document has it.
    pattern: String,
    access: String,
    /// What it answers, by the document.
    responses: Value,
    path: String,
    body: Option<String>,
}

/// A head with one object of each kind.
fn head_with_everything() -> Head {
    let head = Head::start();
    head.create(
        "/attribs",
        &json!({"name": "gpu", "attributes": {"rack": "7"}}),
    );
    head.create(
        "/bootconfigs",
        &json!({"name": "rocky9", "kickstart": "a.sh"}),
    );
    head.create(
        "/gitrepos",
        &json!({"name": "site", "url": "https://git.example/site.git"}),
    );
    head.create(
        "/admins",
        &json!({"name": "ada", "password": "correct horse"}),
    );
    head.node(
        "n1",
        N1,
        &[
            "groups=gpu",
            "attr._boot_config=ztp:a.sh",
            "attr._ignition=a.ign",
            "attr.rack=7",
        ],
    );
    head.put("a.ign", r#"{"ignition": {"version": "3.0.0"}}"#);
    head.put("a.sh", "#!/bin/sh\n# CUMULUS-AUTOPROVISIONING <a[rack]>\n");
    // The first 20 bytes of a program for x86-64.
    let mut ignition = [0; 20];
    ignition[..6].copy_from_slice(b"\x7fELF\x02\x01");
    ignition[18] = 62;
    let packages = head.data().join("clientpkgs");
    // In the place of the one that is made of the rpm.
    fs::remove_file(packages.join(format!("tar/{NODE_PACKAGE}.tar.gz"))).unwrap();
    fs::write(packages.join("tar/a.tar"), EMPTY_TAR).unwrap();
    for file in ["tar/a.tar", &format!("rpm/{NODE_PACKAGE}.rpm")] {
        head::until(&format!("{file} is listed"), || {
            let reply = head.api("GET", &format!("/packages/{file}"), None);
            (reply.status == 200).then_some(())
        });
    }
    head::until("apt's index is made", || {
        let index = head.data().join("repo/deb/Packages");
        index.exists().then_some(())
    });
    let directory = head.data().join("ignition/x86_64");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("ignition"), ignition).unwrap();
    head
}

/// The node package of this version, as its rpm is called.
const NODE_PACKAGE: &str = concat!("pilotlight-node-", env!("CARGO_PKG_VERSION"), "-1.noarch");

/// What ends a tar, and nothing before it.
const EMPTY_TAR: [u8; 1024] = [0; 1024];

/// The same, as curl is told to read it from a file: it holds what no argument can.
fn empty_tar() -> String {
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/empty.tar");
    fs::write(file, EMPTY_TAR).unwrap();
    format!("@{file}")
}

/// A package's id is the digest of its kind and file.
fn node_package_id() -> String {
    let digest = Sha256::digest(format!("rpm/{NODE_PACKAGE}.rpm"));
    digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// All operations, in an order in which none takes away what a later one needs.
fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (pattern, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = METHODS
                .iter()
                .copied()
                .find(|known| known == method)
                .unwrap();
            let (path, body) = request(method, pattern);
            operations.push(Operation {
                method,
                pattern: pattern.clone(),
                access: operation["x-access"].as_str().unwrap().to_owned(),
                responses: operation["responses"].clone(),
                path,
                body,
            });
        }
    }
    operations.sort_by_key(|operation| {
        let is_logout = operation.pattern == "/auth/logout";
        let place = METHODS.iter().position(|known| *known == operation.method);
        // An object is replaced before its parts are, and deleted after them.
        let depth = operation.pattern.matches('/').count();
        let depth = if operation.method == "delete" {
            9 - depth
        } else {
            depth
        };
        (is_logout, place, depth, operation.pattern.clone())
    });
    operations
}

/// What to ask of an operation so that it succeeds for who may use it: the path, and the body.
fn request(method: &str, pattern: &str) -> (String, Option<String>) {
    let kind = pattern.split('/').nth(1).unwrap();
    let name = match kind {
        "node" | "ignition" => "n1",
        "attrib" => "gpu",
        "bootconfig" => "rocky9",
        "gitrepo" => "site",
        "admin" => "ada",
        // There is none: a single head is not listed.
        "head" => "h1",
        _ => "",
    };
    let (name_in_path, last) = match pattern {
        "/packages/{id}/{name}" => ("tar".to_owned(), "a.tar"),
        _ if kind == "packages" => (node_package_id(), ""),
        "/repo/{name}" | "/repo/head/{name}" => (String::new(), "deb/Packages"),
        "/download/{name}" | "/install/client/download/{name}" => {
            (String::new(), "pilotlight-node")
        }
        _ => (name.to_owned(), "a.sh"),
    };
    let mut path = pattern
        .replace("{id}", &name_in_path)
        .replace("{name}", last);
    if kind == "render" {
        path.push_str("?node=n1");
    }
    let new = |mut object: Value, name: &str| {
        object["name"] = name.into();
        object
    };
    let object = match kind {
        "nodes" | "node" => {
            json!({"mac": if name == "n1" { head::mac_of(N1) } else { "52:54:00:aa:00:09".to_owned() }})
        }
        "gitrepos" | "gitrepo" => json!({"url": "https://git.example/other.git"}),
        "admins" => json!({"password": "battery staple"}),
        _ => json!({}),
    };
    let body = match (method, pattern) {
        ("get", _) | ("post", "/auth/logout" | "/cluster/etcd" | "/packages/{id}/convert") => None,
        ("post", "/auth/login") => Some(json!({"user": "ada", "password": "correct horse"})),
        ("post", "/install/head/join") => Some(json!({})),
        ("post", "/install/password") => Some(json!({"admin_pass": "wrong"})),
        ("post", "/auth/refresh") => Some(json!({"refresh_token": "0".repeat(64)})),
        ("post", "/node/{id}/status") => Some(json!({"status": {"up": "yes"}})),
        ("patch" | "put", _) if pattern.ends_with("/attributes") => Some(json!({"rack": "8"})),
        ("delete", _) if pattern.ends_with("/attributes") => Some(json!(["rack"])),
        ("put", "/packages/{id}/{name}") => return (path, Some(empty_tar())),
        ("put", "/files/{name}") => return (path, Some("#!/bin/sh\n# other\n".to_owned())),
        ("delete", _) => None,
        ("post", "/nodes" | "/attribs" | "/bootconfigs" | "/gitrepos" | "/admins") => {
            Some(new(object, "x9"))
        }
        ("put", _) if !name.is_empty() => Some(new(object, name)),
        ("patch", "/cluster") => Some(json!({"domain": "cluster.example"})),
        ("patch", _) if !name.is_empty() => Some(json!({"description": "changed"})),
        _ => panic!("{method} {pattern} is new: say here what to ask of it"),
    };
    (path, body.map(|body| body.to_string()))
}

fn ask(head: &Head, operation: &Operation, authorization: Option<&str>) -> Reply {
    let method = operation.method.to_uppercase();
    let header = authorization.map(|value| format!("Authorization: {value}"));
    let mut options = vec!["-X", &method];
    options.extend(header.iter().flat_map(|header| ["-H", header]));
    options.extend(
        operation
            .body
            .iter()
            .flat_map(|body| ["--data-binary", body]),
    );
    head.ask_from("127.0.0.1", &operation.path, &options)
}

fn document(head: &Head) -> Value {
    head.get("/openapi.json").json()
}

/// Everything an operation could change.
fn everything(head: &Head) -> Value {
    let lists = [
        "/cluster",
        "/nodes",
        "/attribs",
        "/bootconfigs",
        "/gitrepos",
        "/admins",
        "/files",
    ];
    lists
        .map(|path| head.api("GET", path, None).data())
        .into_iter()
        .collect()
}

#[test]
fn only_what_must_be_open_is_open() {
    let head = Head::start();
    let found = operations(&document(&head));
    let mut open: Vec<_> = found
        .iter()
        .filter(|operation| operation.access != "admin")
        .map(|operation| {
            (
                operation.method,
                operation.pattern.as_str(),
                operation.access.as_str(),
            )
        })
        .collect();
    open.sort_unstable();
    let mut expected = OPEN.to_vec();
    expected.sort_unstable();
    assert_eq!(open, expected);
    assert!(found.len() > 40, "{}", found.len());
}

#[test]
fn without_a_good_token_nothing_is_told_or_changed() {
    let head = head_with_everything();
    let before = everything(&head);
    let guessed = format!("Bearer {}", "0".repeat(64));
    for operation in operations(&document(&head)) {
        if operation.access != "admin" {
            continue;
        }
        let (method, path) = (operation.method, &operation.path);
        for authorization in [
            None,
            Some(guessed.as_str()),
            Some("Bearer x"),
            Some("Basic YWRtaW46YWRtaW4="),
        ] {
            let refused = ask(&head, &operation, authorization);
            assert_eq!(
                refused.status, 401,
                "{method} {path} {authorization:?}: {refused:?}"
            );
            assert_eq!(refused.header("WWW-Authenticate"), Some("Bearer"));
            refused.refusal();
        }
        if method == "get" {
            let refused = head.ask_from("127.0.0.1", path, &["--head"]);
            assert_eq!(refused.status, 401, "HEAD {path}: {refused:?}");
        }
        // Neither does a node's own address help.
        let from_node = head.ask_from(N1, path, &["-X", &method.to_uppercase()]);
        assert_eq!(
            from_node.status, 401,
            "{method} {path} from n1: {from_node:?}"
        );
    }
    assert_eq!(everything(&head), before);
}

#[test]
fn what_is_open_needs_no_token() {
    let head = head_with_everything();
    for operation in operations(&document(&head)) {
        let (method, path) = (operation.method, &operation.path);
        match operation.access.as_str() {
            "public" => {
                let reply = ask(&head, &operation, None);
                let expected = match (method, path.as_str()) {
                    // There is no session to refresh, no challenge was answered, and the password is wrong.
                    (_, "/auth/refresh") => 401,
                    ("post", "/install/head/join") => 400,
                    (_, "/install/password") => 403,
                    _ => 200,
                };
                assert_eq!(reply.status, expected, "{method} {path}: {reply:?}");
            }
            "boot" => assert_eq!(head.get_from(N1, path).status, 200, "{path}"),
            "node" => {
                let body = operation.body.as_deref().unwrap();
                assert_eq!(head.ask_from(N1, path, &["-d", body]).status, 200, "{path}");
                let refused = ask(&head, &operation, None);
                assert_eq!(
                    refused.refusal(),
                    "403 only a node itself reports its status, from its own address"
                );
            }
            _ => {}
        }
    }
}

/// What of `value` is not as `schema` says, below `at`.
fn violations(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap();
        return violations(document, schema, value, at);
    }
    let mut found = Vec::new();
    if let Some(constant) = schema.get("const").filter(|constant| *constant != value) {
        found.push(format!("{at} is not {constant}"));
    }
    let is = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type of JSON"),
    };
    let nullable = schema["nullable"] == true && value.is_null();
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::Array(names) => names.iter().any(is),
        name => is(name) || nullable,
    };
    if !fits {
        found.push(format!("{at} is no {}", schema["type"]));
    }
    for choices in ["anyOf", "oneOf"] {
        let choices = schema[choices].as_array();
        let fits = |choice: &Value| violations(document, choice, value, at).is_empty();
        if choices.is_some_and(|choices| !nullable && !choices.iter().any(fits)) {
            found.push(format!("{at} is none of its choices"));
        }
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        found.extend(violations(document, part, value, at));
    }
    if let Value::Object(fields) = value {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(name.as_str().unwrap()) {
                found.push(format!("{at} has no {name}"));
            }
        }
        for (name, value) in fields {
            let at = format!("{at}.{name}");
            let described = schema["properties"].get(name);
            // Of patterns for names there is one at most, and the head keeps to it.
            let patterns = schema["patternProperties"].as_object();
            let others = patterns.and_then(|patterns| patterns.values().next());
            let others = others.or(schema.get("additionalProperties"));
            if let Some(schema) = described.or(others.filter(|others| others.is_object())) {
                found.extend(violations(document, schema, value, &at));
            }
        }
    }
    if let Value::Array(items) = value {
        for (place, item) in items.iter().enumerate() {
            found.extend(violations(
                document,
                &schema["items"],
                item,
                &format!("{at}[{place}]"),
            ));
        }
    }
    found
}

#[test]
fn with_a_token_every_operation_does_what_its_document_says() {
    let head = head_with_everything();
    // So that there is a fetch in the ledger.
    assert_eq!(head.get_from(N1, "/ztp/script").status, 200);
    head::until("the fetch is in the ledger", || {
        head.ledger("").first().cloned()
    });
    let document = document(&head);
    let authorization = format!("Bearer {}", head.token());
    let mut found = Vec::new();
    for operation in operations(&document) {
        if operation.access != "admin" || OF_SEVERAL.contains(&&*operation.pattern) {
            continue;
        }
        let reply = ask(&head, &operation, Some(&authorization));
        let name = format!("{} {}", operation.method, operation.pattern);
        let does = ["/auth/logout", "/packages/{id}/convert"].contains(&&*operation.pattern);
        let creates = operation.method == "post" && !does;
        assert_eq!(
            reply.status,
            if creates { 201 } else { 200 },
            "{name}: {reply:?}"
        );
        let is_file = ["/files/{name}", "/cluster/backup"].contains(&&*operation.pattern);
        if is_file && operation.method == "get" {
            assert_eq!(
                reply.header("Content-Type"),
                Some("application/octet-stream")
            );
            continue;
        }
        assert_eq!(
            reply.header("Content-Type"),
            Some("application/json"),
            "{name}"
        );
        let schema = &operation.responses["2XX"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{name} has no answer");
        found.extend(violations(&document, schema, &reply.json(), &name));
        let refused = ask(&head, &operation, None).json();
        let schema = &operation.responses["default"]["content"]["application/json"]["schema"];
        assert_eq!(violations(&document, schema, &refused, &name), [""; 0]);
    }
    assert!(found.is_empty(), "{found:#?}");
    // It was the last, and ended the session.
    assert_eq!(
        head.ask_from(
            "127.0.0.1",
            "/nodes",
            &["-H", &format!("Authorization: {authorization}")]
        )
        .status,
        401
    );
}

#[test]
fn the_audit_log_has_a_line_for_each_change_and_no_secret() {
    let head = head_with_everything();
    let log = head.data().join("audit.log");
    let skipped = fs::read_to_string(&log).unwrap().len();
    let token = head.token();
    let bearer = format!("Bearer {token}");
    let mut expected = vec!["admin local login 200".to_owned()];
    for operation in operations(&document(&head)) {
        if operation.access != "admin" || OF_SEVERAL.contains(&&*operation.pattern) {
            continue;
        }
        for authorization in [None, Some(bearer.as_str())] {
            let status = ask(&head, &operation, authorization).status;
            // What nobody was allowed to do leaves no line: it would let anybody fill the disk.
            if operation.method != "get" && authorization.is_some() {
                let (method, path) = (operation.method.to_uppercase(), &operation.path);
                expected.push(format!("admin 127.0.0.1 {method} /api/v1{path} {status}"));
            }
        }
    }
    let local =
        json!({"name": "n8", "mac": "52:54:00:aa:00:08", "attributes": {"rootpw": "secret-of-n8"}});
    head.create("/nodes", &local);
    assert_eq!(head.api("POST", "/nodes", Some(&local)).status, 409);
    let uid = rustix::process::geteuid().as_raw();
    for status in [201, 409] {
        expected.push(format!("uid {uid} local POST /api/v1/nodes {status}"));
    }

    let text = fs::read_to_string(&log).unwrap();
    for secret in ["correct horse", "battery staple", "secret-of-n8", &token] {
        assert!(!text.contains(secret), "{secret} is in {text}");
        assert!(
            !head.log().contains(secret),
            "{secret} is in {}",
            head.log()
        );
    }
    let mut last = String::new();
    let mut lines = Vec::new();
    for line in text[skipped..].lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let mut fields: Vec<&String> = event.as_object().unwrap().keys().collect();
        fields.sort();
        assert_eq!(
            fields,
            ["action", "from", "status", "time", "who"],
            "{line}"
        );
        let text = |name: &str| event[name].as_str().unwrap();
        assert!(
            text("time").ends_with('Z') && *text("time") >= *last,
            "{line}"
        );
        last = text("time").to_owned();
        lines.push(format!(
            "{} {} {} {}",
            text("who"),
            text("from"),
            text("action"),
            event["status"]
        ));
    }
    assert_eq!(lines, expected);
}
