//! Every way in which fetching from a git repository succeeds or fails, and what is told of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use content::upstream::{Fault, FaultClass, FetchPolicy, Upstreams};

use super::forge::{Forge, exec_path};
use super::nginx::Nginx;
use super::process::{Server, eventually, free_port};
use super::scripted::{Scripted, holding};
use super::site::{HOUR, assert_reason, fetch, fetch_with, settings, text_of, upstream};

/// A repository of a directory of its own, reached by `git+file`.
fn forge_on_disk() -> (tempfile::TempDir, Forge, String) {
    let home = tempfile::tempdir().unwrap();
    let forge = Forge::new(&home.path().join("site.git"));
    let url = format!("git+file://{}", forge.bare().display());
    (home, forge, url)
}

#[tokio::test]
async fn a_branch_a_tag_a_commit_and_the_default_are_told_apart() {
    let (_home, forge, url) = forge_on_disk();
    let first = forge.git(&["rev-parse", "HEAD"]);
    forge.git(&["tag", "light"]);
    forge.git(&["tag", "-a", "-m", "annotated", "v1"]);
    forge.commit("site.ign", "second");
    forge.git(&["checkout", "--quiet", "-b", "feature/x"]);
    let feature = forge.commit("site.ign", "feature");
    forge.configure("uploadpack.allowAnySHA1InWant", "true");
    for (reference, content) in [
        ("", "second"),
        ("?ref=main", "second"),
        ("?ref=refs/heads/main", "second"),
        ("?ref=feature/x", "feature"),
        ("?ref=feature%2Fx", "feature"),
        ("?ref=light", "{\"on\": \"main\"}"),
        ("?ref=v1", "{\"on\": \"main\"}"),
        (&format!("?ref={first}"), "{\"on\": \"main\"}"),
        (
            &format!("?ref={}", first.to_uppercase()),
            "{\"on\": \"main\"}",
        ),
    ] {
        let answer = fetch(&format!("{url}//site.ign{reference}")).await.unwrap();
        assert_eq!(text_of(&answer), content, "{reference}");
    }
    let answer = fetch(&format!("{url}//site.ign?ref=feature/x"))
        .await
        .unwrap();
    assert_eq!(answer.fetched.revision, feature);
    let answer = fetch(&format!("{url}//site.ign?ref=v1")).await.unwrap();
    assert_eq!(answer.fetched.revision, first, "the commit, not the tag");
}

#[tokio::test]
async fn what_a_repository_does_not_have_is_told() {
    let (home, forge, url) = forge_on_disk();
    forge.git(&["tag", "v1"]);
    symlink("site.ign", forge.work().join("link.ign")).unwrap();
    fs::write(forge.work().join("empty.ign"), "").unwrap();
    fs::write(forge.work().join("large.ign"), "x".repeat(1001)).unwrap();
    fs::create_dir(forge.work().join("directory")).unwrap();
    fs::write(forge.work().join("directory/x *?.ign"), "spaced").unwrap();
    let commit = forge.commit_all();
    let absent = "0123456789012345678901234567890123456789";
    for (place, reason) in [
        (
            "//site.ign?ref=none",
            "the repository has no branch or tag \"none\"; it has main, v1".to_owned(),
        ),
        (
            "//none.ign",
            format!("commit {commit} has no file \"none.ign\""),
        ),
        (
            "//site.ign/x",
            format!("commit {commit} has no file \"site.ign/x\""),
        ),
        ("//*.ign", format!("commit {commit} has no file \"*.ign\"")),
        (
            "//link.ign",
            format!("\"link.ign\" is a symbolic link in commit {commit}, not a file"),
        ),
        (
            "//directory",
            format!("\"directory\" is a directory in commit {commit}, not a file"),
        ),
        ("//empty.ign", "it is empty".to_owned()),
        ("//large.ign", "it is larger than 1000 bytes".to_owned()),
        (
            &format!("//site.ign?ref={absent}"),
            format!("the server does not give commit {absent}: "),
        ),
    ] {
        let outcome = fetch_with(&format!("{url}{place}"), |settings| {
            settings.limits.max_size = 1000;
        })
        .await;
        assert_reason(outcome, &reason);
    }
    let answer = fetch(&format!("{url}//directory/x%20*%3F.ign"))
        .await
        .unwrap();
    assert_eq!(text_of(&answer), "spaced");

    let nothing = format!("git+file://{}/none.git//x", home.path().display());
    assert_reason(fetch(&nothing).await, "there is no repository: ");
    let policy = FetchPolicy::new(&["127.0.0.0/8"], &FetchPolicy::DEFAULT_SCHEMES).unwrap();
    let outcome = fetch_with(&format!("{url}//site.ign"), |settings| {
        settings.policy = policy;
    })
    .await;
    assert_eq!(outcome.as_ref().unwrap_err().class(), FaultClass::Forbidden);
    assert_reason(outcome, "fetch.schemes does not list \"git+file\"");
}

/// `git daemon` over the directory of the repository.
fn daemon(forge: &Forge) -> (Server, u16) {
    let port = free_port();
    let base = forge.bare().parent().unwrap();
    // Not by way of `git`, which would be killed in its place.
    let mut command = Command::new(exec_path().join("git-daemon"));
    command
        .args(["--export-all", "--listen=127.0.0.1", "--reuseaddr"])
        .arg(format!("--port={port}"))
        .arg(format!("--base-path={}", base.display()));
    (Server::start(&mut command, port), port)
}

#[tokio::test]
async fn a_file_comes_from_a_git_daemon() {
    let (_home, forge, _) = forge_on_disk();
    forge.configure("uploadpack.allowFilter", "true");
    let (_daemon, port) = daemon(&forge);
    for scheme in ["git", "git+git"] {
        let answer = fetch(&format!("{scheme}://localhost:{port}/site.git//site.ign")).await;
        // A listed network allows the address that the name resolves to.
        assert_eq!(text_of(&answer.unwrap()), "{\"on\": \"main\"}");
    }
    let outcome = fetch(&format!("git://127.0.0.1:{port}/none.git//x")).await;
    assert_reason(outcome, "there is no repository: ");
    let port = free_port();
    let outcome = fetch(&format!("git://127.0.0.1:{port}/site.git//x")).await;
    assert_reason(outcome, &format!("cannot connect to 127.0.0.1:{port}: "));
}

#[tokio::test]
async fn a_file_comes_over_smart_http() {
    let Some(nginx) = Nginx::start_with_git() else {
        return;
    };
    let forge = Forge::new(&nginx.home().join("repositories/site.git"));
    forge.configure("uploadpack.allowFilter", "true");
    for url in [
        format!("git+{}", nginx.url("git/site.git//site.ign")),
        nginx.url("git/site.git//site.ign?ref=main"),
        format!("git+{}", nginx.tls_url("git/site.git//site.ign")),
        // No such name but in what git is told about it: the judged address is the one connected to.
        format!(
            "git+{}",
            nginx
                .url("git/site.git//site.ign")
                .replace("127.0.0.1", "localhost")
        ),
    ] {
        let answer = fetch_with(&url, |settings| settings.ca_file = Some(nginx.ca_file()))
            .await
            .unwrap();
        assert_eq!(text_of(&answer), "{\"on\": \"main\"}", "{url}");
    }
    let tls = format!("git+{}", nginx.tls_url("git/site.git//site.ign"));
    assert_reason(fetch(&tls).await, "TLS with 127.0.0.1");
    let none = format!("git+{}", nginx.url("git/none.git//x"));
    assert_reason(fetch(&none).await, "there is no repository: ");
    let moved = format!("git+{}", nginx.url("moved-git/site.git//x"));
    assert_reason(
        fetch(&moved).await,
        "the server redirects (status 301), which is not followed for git",
    );
    let closed = free_port();
    let refused = format!("git+http://127.0.0.1:{closed}/site.git//x");
    assert_reason(
        fetch(&refused).await,
        &format!("cannot connect to 127.0.0.1:{closed}: "),
    );
    assert_reason(
        fetch("git+http://no-such-host.invalid/site.git//x").await,
        "cannot find the address of \"no-such-host.invalid\"",
    );
    assert_reason(
        fetch("git+http://2852039166/site.git//x").await,
        "connecting to 169.254.169.254 is forbidden",
    );
}

#[tokio::test]
async fn a_login_for_git_is_taken_from_the_credentials_file() {
    let Some(nginx) = Nginx::start_with_git() else {
        return;
    };
    Forge::new(&nginx.home().join("repositories/site.git"));
    let url = format!("git+{}", nginx.url("private-git/site.git//site.ign"))
        .replace("127.0.0.1", "alice@127.0.0.1");
    assert_reason(fetch(&url).await, "the repository refuses access: ");
    let file = nginx.home().join("netrc");
    fs::write(&file, "machine 127.0.0.1 login alice password hunter2").unwrap();
    let answer = fetch_with(&url, |settings| settings.credentials = Some(file.clone()))
        .await
        .unwrap();
    assert_eq!(text_of(&answer), "{\"on\": \"main\"}");
    fs::write(&file, "machine 127.0.0.1 login alice password hunter22").unwrap();
    let outcome = fetch_with(&url, |settings| settings.credentials = Some(file)).await;
    assert_reason(outcome, "the repository refuses access: ");
}

#[tokio::test]
async fn a_new_commit_is_noticed_and_only_what_is_needed_is_kept() {
    let (_home, forge, _) = forge_on_disk();
    forge.configure("uploadpack.allowFilter", "true");
    let ballast: String = (0..200_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_string())
        .collect();
    forge.commit("ballast", &ballast);
    let (daemon, port) = daemon(&forge);
    let url = upstream(&format!("git://127.0.0.1:{port}/site.git//site.ign"));
    let home = tempfile::tempdir().unwrap();
    let upstreams = Upstreams::open(settings(home.path())).unwrap();

    let first = upstreams.get(&url, Duration::ZERO).await.unwrap();
    let again = upstreams.get(&url, Duration::ZERO).await.unwrap();
    assert_eq!(
        again.fetched.fetched_at, first.fetched.fetched_at,
        "not fetched again"
    );
    let commit = forge.commit("site.ign", "changed");
    let changed = upstreams.get(&url, Duration::ZERO).await.unwrap();
    assert_eq!(
        (text_of(&changed), &changed.fetched.revision),
        ("changed", &commit)
    );
    assert!(
        size_of(home.path()) < 100_000,
        "{} bytes are kept",
        size_of(home.path())
    );

    drop(daemon);
    let stale = upstreams.get(&url, Duration::ZERO).await.unwrap();
    assert_eq!(text_of(&stale), "changed");
    let reason = stale.stale.unwrap().reason;
    assert!(matches!(reason.fault, Fault::Connect { .. }), "{reason}");
    upstreams.close().await;
}

fn size_of(directory: &std::path::Path) -> u64 {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                size_of(&entry.path())
            } else {
                metadata.len()
            }
        })
        .sum()
}

#[tokio::test]
async fn a_file_that_is_withdrawn_is_not_served_any_more() {
    let (_home, forge, url) = forge_on_disk();
    let url = upstream(&format!("{url}//site.ign"));
    let home = tempfile::tempdir().unwrap();
    let upstreams = Upstreams::open(settings(home.path())).unwrap();
    upstreams.get(&url, Duration::ZERO).await.unwrap();
    fs::remove_file(forge.work().join("site.ign")).unwrap();
    fs::write(forge.work().join("other.ign"), "{}").unwrap();
    forge.commit_all();
    let error = upstreams.get(&url, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.class(), FaultClass::Absent);
    upstreams.close().await;
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_git_ends_with_all_it_has_started() {
    let server = Scripted::start(&[holding("")]).await;
    let url = server.url("site.git//x");
    let outcome = fetch_with(&url, |settings| {
        settings.limits.timeout = Duration::from_millis(500);
    })
    .await;
    assert_eq!(outcome.as_ref().unwrap_err().class(), FaultClass::TooSlow);
    assert_reason(outcome, "were over while talking to the repository");
    let place = format!("127.0.0.1:{}", server.port);
    eventually("git-remote-http is gone", || !is_running(&place));
}

/// Whether any program has `text` in its arguments.
fn is_running(text: &str) -> bool {
    fs::read_dir("/proc").unwrap().any(|entry| {
        let arguments = fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(text)
    })
}

#[tokio::test]
async fn what_an_interrupted_git_left_behind_is_made_anew() {
    let (_home, forge, url) = forge_on_disk();
    let home = tempfile::tempdir().unwrap();
    let settings = settings(home.path());
    let upstreams = Upstreams::open(settings.clone()).unwrap();
    let url = upstream(&format!("{url}//site.ign"));
    upstreams.get(&url, Duration::ZERO).await.unwrap();
    let repository = fs::read_dir(home.path().join("git"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::write(repository.join("shallow.lock"), "").unwrap();
    fs::write(repository.join("pilotlight-fetching"), "").unwrap();
    forge.commit("site.ign", "changed");
    let answer = upstreams.get(&url, Duration::ZERO).await.unwrap();
    assert_eq!(
        (text_of(&answer), answer.stale.is_some()),
        ("changed", false)
    );
    upstreams.close().await;
}

#[tokio::test]
async fn the_configuration_of_whoever_runs_the_head_is_not_used() {
    let (home, _forge, url) = forge_on_disk();
    fs::create_dir(home.path().join("git-home")).unwrap();
    let misleading = "[url \"file:///nowhere/\"]\n insteadOf = file:///\n";
    fs::write(home.path().join("git-home/.gitconfig"), misleading).unwrap();
    let upstreams = Upstreams::open(settings(home.path())).unwrap();
    let answer = upstreams
        .get(&upstream(&format!("{url}//site.ign")), HOUR)
        .await
        .unwrap();
    assert_eq!(text_of(&answer), "{\"on\": \"main\"}");
    upstreams.close().await;
}
