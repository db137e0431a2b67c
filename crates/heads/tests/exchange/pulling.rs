//! Pulling: from whichever head has the file, whatever happens on the way.

use std::fs;
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use heads::exchange::{PullError, RateLimit, Urgency};
use model::{FileContent, FilePath, Tree};

use crate::cluster::Cluster;
use crate::relay::Relay;

fn unlimited() -> RateLimit {
    RateLimit::new(None)
}

/// Bytes without a pattern that a shift would keep.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn package(name: &str) -> FilePath {
    FilePath::new(Tree::Clientpkgs, format!("rpm/{name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_arrives_whole_with_its_mode_and_time() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.head(1).await, cluster.head(2).await);
    let puller = second.puller(unlimited());
    for size in [0, 1, 256 * 1024, 20 << 20] {
        let (path, bytes) = (package(&format!("{size}.rpm")), bytes(size));
        let content = first.local.put(&path, &bytes);
        puller
            .pull(&path, &content, Urgency::Background)
            .await
            .unwrap();
        let at = second.local.path(&path);
        assert!(fs::read(&at).unwrap() == bytes, "{size}");
        let metadata = fs::metadata(&at).unwrap();
        assert_eq!(metadata.mode() & 0o7777, content.mode);
        let mtime = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
        assert_eq!(mtime, content.mtime);
        assert!(second.local.partials(&path).is_empty());
    }
    let status = puller.status();
    assert_eq!(
        (status.files, status.failures, status.running.len()),
        (4, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_after_every_cut() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.machine(1).await, cluster.head(2).await);
    // Handshake and all, somewhere between 100 kB and 1.1 MB.
    let cuts = |connection: usize| 100_000 + connection * 377_773 % 1_000_003;
    let relay = Relay::new(first.address, cuts).await;
    cluster.enlist(1, relay.address).await;
    let (path, bytes) = (package("a.rpm"), bytes(8 << 20));
    let content = first.local.put(&path, &bytes);
    let puller = second.puller(unlimited());
    puller
        .pull(&path, &content, Urgency::Background)
        .await
        .unwrap();
    assert!(fs::read(second.local.path(&path)).unwrap() == bytes);
    assert!(relay.connections() > 8, "{}", relay.connections());
    // Nothing came twice.
    assert_eq!(puller.status().bytes, content.size);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_head_goes_on_where_it_was() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.machine(1).await, cluster.head(2).await);
    let is_cut = Arc::new(AtomicBool::new(true));
    let cut = Arc::clone(&is_cut);
    let budget = move |connection: usize| match (cut.load(Ordering::SeqCst), connection) {
        (false, _) => usize::MAX,
        (true, 0) => 3 << 20,
        (true, _) => 0,
    };
    let relay = Relay::new(first.address, budget).await;
    cluster.enlist(1, relay.address).await;
    let (path, bytes) = (package("a.rpm"), bytes(8 << 20));
    let content = first.local.put(&path, &bytes);
    let puller = second.puller(unlimited());
    let error = puller
        .pull(&path, &content, Urgency::Background)
        .await
        .unwrap_err();
    assert!(matches!(error, PullError::NoSource { .. }), "{error}");
    assert!(!second.local.path(&path).exists());
    let [partial] = &second.local.partials(&path)[..] else {
        panic!("no partial file");
    };
    let on_disk = fs::metadata(partial).unwrap().len();
    assert!(on_disk > 2 << 20 && on_disk < 3 << 20, "{on_disk}");

    is_cut.store(false, Ordering::SeqCst);
    let puller = second.puller(unlimited());
    puller
        .pull(&path, &content, Urgency::Background)
        .await
        .unwrap();
    assert!(fs::read(second.local.path(&path)).unwrap() == bytes);
    assert_eq!(puller.status().bytes, content.size - on_disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_file_that_is_damaged_is_pulled_anew() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.head(1).await, cluster.head(2).await);
    let (path, bytes) = (package("unwanted.rpm"), bytes(1 << 20));
    let content = first.local.put(&path, &bytes);
    let puller = second.puller(unlimited());
    let error = puller
        .pull(&path, &content, Urgency::Background)
        .await
        .unwrap_err();
    assert!(matches!(&error, PullError::Publish { .. }), "{error}");
    assert!(error.to_string().contains("it was edited here"), "{error}");
    // What was not wanted stays, whole. Damaged, or longer than it may be, it is of no use.
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes[5] ^= 1,
        |bytes| bytes.truncate(1000),
        |bytes| bytes.push(0),
    ];
    for damage in damages {
        let [partial] = &second.local.partials(&path)[..] else {
            panic!("no partial file");
        };
        let mut damaged = bytes.clone();
        damage(&mut damaged);
        fs::write(partial, &damaged).unwrap();
        let error = puller
            .pull(&path, &content, Urgency::Background)
            .await
            .unwrap_err();
        assert!(matches!(&error, PullError::Publish { .. }), "{error}");
        assert!(fs::read(partial).unwrap() == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_thrown_away_and_another_head_is_asked() {
    let cluster = Cluster::new().await;
    let (right, own) = (cluster.head(1).await, cluster.head(2).await);
    let mut liars = Vec::new();
    for number in 3..6 {
        liars.push(cluster.head(number).await);
    }
    let puller = own.puller(unlimited());
    // Each of several files begins with another head.
    for number in 0..8 {
        let (path, bytes) = (package(&format!("{number}.rpm")), bytes(500_000 + number));
        let content = right.local.put(&path, &bytes);
        for liar in &liars {
            let mut other = bytes.clone();
            other[number] ^= 1;
            liar.local.put(&path, &other);
            liar.local.claim(&path, content.sha256);
        }
        puller
            .pull(&path, &content, Urgency::Background)
            .await
            .unwrap();
        assert!(fs::read(own.local.path(&path)).unwrap() == bytes);
    }
    assert!(puller.status().bytes > 8 * 500_000);

    let path = package("nobody.rpm");
    let content = right.local.put(&path, &bytes(1000));
    for head in [&right, &liars[0]] {
        head.local.put(&path, &[0; 1000]);
        head.local.claim(&path, content.sha256);
    }
    let error = puller
        .pull(&path, &content, Urgency::Background)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("sent other bytes"), "{error}");
    assert!(!own.local.path(&path).exists());

    // A record that nothing can fulfil.
    let impossible = FileContent { size: 0, ..content };
    let error = puller
        .pull(&path, &impossible, Urgency::Background)
        .await
        .unwrap_err();
    assert!(matches!(error, PullError::NoSource { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_two_heads_that_do_not_fit_are_not_mixed_again() {
    let cluster = Cluster::new().await;
    let (right, liar) = (cluster.machine(1).await, cluster.machine(3).await);
    let own = cluster.head(2).await;
    // Either head is cut after a third of the file at first, so that each gives a part of it.
    let cuts = |connection: usize| {
        if connection == 0 {
            1 << 20
        } else if connection < 3 {
            0
        } else {
            usize::MAX
        }
    };
    let relays = [
        Relay::new(right.address, cuts).await,
        Relay::new(liar.address, cuts).await,
    ];
    cluster.enlist(1, relays[0].address).await;
    cluster.enlist(3, relays[1].address).await;
    let (path, bytes) = (package("a.rpm"), bytes(3 << 20));
    let content = right.local.put(&path, &bytes);
    liar.local.put(&path, &vec![7; 3 << 20]);
    liar.local.claim(&path, content.sha256);
    let puller = own.puller(unlimited());
    // A caller's tries, until the relays let everything pass.
    for _ in 0..10 {
        if puller
            .pull(&path, &content, Urgency::Background)
            .await
            .is_ok()
        {
            break;
        }
    }
    assert!(fs::read(own.local.path(&path)).unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_head_costs_one_try_and_a_head_without_the_file_nothing() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.head(1).await, cluster.head(2).await);
    let dead = cluster.head(3).await;
    dead.stop().await;
    let _without = cluster.head(4).await;
    let puller = second.puller(unlimited());
    for number in 0..16 {
        let path = package(&format!("{number}.rpm"));
        let content = first.local.put(&path, &bytes(1000 + number));
        puller
            .pull(&path, &content, Urgency::Background)
            .await
            .unwrap();
    }
    let path = package("none.rpm");
    let content = FileContent {
        size: 10,
        ..first.local.put(&package("x.rpm"), b"x")
    };
    let error = puller
        .pull(&path, &content, Urgency::Awaited)
        .await
        .unwrap_err();
    let said = error.to_string();
    for part in [
        "\"clientpkgs/rpm/none.rpm\"",
        "does not have it",
        "cannot be reached",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_is_pulled_once_however_many_ask() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.head(1).await, cluster.head(2).await);
    let puller = second.puller(unlimited());
    let path = package("a.rpm");
    let content = first.local.put(&path, &bytes(4 << 20));
    let all = (0..50).map(|_| puller.pull(&path, &content, Urgency::Awaited));
    for outcome in join_all(all).await {
        outcome.unwrap();
    }
    assert_eq!(puller.status().bytes, content.size);
    assert_eq!(*second.local.published.lock().unwrap(), [path]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_small_files() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.head(1).await, cluster.head(2).await);
    let puller = second.puller(unlimited());
    let files: Vec<_> = (0..1000)
        .map(|number| {
            let path = FilePath::new(Tree::Kickstarts, format!("rack{}/{number}.ks", number % 7));
            let content = first
                .local
                .put(&path, format!("file {number}\n").as_bytes());
            (path, content)
        })
        .collect();
    let all = (files.iter()).map(|(path, content)| puller.pull(path, content, Urgency::Background));
    for outcome in join_all(all).await {
        outcome.unwrap();
    }
    for (number, (path, _)) in files.iter().enumerate() {
        let text = fs::read_to_string(second.local.path(path)).unwrap();
        assert_eq!(text, format!("file {number}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_awaited_does_not_queue_and_what_nobody_wants_stops() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.head(1).await, cluster.head(2).await);
    // So slow that nothing arrives while this test runs.
    let slow = second.puller(RateLimit::new(NonZeroU64::new(1)));
    let files: Vec<_> = (0..10)
        .map(|number| {
            let path = package(&format!("{number}.rpm"));
            let content = first.local.put(&path, &bytes(300_000 + number));
            (path, content)
        })
        .collect();
    let wanted: Vec<_> = files
        .iter()
        .map(|(path, content)| {
            let (slow, path, content) = (slow.clone(), path.clone(), *content);
            tokio::spawn(async move { slow.pull(&path, &content, Urgency::Background).await })
        })
        .collect();
    let status = async |running: usize, waiting: usize| loop {
        let status = slow.status();
        if (status.running.len(), status.waiting) == (running, waiting) {
            return status;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let running = status(4, 6).await.running;
    assert!(running.iter().all(|progress| progress.size >= 300_000));
    let (path, content) = &files[9];
    let awaited = tokio::spawn({
        let (slow, path, content) = (slow.clone(), path.clone(), *content);
        async move { slow.pull(&path, &content, Urgency::Awaited).await }
    });
    status(5, 5).await;
    for pull in wanted {
        pull.abort();
    }
    // The awaited one has somebody else who wants it.
    status(1, 0).await;
    assert_eq!(slow.status().running[0].path, *path);
    awaited.abort();
    status(0, 0).await;

    // A stop ends all.
    let pull = tokio::spawn({
        let (slow, path, content) = (slow.clone(), path.clone(), *content);
        async move { slow.pull(&path, &content, Urgency::Background).await }
    });
    status(1, 0).await;
    second.stop().await;
    assert!(matches!(pull.await.unwrap(), Err(PullError::Stopping)));
    slow.closed().await;
}
