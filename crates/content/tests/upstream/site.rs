//! A head's side of the tests: settings that permit loopback, and what is asked of them.

use std::path::Path;
use std::time::Duration;

use content::upstream::{
    Answer, FetchPolicy, Source, Upstream, UpstreamError, UpstreamSettings, Upstreams,
};

pub(crate) const ALL_SCHEMES: [&str; 7] = [
    "http",
    "https",
    "git",
    "git+http",
    "git+https",
    "git+ssh",
    "git+file",
];

/// Long enough that no test reaches it.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn loopback() -> FetchPolicy {
    FetchPolicy::new(&["127.0.0.0/8"], &ALL_SCHEMES).unwrap()
}

/// Settings under which nothing but what a test is about ends a wait.
pub(crate) fn settings(directory: &Path) -> UpstreamSettings {
    let mut settings = UpstreamSettings::new(directory.to_owned(), loopback());
    settings.limits.timeout = Duration::from_secs(60);
    settings.patience = HOUR;
    settings.failure_memory = Duration::ZERO;
    settings
}

pub(crate) fn upstream(text: &str) -> Upstream {
    match Source::parse(text).unwrap() {
        Source::Upstream(upstream) => upstream,
        other => panic!("{text} is {other:?}"),
    }
}

/// Fetches once, with a head of its own.
pub(crate) async fn fetch_with(
    text: &str,
    change: impl FnOnce(&mut UpstreamSettings),
) -> Result<Answer, UpstreamError> {
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    change(&mut settings);
    let upstreams = Upstreams::open(settings).unwrap();
    let answer = upstreams.get(&upstream(text), HOUR).await;
    upstreams.close().await;
    answer
}

pub(crate) async fn fetch(text: &str) -> Result<Answer, UpstreamError> {
    fetch_with(text, |_| ()).await
}

pub(crate) fn text_of(answer: &Answer) -> &str {
    str::from_utf8(&answer.fetched.bytes).unwrap()
}

/// Asserts that the error's reason is told with `reason`, and after the upstream.
pub(crate) fn assert_reason(outcome: Result<Answer, UpstreamError>, reason: &str) {
    let error = outcome.unwrap_err();
    let told = error.to_string();
    assert!(told.starts_with(&format!("{}: ", error.upstream)), "{told}");
    assert!(
        error.fault.to_string().contains(reason),
        "{told}\nlacks: {reason}"
    );
    assert!(!told.contains("hunter2"), "{told}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}
