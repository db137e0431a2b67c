//! Every way in which fetching by HTTP succeeds or fails, and what is told of it.

use std::time::Duration;

use content::upstream::{FaultClass, FetchPolicy, Source};

use super::nginx::Nginx;
use super::process::free_port;
use super::scripted::{Reply, Scripted, closing, holding, ok, redirect};
use super::site::{assert_reason, fetch, fetch_with, text_of};

#[tokio::test]
async fn a_file_comes_over_http_and_https() {
    let Some(nginx) = Nginx::start() else { return };
    nginx.put("site.ign", "{}");
    for url in [
        nginx.url("site.ign"),
        nginx.tls_url("site.ign"),
        nginx.url("moved"),
    ] {
        let answer = fetch_with(&url, |settings| settings.ca_file = Some(nginx.ca_file()))
            .await
            .unwrap();
        assert_eq!(text_of(&answer), "{}");
        assert!(
            answer.fetched.revision.starts_with('"'),
            "an ETag: {}",
            answer.fetched.revision
        );
        assert!(answer.stale.is_none());
    }
    let error = fetch(&nginx.url("none.ign")).await.unwrap_err();
    assert_eq!(error.class(), FaultClass::Absent);
    assert!(
        error
            .to_string()
            .ends_with("the server has no such file (status 404)"),
        "{error}"
    );
}

#[tokio::test]
async fn tls_to_a_server_nobody_vouches_for_fails() {
    let Some(nginx) = Nginx::start() else { return };
    assert_reason(
        fetch(&nginx.tls_url("x")).await,
        "TLS with 127.0.0.1 failed: invalid peer certificate: UnknownIssuer",
    );
    // The certificate is for an address, not for this name of it.
    let url = nginx.tls_url("x").replace("127.0.0.1", "localhost");
    let trusting = fetch_with(&url, |settings| settings.ca_file = Some(nginx.ca_file())).await;
    assert_reason(
        trusting,
        "TLS with localhost failed: invalid peer certificate: certificate not valid for name",
    );
    let plain = format!("https://127.0.0.1:{}/x", nginx.port);
    assert_reason(
        fetch(&plain).await,
        "TLS with 127.0.0.1 failed: received corrupt message",
    );
}

#[tokio::test]
async fn a_host_without_address_and_a_port_without_server_are_told_apart() {
    assert_reason(
        fetch("http://no-such-host.invalid/x").await,
        "cannot find the address of \"no-such-host.invalid\"",
    );
    let port = free_port();
    let reason = format!("cannot connect to 127.0.0.1:{port}: Connection refused");
    assert_reason(fetch(&format!("http://127.0.0.1:{port}/x")).await, &reason);
}

/// Fetches from a server that gives `reply` to everybody.
async fn fetch_reply(
    reply: Reply,
) -> Result<content::upstream::Answer, content::upstream::UpstreamError> {
    let server = Scripted::start(&[reply]).await;
    fetch_with(&server.url("x?token=hunter2"), |settings| {
        settings.limits.max_size = 1000;
    })
    .await
}

#[tokio::test]
async fn what_a_server_answers_amiss_is_told() {
    let large = "x".repeat(1001);
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{large}\r\n");
    let table = [
        (
            closing("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"),
            "the server answered with status 500",
        ),
        (
            closing("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"),
            "no such file (status 410)",
        ),
        (
            closing("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"),
            "the server refuses access (status 401)",
        ),
        (
            closing("HTTP/1.1 206 Part\r\nContent-Length: 1\r\n\r\nx"),
            "the server answered with status 206",
        ),
        (
            closing("HTTP/1.1 304 Same\r\n\r\n"),
            "the server answered with status 304",
        ),
        (ok(""), "it is empty"),
        (ok(&large), "it is larger than 1000 bytes"),
        (holding(chunked), "it is larger than 1000 bytes"),
        (
            closing("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"),
            "it comes with Content-Encoding \"gzip\"",
        ),
        (
            closing("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            "the connection failed while reading the body: ",
        ),
        (
            closing(""),
            "the connection failed while waiting for the header of the answer: ",
        ),
        (
            closing("SSH-2.0-OpenSSH_9.2\r\n"),
            "the connection failed while waiting for the header of the answer: ",
        ),
        (
            closing("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
            "status 302 with an unusable Location: there is none",
        ),
        (
            redirect("http://bad host/"),
            "status 302 with an unusable Location: a URL cannot hold the character ' '",
        ),
        (
            redirect("http://u:hunter2@127.0.0.1/"),
            "status 302 with an unusable Location: it holds a password",
        ),
        (redirect("x?token=hunter2"), "the redirects form a loop"),
    ];
    for (reply, reason) in table {
        assert_reason(fetch_reply(reply).await, reason);
    }
}

#[tokio::test]
async fn a_slow_header_and_a_slow_body_are_told_apart() {
    let table = [
        (
            holding(""),
            "were over while waiting for the header of the answer",
        ),
        (
            holding("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            "were over while reading the body",
        ),
    ];
    for (reply, reason) in table {
        let server = Scripted::start(&[reply]).await;
        let outcome = fetch_with(&server.url("x"), |settings| {
            settings.limits.timeout = Duration::from_millis(300);
        })
        .await;
        assert_eq!(outcome.as_ref().unwrap_err().class(), FaultClass::TooSlow);
        assert_reason(outcome, reason);
    }
    // Speaks no TLS, and nothing else.
    let server = Scripted::start(&[holding("")]).await;
    let outcome = fetch_with(&server.url("x").replace("http:", "https:"), |settings| {
        settings.limits.timeout = Duration::from_millis(300);
    })
    .await;
    assert_reason(outcome, "were over while making a TLS connection");
}

#[tokio::test]
async fn redirects_are_followed_so_far_and_judged_each() {
    let to = |path: &str| redirect(path);
    let chain: Vec<Reply> = (1..=5)
        .map(|n| to(&format!("/{n}")))
        .chain([ok("there")])
        .collect();
    let server = Scripted::start(&chain).await;
    assert_eq!(text_of(&fetch(&server.url("0")).await.unwrap()), "there");

    let server = Scripted::start(&[
        to("/1"),
        to("/2"),
        to("/3"),
        to("/4"),
        to("/5"),
        to("/6"),
        ok("late"),
    ])
    .await;
    assert_reason(fetch(&server.url("0")).await, "more than 5 redirects");
    assert_eq!(server.requests().len(), 6);

    for (location, reason) in [
        (
            "http://169.254.169.254/latest",
            "redirected to http://169.254.169.254/latest: connecting to 169.254.169.254 is forbidden",
        ),
        (
            "http://[::ffff:10.0.0.1]/",
            "connecting to 10.0.0.1 is forbidden",
        ),
        (
            "//2852039166/",
            "connecting to 169.254.169.254 is forbidden",
        ),
        ("ftp://127.0.0.1/x", "fetch.schemes does not list \"ftp\""),
        ("file:///etc/passwd", "fetch.schemes does not list \"file\""),
    ] {
        let server = Scripted::start(&[to(location)]).await;
        let outcome = fetch(&server.url("x")).await;
        assert_eq!(
            outcome.as_ref().unwrap_err().class(),
            FaultClass::Forbidden,
            "{location}"
        );
        assert_reason(outcome, reason);
    }
}

#[tokio::test]
async fn loopback_is_forbidden_by_default_in_any_spelling() {
    let server = Scripted::start(&[ok("secret")]).await;
    let policy = FetchPolicy::new::<&str, _>(&[], &FetchPolicy::DEFAULT_SCHEMES).unwrap();
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
    ] {
        let url = format!("http://{host}:{}/x", server.port);
        let outcome = fetch_with(&url, |settings| settings.policy = policy.clone()).await;
        assert_eq!(
            outcome.as_ref().unwrap_err().class(),
            FaultClass::Forbidden,
            "{url}"
        );
        assert_reason(outcome, "is forbidden: it is ");
    }
    let listed = FetchPolicy::new(&["localhost"], &["http"]).unwrap();
    let url = format!("http://localhost:{}/x", server.port);
    assert_reason(
        fetch_with(&url, |settings| settings.policy = listed).await,
        "it is a loopback address",
    );
    assert!(server.requests().is_empty(), "nothing was even asked");
}

#[tokio::test]
async fn a_scheme_that_is_not_listed_is_forbidden() {
    let policy = FetchPolicy::new(&["127.0.0.0/8"], &["https"]).unwrap();
    let outcome = fetch_with("http://127.0.0.1/x", |settings| settings.policy = policy).await;
    assert_eq!(outcome.as_ref().unwrap_err().class(), FaultClass::Forbidden);
    assert_reason(outcome, "fetch.schemes does not list \"http\"");
}

#[tokio::test]
async fn a_login_is_taken_from_the_credentials_file() {
    let Some(nginx) = Nginx::start() else { return };
    nginx.put("private/site.ign", "{}");
    let url = nginx.url("private/site.ign");
    assert_reason(fetch(&url).await, "the server refuses access (status 401)");
    for (content, reason) in [
        ("machine 127.0.0.1 login alice password hunter2", None),
        (
            "machine 127.0.0.1 login alice password hunter22",
            Some("the server refuses access (status 401)"),
        ),
        (
            "machine other login alice password hunter2",
            Some("the server refuses access (status 401)"),
        ),
        (
            "machine 127.0.0.1 login alice pasword hunter2",
            Some("cannot use the credentials file"),
        ),
    ] {
        let file = nginx.home().join("netrc");
        std::fs::write(&file, content).unwrap();
        let outcome = fetch_with(&url, |settings| settings.credentials = Some(file.clone())).await;
        match reason {
            None => assert_eq!(text_of(&outcome.unwrap()), "{}"),
            Some(reason) => assert_reason(outcome, reason),
        }
    }
}

#[test]
fn a_password_in_a_source_is_refused_and_not_repeated() {
    for text in [
        "http://alice:hunter2@h/x",
        "https://alice%3Ahunter2@h/x",
        "git+https://:hunter2@h/x.git//y",
        "ssh://git:hunter2@h/x.git//y",
    ] {
        let error = Source::parse(text).unwrap_err();
        assert!(error.to_string().contains("it holds a password"), "{error}");
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}
