use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;

use super::*;

/// A head that answers each connection with the next of `answers` (status, body), then ends with what it was asked.
fn head(socket: &Path, answers: Vec<(u16, Value)>) -> JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let answer = |(status, body): (u16, Value)| {
            let mut stream = listener.accept().unwrap().0;
            let asked = request(&stream);
            let body = body.to_string();
            write!(
                stream,
                "HTTP/1.1 {status} X\r\nETag: \"e1\"\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            asked
        };
        answers.into_iter().map(answer).collect()
    })
}

/// Request line, the headers that matter, and body, in one line.
fn request(stream: &UnixStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut asked = String::new();
    let mut length = 0;
    for number in 0.. {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if number == 0 || lower.starts_with("authorization") || lower.starts_with("if-match") {
            asked.push_str(line);
            asked.push(' ');
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    asked + &String::from_utf8(body).unwrap()
}

fn success(data: &Value) -> (u16, Value) {
    (200, json!({"success": true, "data": data}))
}

fn failure(status: u16, reason: &str) -> (u16, Value) {
    (status, json!({"success": false, "reason": reason}))
}

fn tokens(name: &str, expires_in: u64) -> (u16, Value) {
    let data = json!({
        "access_token": format!("{name}-access"), "refresh_token": format!("{name}-refresh"),
        "token_type": "Bearer", "expires_in": expires_in,
    });
    success(&data)
}

/// Runs `talk` with a client of a head that gives `answers`; the result is its outcome and what the head was asked.
fn with_head<T>(
    answers: Vec<(u16, Value)>,
    token: Option<&str>,
    talk: impl AsyncFnOnce(Client) -> T,
) -> (T, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    let head = head(&socket, answers);
    let logins = Logins::at(directory.path().join("token"));
    let client = Client::new(
        HeadAddress::Socket(socket),
        None,
        token.map(str::to_owned),
        logins,
        false,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let outcome = runtime.block_on(talk(client));
    (outcome, head.join().unwrap())
}

#[test]
fn an_answer_comes_without_its_envelope() {
    let answer = (
        200,
        json!({"success": true, "data": {"a": 1}, "next": "c2"}),
    );
    let (answer, asked) = with_head(vec![answer], None, async |client| {
        client.ask(Ask::get("/nodes?limit=1")).await.unwrap()
    });
    assert_eq!(answer.data, json!({"a": 1}));
    assert_eq!(answer.next.as_deref(), Some("c2"));
    assert_eq!(answer.etag.as_deref(), Some("\"e1\""));
    assert_eq!(asked, ["GET /api/v1/nodes?limit=1 HTTP/1.1 "]);
}

#[test]
fn a_change_carries_its_body_its_condition_and_the_token() {
    let (_, asked) = with_head(vec![success(&Value::Null)], Some("t0"), async |client| {
        let ask = Ask::new(Method::PATCH, "/node/n4").json(&json!({"ip": null}));
        client
            .ask(ask.if_match(Some("\"e1\"".to_owned())))
            .await
            .unwrap()
    });
    let asked = asked[0].to_ascii_lowercase();
    assert!(
        asked.starts_with("patch /api/v1/node/n4 http/1.1 "),
        "{asked}"
    );
    assert!(asked.contains("authorization: bearer t0 "), "{asked}");
    assert!(asked.contains("if-match: \"e1\" "), "{asked}");
    assert!(asked.ends_with("{\"ip\":null}"), "{asked}");
}

#[test]
fn a_refusal_has_the_heads_reason() {
    let (error, _) = with_head(
        vec![failure(409, "n5 owns \u{1b}[31m")],
        None,
        async |client| client.ask(Ask::get("/nodes")).await.unwrap_err(),
    );
    assert!(matches!(error, Error::Refused { status: 409, .. }));
    assert_eq!(
        (error.to_string().as_str(), error.exit_code()),
        ("n5 owns \\u{1b}[31m", 1)
    );
}

#[test]
fn what_no_head_would_say_is_an_error() {
    for (status, body) in [
        (200, json!("welcome")),
        (200, json!({"success": false})),
        (502, json!("proxy")),
    ] {
        let (error, _) = with_head(vec![(status, body)], None, async |client| {
            client.ask(Ask::get("/nodes")).await.unwrap_err()
        });
        assert_eq!(error.exit_code(), 1, "{error}");
    }
}

#[test]
fn no_head_is_unreachable() {
    let directory = tempfile::tempdir().unwrap();
    let head = HeadAddress::Socket(directory.path().join("api.sock"));
    let client = Client::new(
        head,
        None,
        None,
        Logins::at(directory.path().join("token")),
        false,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime
        .block_on(client.ask(Ask::get("/nodes")))
        .unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
    assert!(
        error.to_string().contains("api.sock: No such file"),
        "{error}"
    );
}

#[test]
fn an_ended_token_is_refreshed_before_use() {
    let answers = vec![
        tokens("first", 0),
        tokens("second", 3600),
        success(&json!(1)),
        success(&json!(2)),
    ];
    let (_, asked) = with_head(answers, None, async |client| {
        client.log_in("ada", "pw").await.unwrap();
        assert_eq!(client.ask(Ask::get("/a")).await.unwrap().data, 1);
        assert_eq!(client.ask(Ask::get("/b")).await.unwrap().data, 2);
    });
    assert_eq!(
        asked[0],
        "POST /api/v1/auth/login HTTP/1.1 {\"password\":\"pw\",\"user\":\"ada\"}"
    );
    assert_eq!(
        asked[1],
        "POST /api/v1/auth/refresh HTTP/1.1 {\"refresh_token\":\"first-refresh\"}"
    );
    assert_eq!(
        asked[2],
        "GET /api/v1/a HTTP/1.1 authorization: Bearer second-access "
    );
    assert_eq!(
        asked[3],
        "GET /api/v1/b HTTP/1.1 authorization: Bearer second-access "
    );
}

#[test]
fn a_token_that_the_head_no_longer_knows_is_refreshed_once() {
    let answers = vec![
        tokens("first", 3600),
        failure(401, "unknown token"),
        tokens("second", 3600),
        failure(401, "unknown token"),
    ];
    let (error, asked) = with_head(answers, None, async |client| {
        client.log_in("ada", "pw").await.unwrap();
        client.ask(Ask::get("/a")).await.unwrap_err()
    });
    assert_eq!(
        error.to_string(),
        "unknown token (`pilotlight login` logs in)"
    );
    assert_eq!(asked.len(), 4);
    assert!(asked[3].contains("second-access"), "{asked:?}");
}

#[test]
fn a_token_that_another_command_refreshed_is_taken_over() {
    let answers = vec![
        tokens("first", 3600),
        failure(401, "unknown token"),
        success(&json!(1)),
    ];
    let (_, asked) = with_head(answers, None, async |client| {
        client.log_in("ada", "pw").await.unwrap();
        let login = client.logins.get(&client.head).unwrap().unwrap();
        let asking = client.ask(Ask::get("/a"));
        let other = async {
            let ends = SystemTime::now() + Duration::from_secs(3600);
            let login = Login::new("other-access".to_owned(), login.refresh_token.clone(), ends);
            client
                .logins
                .lock()
                .unwrap()
                .store(&client.head, Some(login))
                .unwrap();
        };
        // The request has read the old token before it first waits; only then the other command stores its own.
        let (answer, ()) = tokio::join!(asking, other);
        answer.unwrap()
    });
    assert!(asked[1].contains("first-access"), "{asked:?}");
    assert!(asked[2].contains("other-access"), "{asked:?}");
}

#[test]
fn logging_out_ends_the_login_here_and_there() {
    let (_, asked) = with_head(
        vec![tokens("first", 3600), success(&Value::Null)],
        None,
        async |client| {
            client.log_in("ada", "pw").await.unwrap();
            assert!(client.log_out().await.unwrap());
            assert!(!client.log_out().await.unwrap());
            let error = client.access_token(Duration::ZERO).await.unwrap_err();
            assert!(matches!(error, Error::NotLoggedIn(_)), "{error}");
        },
    );
    assert_eq!(
        asked[1],
        "POST /api/v1/auth/logout HTTP/1.1 authorization: Bearer first-access "
    );
}

#[test]
fn names_of_files_keep_their_slashes() {
    assert_eq!(escaped_path("rack 7/a?.ks"), "rack%207/a%3F.ks");
}
