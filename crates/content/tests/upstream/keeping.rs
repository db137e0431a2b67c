//! What is kept, for how long it is the answer, and what is asked of upstreams.

use std::fs;
use std::time::{Duration, SystemTime};

use content::upstream::{FaultClass, Upstreams};
use tokio::task::JoinSet;

use super::nginx::Nginx;
use super::scripted::{Scripted, closing, holding, ok};
use super::site::{HOUR, settings, text_of, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn many_askers_cause_one_fetch() {
    let Some(mut nginx) = Nginx::start() else {
        return;
    };
    nginx.put("site.ign", "{}");
    let home = tempfile::tempdir().unwrap();
    let upstreams = std::sync::Arc::new(Upstreams::open(settings(home.path())).unwrap());
    let url = upstream(&nginx.url("site.ign"));
    let mut askers = JoinSet::new();
    for _ in 0..200 {
        let (upstreams, url) = (upstreams.clone(), url.clone());
        askers.spawn(async move { upstreams.get(&url, HOUR).await });
    }
    while let Some(answer) = askers.join_next().await {
        assert_eq!(text_of(&answer.unwrap().unwrap()), "{}");
    }
    assert!(upstreams.try_cached(&url, HOUR).unwrap().is_ok());
    nginx.stop();
    assert_eq!(nginx.statuses(), ["200"]);
    upstreams.close().await;
}

#[tokio::test]
async fn a_file_is_revalidated_and_fetched_anew_only_if_it_changed() {
    let Some(mut nginx) = Nginx::start() else {
        return;
    };
    nginx.put("site.ign", "{}");
    let home = tempfile::tempdir().unwrap();
    let upstreams = Upstreams::open(settings(home.path())).unwrap();
    let url = upstream(&nginx.url("site.ign"));
    let first = upstreams.get(&url, Duration::ZERO).await.unwrap();
    let same = upstreams.get(&url, Duration::ZERO).await.unwrap();
    assert!(same.stale.is_none());
    assert_eq!(same.fetched.fetched_at, first.fetched.fetched_at);
    nginx.put("site.ign", "{\"changed\": true}");
    let changed = upstreams.get(&url, Duration::ZERO).await.unwrap();
    assert_eq!(text_of(&changed), "{\"changed\": true}");
    assert_ne!(changed.fetched.sha256, first.fetched.sha256);
    upstreams.close().await;
    nginx.stop();
    assert_eq!(nginx.statuses(), ["200", "304", "200"]);
}

#[tokio::test]
async fn the_last_good_copy_outlives_its_upstream_and_a_restart() {
    let Some(mut nginx) = Nginx::start() else {
        return;
    };
    nginx.put("site.ign", "{}");
    let home = tempfile::tempdir().unwrap();
    let url = upstream(&nginx.url("site.ign"));
    let upstreams = Upstreams::open(settings(home.path())).unwrap();
    let fresh = upstreams.get(&url, Duration::ZERO).await.unwrap();
    nginx.stop();
    let before = SystemTime::now();
    let stale = upstreams.get(&url, Duration::ZERO).await.unwrap();
    upstreams.close().await;

    let restarted = Upstreams::open(settings(home.path())).unwrap();
    let from_disk = restarted.get(&url, Duration::ZERO).await.unwrap();
    for answer in [stale, from_disk] {
        assert_eq!(answer.fetched.bytes, fresh.fetched.bytes);
        assert_eq!(answer.fetched.sha256, fresh.fetched.sha256);
        assert_eq!(answer.fetched.revision, fresh.fetched.revision);
        let stale = answer.stale.unwrap();
        assert!(
            stale.since <= before,
            "it was confirmed while the upstream was up"
        );
        assert!(
            stale.reason.to_string().contains("Connection refused"),
            "{}",
            stale.reason
        );
    }

    nginx.restart();
    let answer = restarted.get(&url, Duration::ZERO).await.unwrap();
    assert!(answer.stale.is_none());
    restarted.close().await;
    nginx.stop();
    assert_eq!(
        nginx.statuses(),
        ["200", "304"],
        "the copy on disk was only revalidated"
    );
}

#[tokio::test]
async fn a_damaged_copy_is_not_served() {
    let server = Scripted::start(&[ok("good")]).await;
    let url = upstream(&server.url("x"));
    let home = tempfile::tempdir().unwrap();
    let upstreams = Upstreams::open(settings(home.path())).unwrap();
    upstreams.get(&url, HOUR).await.unwrap();
    upstreams.close().await;
    drop(server);
    let copy = fs::read_dir(home.path().join("copies"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut content = fs::read(&copy).unwrap();
    *content.last_mut().unwrap() ^= 1;
    fs::write(&copy, content).unwrap();
    let upstreams = Upstreams::open(settings(home.path())).unwrap();
    let error = upstreams.get(&url, HOUR).await.unwrap_err();
    assert!(error.to_string().contains("Connection refused"), "{error}");
    upstreams.close().await;
}

#[tokio::test]
async fn a_file_that_its_upstream_withdraws_is_gone_even_when_it_goes_down_later() {
    let gone = closing("HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n");
    let server = Scripted::start(&[ok("good"), gone]).await;
    let url = upstream(&server.url("x"));
    let home = tempfile::tempdir().unwrap();
    let upstreams = Upstreams::open(settings(home.path())).unwrap();
    upstreams.get(&url, Duration::ZERO).await.unwrap();
    let error = upstreams.get(&url, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.class(), FaultClass::Absent);
    drop(server);
    let error = upstreams.get(&url, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.class(), FaultClass::Failed);
    upstreams.close().await;
    assert_eq!(fs::read_dir(home.path().join("copies")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_while() {
    let broken = closing("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    let server = Scripted::start(&[broken, ok("good")]).await;
    let url = upstream(&server.url("x"));
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    settings.failure_memory = HOUR;
    let upstreams = Upstreams::open(settings.clone()).unwrap();
    for _ in 0..10 {
        let error = upstreams.get(&url, Duration::ZERO).await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("the server answered with status 500"),
            "{error}"
        );
    }
    assert_eq!(server.requests().len(), 1);
    upstreams.close().await;
    settings.failure_memory = Duration::ZERO;
    let upstreams = Upstreams::open(settings).unwrap();
    assert_eq!(
        text_of(&upstreams.get(&url, Duration::ZERO).await.unwrap()),
        "good"
    );
    upstreams.close().await;
}

#[tokio::test]
async fn one_who_asks_a_slow_upstream_is_not_kept_waiting() {
    let server = Scripted::start(&[ok("good"), holding("")]).await;
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    settings.patience = Duration::from_millis(200);
    let upstreams = Upstreams::open(settings).unwrap();
    let known = upstream(&server.url("known"));
    // The first fetch may be slower than that on a busy machine.
    while upstreams.get(&known, HOUR).await.is_err() {}

    let stale = upstreams.get(&known, Duration::ZERO).await.unwrap();
    assert_eq!(text_of(&stale), "good");
    assert_eq!(stale.stale.unwrap().reason.class(), FaultClass::NotYet);
    let error = upstreams
        .get(&upstream(&server.url("unknown")), HOUR)
        .await
        .unwrap_err();
    assert_eq!(error.class(), FaultClass::NotYet);
    assert!(
        error
            .to_string()
            .ends_with("the upstream has not answered yet; the fetch goes on"),
        "{error}"
    );
    // The fetches under way would take a minute.
    upstreams.close().await;
    let error = upstreams
        .get(&upstream(&server.url("unknown")), HOUR)
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("this head is shutting down"),
        "{error}"
    );
    assert_eq!(
        text_of(&upstreams.get(&known, Duration::ZERO).await.unwrap()),
        "good"
    );
}

#[tokio::test]
async fn what_comes_after_the_patience_of_the_first_is_there_for_the_next() {
    let server = Scripted::start(&[ok("good")]).await;
    let url = upstream(&server.url("x"));
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    settings.patience = Duration::ZERO;
    let upstreams = Upstreams::open(settings).unwrap();
    let first = upstreams.get(&url, HOUR).await.unwrap_err();
    assert_eq!(first.class(), FaultClass::NotYet);
    loop {
        match upstreams.get(&url, HOUR).await {
            Ok(answer) => break assert_eq!(text_of(&answer), "good"),
            Err(error) => assert_eq!(error.class(), FaultClass::NotYet, "{error}"),
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(server.requests().len(), 1);
    upstreams.close().await;
}

#[tokio::test]
async fn what_was_unused_for_longest_is_forgotten_first() {
    let server = Scripted::start(&[ok("1234")]).await;
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    settings.keep.files = 2;
    let upstreams = Upstreams::open(settings).unwrap();
    for name in ["a", "b", "a", "c"] {
        upstreams
            .get(&upstream(&server.url(name)), HOUR)
            .await
            .unwrap();
    }
    upstreams.close().await;
    let is_known = |name| {
        upstreams
            .try_cached(&upstream(&server.url(name)), HOUR)
            .is_some()
    };
    assert_eq!(["a", "b", "c"].map(is_known), [true, false, true]);
    assert_eq!(fs::read_dir(home.path().join("copies")).unwrap().count(), 2);
}
