//! Who may ask, and what is answered.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use heads::authority;
use heads::exchange::{ExchangeError, Peer, Peers};
use heads::identity::Identity;
use model::{FilePath, Sha256Digest, Tree};

use crate::cluster::{Cluster, Head, identity, uid};

async fn run(mut command: Command) -> Output {
    let run = move || command.stdin(Stdio::null()).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// A certificate in files, as other programs want it.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn of(identity: &Identity) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("ca", &identity.authority),
            ("cert", &identity.certificate),
            ("key", &identity.key),
        ] {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What curl gets with this certificate: the status and the body; or why not.
    async fn curl(&self, head: &Head, path: &str, more: &[&str]) -> Result<String, String> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--path-as-is", "-w", "%{http_code} ", "--cacert"])
            .arg(self.path("ca"))
            .arg("--cert")
            .arg(self.path("cert"))
            .arg("--key")
            .arg(self.path("key"))
            .args(more)
            .arg(format!("https://{}{path}", head.address));
        let output = run(curl).await;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_heads_and_admitted_machines_are_answered() {
    let cluster = Cluster::new().await;
    let head = cluster.head(1).await;
    cluster.enlist(2, head.address).await;
    let second = Files::of(&cluster.identity(2));
    let stranger = Files::of(&cluster.identity(3));

    let answer = second.curl(&head, "/status", &[]).await.unwrap();
    assert!(answer.contains("\"conflicts\":3"), "{answer}");
    assert!(answer.ends_with("200 "), "{answer}");

    let answer = stranger.curl(&head, "/status", &[]).await.unwrap();
    assert!(answer.ends_with("403 "), "{answer}");
    head.admissions.admit(uid(3));
    let answer = stranger.curl(&head, "/status", &[]).await.unwrap();
    assert!(answer.ends_with("200 "), "{answer}");

    // Connected, and then removed.
    let peers = Peers::new(&cluster.identity(2)).unwrap();
    peers.status(&head.peer()).await.unwrap();
    cluster.remove(2).await;
    let error = peers.status(&head.peer()).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Refused { .. }), "{error}");
    let answer = second.curl(&head, "/status", &[]).await.unwrap();
    assert!(answer.ends_with("403 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_of_the_authority_there_is_no_connection() {
    let cluster = Cluster::new().await;
    let head = cluster.head(1).await;
    let files = Files::of(&cluster.identity(1));
    let foreign = identity(&authority::create("other").unwrap(), 1);

    // Of another authority, with the UID of a head.
    let mixed = Files::of(&Identity {
        authority: cluster.authority.certificate.clone(),
        ..foreign.clone()
    });
    let error = mixed.curl(&head, "/status", &[]).await.unwrap_err();
    assert!(error.contains("alert"), "{error}");

    let mut openssl = Command::new("openssl");
    openssl
        .args(["s_client", "-brief", "-ign_eof", "-connect"])
        .arg(head.address.to_string())
        .arg("-CAfile")
        .arg(files.path("ca"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let none = tokio::task::spawn_blocking(move || {
        let mut child = openssl.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may have been refused before.
        let _ = stdin.write_all(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
        drop(stdin);
        child.wait_with_output().unwrap()
    });
    let none = none.await.unwrap();
    let said = String::from_utf8_lossy(&none.stderr);
    assert!(said.contains("certificate required"), "{said}");
    assert_eq!(String::from_utf8_lossy(&none.stdout), "");

    let plain = "GET /status HTTP/1.0\r\n\r\n";
    let stream = tokio::net::TcpStream::connect(head.address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    tokio::io::AsyncWriteExt::write_all(&mut write, plain.as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));

    // And the other way round: a head does not ask what another authority vouches for.
    let peers = Peers::new(&foreign).unwrap();
    let error = peers.status(&head.peer()).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Handshake { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_answers_for_another_is_not_believed() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.head(1).await, cluster.head(2).await);
    let wrong = Peer {
        uid: uid(2),
        ..first.peer()
    };
    let error = second.peers.status(&wrong).await.unwrap_err();
    assert!(
        matches!(error, ExchangeError::OtherHead { found: Some(found), .. } if found == uid(1)),
        "{error}"
    );
    let right = second.peers.status(&first.peer()).await.unwrap();
    assert_eq!(right.uid, uid(1));
    let address = first.address;
    let peer = first.peer();
    first.stop().await;
    let error = second.peers.status(&peer).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains(&format!("head \"head1\" ({address})")),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_given_in_the_version_that_is_asked_for() {
    let cluster = Cluster::new().await;
    let head = cluster.head(1).await;
    let files = Files::of(&head.identity);
    let path = FilePath::new(Tree::Kickstarts, "rack 1/ü%41?.ks");
    let content = head.local.put(&path, b"0123456789");
    let url = "/content/kickstarts/rack%201/%C3%BC%2541%3F.ks";
    let tag = |sha256: Sha256Digest| format!("If-Match: \"{sha256}\"");
    let right = tag(content.sha256);
    let outside = FilePath::new(Tree::Kickstarts, "../outside");
    let secret = head.local.put(&outside, b"secret");

    for (url, more, expected) in [
        (url, vec!["-H", &right], "0123456789200 "),
        (url, vec!["-H", &right, "-H", "Range: bytes=7-"], "789206 "),
        (url, vec!["-H", &right, "-H", "Range: bytes=10-"], "416 "),
        (url, vec!["-H", &tag(Sha256Digest::of(b"x"))], "412 "),
        (url, vec![], "428 "),
        (url, vec!["-H", &right, "-X", "PUT"], "405 "),
        ("/content/kickstarts/none", vec!["-H", &right], "404 "),
        ("/content/kickstarts/rack%201", vec!["-H", &right], "404 "),
        (
            "/content/kickstarts/..%2Foutside",
            vec!["-H", &tag(secret.sha256)],
            "404 ",
        ),
        (
            "/content/kickstarts/../outside",
            vec!["-H", &tag(secret.sha256)],
            "404 ",
        ),
        ("/content/elsewhere/x", vec!["-H", &right], "404 "),
        ("/reports?since=7", vec![], r#"{"last":8,"reports":{}}200 "#),
        ("/reports?after=1", vec![], "400 "),
        ("/elsewhere", vec![], "404 "),
    ] {
        let answer = files.curl(&head, url, &more).await.unwrap();
        let is_right = match expected.len() {
            // A refusal says why before its status.
            4 => answer.ends_with(expected),
            _ => answer == expected,
        };
        assert!(is_right, "{url} {more:?}: {answer}");
    }

    let mut stream = (head.peers)
        .open_content(&head.peer(), &path, content.sha256, 4)
        .await
        .unwrap();
    assert_eq!(stream.len(), 6);
    assert_eq!(stream.next().await.unwrap().unwrap(), "456789");
    assert_eq!(stream.next().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_is_handed_over_whole() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.head(1).await, cluster.head(2).await);
    let path = cluster.home.path().join("bin/etcd");
    let error = second.peers.etcd_program(&first.peer(), &path).await;
    assert!(matches!(error, Err(ExchangeError::Absent { .. })));

    *first.local.etcd.lock().unwrap() = Some("/bin/true".into());
    second
        .peers
        .etcd_program(&first.peer(), &path)
        .await
        .unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read("/bin/true").unwrap());
    assert!(run(Command::new(&path)).await.status.success());
}
