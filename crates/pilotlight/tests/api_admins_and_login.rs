//! Who may manage a head: administrators, log-in, tokens, the local socket; and how their secrets are kept.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use head::{Head, Reply, run, skip, until};
use serde_json::{Value, json};

/// Nobody's user and group ID.
const NOBODY: u32 = 65534;

fn password(head: &Head) -> String {
    let kept = fs::read_to_string(head.data().join("admin_pass")).unwrap();
    kept.trim_end().to_owned()
}

/// Asks over the network, without a token.
fn post(head: &Head, address: &str, path: &str, body: &Value) -> Reply {
    head.ask_from(address, path, &["-d", &body.to_string()])
}

fn try_login(head: &Head, user: &str, password: &str) -> Reply {
    post(
        head,
        "127.0.0.1",
        "/auth/login",
        &json!({"user": user, "password": password}),
    )
}

/// The tokens of a session.
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    fn of(reply: &Reply) -> Self {
        assert_eq!(reply.status, 200, "{reply:?}");
        let data = reply.data();
        let token = |name: &str| data[name].as_str().unwrap().to_owned();
        Self {
            access: token("access_token"),
            refresh: token("refresh_token"),
        }
    }

    fn log_in(head: &Head, user: &str, password: &str) -> Self {
        Self::of(&try_login(head, user, password))
    }

    /// The status of a request with the access token.
    fn access(&self, head: &Head) -> u16 {
        head.api_as(&self.access, "GET", "/nodes", None).status
    }

    fn refresh(&self, head: &Head) -> Reply {
        post(
            head,
            "127.0.0.1",
            "/auth/refresh",
            &json!({"refresh_token": self.refresh}),
        )
    }

    fn have_ended(&self, head: &Head) -> bool {
        (self.access(head), self.refresh(head).status) == (401, 401)
    }
}

/// The audit log's events, in order.
fn audited(head: &Head) -> Vec<Value> {
    let log = fs::read_to_string(head.data().join("audit.log")).unwrap();
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_login_gives_tokens_that_open_the_api() {
    let head = Head::with_config("[auth]\naccess_ttl = \"30m\"\n");
    let reply = try_login(&head, "admin", &password(&head));
    let data = reply.data();
    let mut fields: Vec<&String> = data.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(
        fields,
        ["access_token", "expires_in", "refresh_token", "token_type"]
    );
    assert_eq!(
        (&data["token_type"], &data["expires_in"]),
        (&json!("Bearer"), &json!(1800))
    );
    let tokens = Tokens::of(&reply);
    for token in [&tokens.access, &tokens.refresh] {
        assert!(
            token.len() == 64
                && token
                    .bytes()
                    .all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')),
            "{token}"
        );
    }
    assert_ne!(tokens.access, tokens.refresh);
    assert_eq!(tokens.access(&head), 200);

    let with = |authorization: &str| {
        let header = format!("Authorization: {authorization}");
        head.ask_from("127.0.0.1", "/nodes", &["-H", &header])
    };
    assert_eq!(with(&format!("bearer {}", tokens.access)).status, 200);
    let unknown = "401 this token is unknown or has expired; log in again";
    let malformed = "401 the Authorization header is not 'Bearer TOKEN'";
    for (authorization, reason) in [
        // Each token does its own work only.
        (format!("Bearer {}", tokens.refresh), unknown),
        (format!("Bearer {}", tokens.access.to_uppercase()), unknown),
        (format!("Bearer {}", &tokens.access[..63]), unknown),
        (format!("Bearer {}x", tokens.access), unknown),
        ("Bearer".to_owned(), malformed),
        (format!("Basic {}", tokens.access), malformed),
        (tokens.access.clone(), malformed),
    ] {
        let refused = with(&authorization);
        assert_eq!(refused.refusal(), reason, "{authorization}");
        assert_eq!(refused.header("WWW-Authenticate"), Some("Bearer"));
    }
    let misused = Tokens {
        access: String::new(),
        refresh: tokens.access.clone(),
    };
    assert_eq!(misused.refresh(&head).refusal(), unknown);
    assert_eq!(tokens.access(&head), 200);
}

#[test]
fn a_refresh_token_is_good_once() {
    let head = Head::start();
    let first = Tokens::log_in(&head, "admin", &password(&head));
    let second = Tokens::of(&first.refresh(&head));
    assert_eq!(second.access(&head), 200);
    assert!(first.have_ended(&head));
    assert_ne!(
        (&first.access, &first.refresh),
        (&second.access, &second.refresh)
    );

    let refresh = (
        "POST",
        "/auth/refresh".to_owned(),
        json!({"refresh_token": second.refresh}),
    );
    let mut statuses = head.at_once(&vec![refresh; 20]);
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (200, &[401; 19][..]));
    assert!(second.have_ended(&head));
}

#[test]
fn a_logout_ends_both_tokens_and_no_others() {
    let head = Head::start();
    let [ended, other] = [(), ()].map(|()| Tokens::log_in(&head, "admin", &password(&head)));
    let logout = head.api_as(&ended.access, "POST", "/auth/logout", None);
    assert_eq!(
        (logout.status, logout.json()),
        (200, json!({"success": true}))
    );
    assert!(ended.have_ended(&head));
    assert_eq!(other.access(&head), 200);
    assert_eq!(
        head.api_as(&ended.access, "POST", "/auth/logout", None)
            .status,
        401
    );
}

#[test]
fn tokens_expire() {
    let head = Head::with_config("[auth]\naccess_ttl = \"1s\"\n");
    let tokens = Tokens::log_in(&head, "admin", &password(&head));
    until("the access token expires", || {
        (tokens.access(&head) == 401).then_some(())
    });
    Tokens::of(&tokens.refresh(&head));

    let head = Head::with_config("[auth]\naccess_ttl = \"1s\"\nrefresh_ttl = \"1s\"\n");
    let first = Tokens::log_in(&head, "admin", &password(&head));
    // When what was given out later has expired, so has this.
    let later = Tokens::log_in(&head, "admin", &password(&head));
    until("the later access token expires", || {
        (later.access(&head) == 401).then_some(())
    });
    assert_eq!(first.refresh(&head).status, 401);
}

#[test]
fn sessions_outlive_a_restart() {
    let mut head = Head::start();
    let tokens = Tokens::log_in(&head, "admin", &password(&head));
    head.kill();
    head.start_again();
    assert_eq!(tokens.access(&head), 200);
    Tokens::of(&tokens.refresh(&head));
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_told_the_same() {
    let head = Head::start();
    let wrong = try_login(&head, "admin", "not the password");
    let unknown = try_login(&head, "nemo", &password(&head));
    assert_eq!(wrong.refusal(), "401 wrong user or password");
    assert_eq!((unknown.status, &unknown.body), (wrong.status, &wrong.body));
    let login = |body: &Value| post(&head, "127.0.0.1", "/auth/login", body).refusal();
    for body in [
        json!({}),
        json!({"user": "admin"}),
        json!({"user": "admin", "password": null}),
        json!({"user": "admin", "password": ["x"]}),
        json!({"user": "admin", "password": "x", "otp": "1"}),
        json!("admin"),
    ] {
        assert!(
            login(&body).starts_with("400 the body is not what was expected: "),
            "{body}"
        );
    }
}

#[test]
fn too_many_tries_must_wait_and_each_is_in_the_audit_log() {
    let head = Head::with_config("[auth]\ntries_per_minute = 3\n");
    let right = password(&head);
    // Right ones do not count.
    for _ in 0..5 {
        Tokens::log_in(&head, "admin", &right);
    }
    for user in ["admin", "nemo", "a password in the wrong field"] {
        assert_eq!(try_login(&head, user, "wrong password").status, 401);
    }
    for password in ["wrong password", &right] {
        let throttled = try_login(&head, "admin", password);
        assert_eq!(throttled.status, 429, "{throttled:?}");
        let seconds: u32 = throttled.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert_eq!(
            throttled.refusal(),
            format!("429 too many tries; wait {seconds} seconds")
        );
    }
    let elsewhere = post(
        &head,
        "127.0.0.2",
        "/auth/login",
        &json!({"user": "admin", "password": right}),
    );
    assert_eq!(elsewhere.status, 200);

    let tries: Vec<String> = audited(&head)
        .iter()
        .filter(|event| event["action"] == "login")
        .map(|event| {
            format!(
                "{} {} {}",
                event["who"].as_str().unwrap(),
                event["from"].as_str().unwrap(),
                event["status"]
            )
        })
        .collect();
    let mut expected = vec!["admin 127.0.0.1 200"; 5];
    expected.extend([
        "admin 127.0.0.1 401",
        "nemo 127.0.0.1 401",
        "nobody 127.0.0.1 401",
    ]);
    expected.extend([
        "admin 127.0.0.1 429",
        "admin 127.0.0.1 429",
        "admin 127.0.0.2 200",
    ]);
    assert_eq!(tries, expected);
}

#[test]
fn an_administrator_is_created_read_changed_and_deleted() {
    let head = Head::start();
    let uid = head.create(
        "/admins",
        &json!({"name": "ada", "description": "night shift", "password": "correct horse"}),
    );
    let mut shown = head.api("GET", "/admin/ada", None).data();
    assert_eq!(
        head.api("GET", "/admins?name=ad?", None).data(),
        json!({&uid: shown})
    );
    let revision = shown.as_object_mut().unwrap().remove("revision").unwrap();
    assert!(revision.is_u64(), "{revision}");
    assert_eq!(
        shown,
        json!({"uid": uid, "name": "ada", "description": "night shift"})
    );
    let all = head.api("GET", "/admins", None);
    assert_eq!(all.data().as_object().unwrap().len(), 2);
    assert!(
        !all.text().contains("password") && !all.text().contains("argon2"),
        "{all:?}"
    );
    let refused = head.api("GET", "/admins?password=*", None).refusal();
    assert_eq!(
        refused,
        "400 there is no filter password; there are name, description"
    );

    let again = head.api(
        "POST",
        "/admins",
        Some(&json!({"name": "ada", "password": "correct horse"})),
    );
    assert!(again.refusal().starts_with("409 "), "{again:?}");
    for (password, reason) in [
        (
            json!("seven77"),
            "400 password: 8 characters at least, 1024 bytes at most",
        ),
        (
            json!("x".repeat(1025)),
            "400 password: 8 characters at least, 1024 bytes at most",
        ),
        (json!(12345678), "400 password: it is a text"),
        (Value::Null, "400 password: it is a text"),
    ] {
        let body = json!({"name": "bob", "password": password});
        assert_eq!(head.api("POST", "/admins", Some(&body)).refusal(), reason);
        let patch = json!({"password": password});
        assert_eq!(
            head.api("PATCH", "/admin/ada", Some(&patch)).refusal(),
            reason
        );
    }
    let refused = head.api("POST", "/admins", Some(&json!({"name": "bob"})));
    assert_eq!(refused.refusal(), "400 password: it is missing");

    let tokens = Tokens::log_in(&head, "ada", "correct horse");
    let patched = head
        .api("PATCH", "/admin/ada", Some(&json!({"description": null})))
        .data();
    assert_eq!(patched.get("description"), None);
    // Without a password, the old one stays, and so do the sessions.
    let replaced = head.api(
        "PUT",
        "/admin/ada",
        Some(&json!({"name": "grace", "description": "day shift"})),
    );
    assert_eq!(
        (&replaced.data()["name"], replaced.text().contains("argon2")),
        (&json!("grace"), false)
    );
    assert_eq!(tokens.access(&head), 200);
    assert_eq!(try_login(&head, "ada", "correct horse").status, 401);
    Tokens::log_in(&head, "grace", "correct horse");
    assert_eq!(
        head.api("DELETE", "/admin/grace", None).json(),
        json!({"success": true})
    );
    assert!(tokens.have_ended(&head));
    assert_eq!(try_login(&head, "grace", "correct horse").status, 401);
}

#[test]
fn a_new_password_ends_the_sessions_of_whose_it_is() {
    let head = Head::start();
    head.create(
        "/admins",
        &json!({"name": "ada", "password": "correct horse"}),
    );
    let admin = Tokens::log_in(&head, "admin", &password(&head));
    let sessions = [(), (), ()].map(|()| Tokens::log_in(&head, "ada", "correct horse"));
    let new = json!({"password": "battery staple"});
    // Ada's own change ends her own session, too.
    assert_eq!(
        head.api_as(&sessions[0].access, "PATCH", "/admin/ada", Some(&new))
            .status,
        200
    );
    assert!(sessions.iter().all(|session| session.have_ended(&head)));
    assert_eq!(admin.access(&head), 200);
    assert_eq!(try_login(&head, "ada", "correct horse").status, 401);
    Tokens::log_in(&head, "ada", "battery staple");
}

#[test]
fn the_last_administrator_cannot_be_deleted() {
    let head = Head::start();
    let delete = |name: &str| head.api("DELETE", &format!("/admin/{name}"), None);
    assert_eq!(
        delete("admin").refusal(),
        "409 admin is the last administrator"
    );
    for name in ["a1", "a2", "a3", "a4"] {
        head.create(
            "/admins",
            &json!({"name": name, "password": "correct horse"}),
        );
    }
    assert_eq!(delete("admin").status, 200);
    // Not even when all are deleted at the same time.
    let delete = |name: &str| ("DELETE", format!("/admin/{name}"), Value::Null);
    let mut statuses = head.at_once(&["a1", "a2", "a3", "a4"].map(delete));
    statuses.sort_unstable();
    let left = head
        .api("GET", "/admins", None)
        .data()
        .as_object()
        .unwrap()
        .len();
    assert!(left >= 1, "{statuses:?}");
    assert_eq!(
        statuses.iter().filter(|status| **status == 409).count(),
        left,
        "{statuses:?}"
    );
}

#[test]
fn secrets_are_kept_hashed_and_readable_by_the_owner_alone() {
    let mut head = Head::start();
    let kept = password(&head);
    assert!(kept.len() >= 20, "{kept}");
    head.create(
        "/admins",
        &json!({"name": "ada", "password": "correct horse battery"}),
    );
    let first = Tokens::log_in(&head, "ada", "correct horse battery");
    let second = Tokens::of(&first.refresh(&head));
    head.put("who.ks", "<head[name]>\n");
    assert_eq!(head.get("/kickstart/who.ks").status, 200);
    assert_eq!(try_login(&head, "ada", "wrong horse battery").status, 401);

    let mut secrets = vec![
        kept.into_bytes(),
        b"correct horse battery".into(),
        b"wrong horse battery".into(),
    ];
    for token in [
        &first.access,
        &first.refresh,
        &second.access,
        &second.refresh,
    ] {
        let bits = (0..32).map(|i| u8::from_str_radix(&token[2 * i..2 * i + 2], 16).unwrap());
        secrets.extend([token.clone().into_bytes(), bits.collect()]);
    }
    // Running (with what is not yet in the database proper) and stopped.
    for running in [true, false] {
        if !running {
            assert!(head.stop().success());
        }
        let mut seen = Vec::new();
        let files = fs::read_dir(head.data())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        for file in files
            .chain([head.path("log"), head.path("stdout")])
            .filter(|path| path.is_file())
        {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let content = fs::read(&file).unwrap();
            for secret in secrets.iter().filter(|_| name != "admin_pass") {
                let found = content.windows(secret.len()).any(|window| window == secret);
                assert!(!found, "{name} holds {}", String::from_utf8_lossy(secret));
            }
            if file.starts_with(head.data()) {
                let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{name}: {mode:o}");
            }
            seen.push(name);
        }
        for expected in [
            "admin_pass",
            "pilotlight.db",
            "ledger.db",
            "audit.log",
            "log",
        ] {
            assert!(
                seen.iter().any(|name| name == expected),
                "{expected} is not in {seen:?}"
            );
        }
    }
}

/// The status of GET /nodes on the local socket as nobody.
fn as_nobody(head: &Head, token: Option<&str>) -> u16 {
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "curl",
        "--silent",
        "--output",
        "/dev/null",
    ]);
    command.args([
        "--write-out",
        "%{http_code}",
        "http://localhost/api/v1/nodes",
        "--unix-socket",
    ]);
    command.arg(head.socket());
    if let Some(token) = token {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    let output = run(&mut command);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

#[test]
fn on_the_local_socket_root_and_the_owner_need_no_token() {
    if !rustix::process::geteuid().is_root() {
        skip("only root can ask as somebody else");
        return;
    }
    for owner in [0, NOBODY] {
        let mut head = Head::stopped("");
        fs::set_permissions(head.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(head.data()).unwrap();
        chown(head.data(), Some(owner), Some(owner)).unwrap();
        fs::set_permissions(head.data(), fs::Permissions::from_mode(0o755)).unwrap();
        head.start_again();
        assert_eq!(head.api("GET", "/nodes", None).status, 200);
        assert_eq!(
            as_nobody(&head, None),
            if owner == NOBODY { 200 } else { 401 }
        );
        assert_eq!(as_nobody(&head, Some(&head.token())), 200);
        // Whoever brings a token is who the token says, or nobody: root's own right does not stand in for it.
        assert_eq!(as_nobody(&head, Some("wrong")), 401);
        let wrong = head.api_with("GET", "/nodes", &["-H", "Authorization: Bearer wrong"]);
        assert_eq!(wrong.status, 401, "{wrong:?}");
    }
}
