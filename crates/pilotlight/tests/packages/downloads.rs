//! What a download gives: the right file, whole, and all that clients rely on.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::built::{have, noise, package, sha256sum, succeed};
use crate::head::{Head, curl, run, until};

const PROGRAMS: &[&str] = &["rpmbuild", "dpkg-deb", "tar"];

/// A head with packages whose order only their own packaging system knows.
fn head() -> Option<Head> {
    if !have(PROGRAMS) {
        return None;
    }
    let mut head = Head::stopped("");
    let [rpm, deb, tar] = ["rpm", "deb", "tar"].map(|kind| head.packages(kind));
    for (version, architecture) in [
        ("1.9-1", "x86_64"),
        ("1.10~rc1-1", "x86_64"),
        ("1.10-1", "x86_64"),
        ("1.10-1", "aarch64"),
    ] {
        package("tool", version, architecture).rpm(&rpm);
    }
    package("epochal", "2.0-1", "noarch").rpm(&rpm);
    // In a directory of its own, under a name that says nothing.
    let newest = package("epochal", "1:1.0-1", "noarch").rpm(&rpm.join("site"));
    fs::rename(&newest, newest.with_file_name("unnamed.rpm")).unwrap();
    for (version, architecture) in [
        ("1.9-1", "amd64"),
        ("1.10~rc1-1", "amd64"),
        ("1.10-1", "amd64"),
        ("1.10-1", "arm64"),
    ] {
        package("tool", version, architecture).deb(&deb);
    }
    package("epochal", "2.0-1", "all").deb(&deb);
    package("epochal", "1:1.0-1", "all").deb(&deb);
    package("debian", "1-1", "all").deb(&deb);
    fs::create_dir_all(&tar).unwrap();
    let content = head.path("content");
    fs::write(&content, "of the site\n").unwrap();
    succeed(
        Command::new("tar")
            .arg("-czf")
            .arg(tar.join("site-3.0.tar.gz"))
            .arg("-C")
            .arg(content.parent().unwrap())
            .arg("content"),
    );
    head.start_again();
    head.wait_for_packages(&[
        "rpm/tool-1.9-1.x86_64.rpm",
        "rpm/tool-1.10~rc1-1.x86_64.rpm",
        "rpm/tool-1.10-1.x86_64.rpm",
        "rpm/tool-1.10-1.aarch64.rpm",
        "rpm/epochal-2.0-1.noarch.rpm",
        "rpm/site/unnamed.rpm",
        "deb/tool_1.9-1_amd64.deb",
        "deb/tool_1.10~rc1-1_amd64.deb",
        "deb/tool_1.10-1_amd64.deb",
        "deb/tool_1.10-1_arm64.deb",
        "deb/epochal_2.0-1_all.deb",
        "deb/epochal_1.0-1_all.deb",
        "deb/debian_1-1_all.deb",
        "tar/site-3.0.tar.gz",
    ]);
    Some(head)
}

/// What is asked for, below `download/`, and the file that it is.
const ASKED: &[(&str, &str)] = &[
    // An rpm for x86_64, if nothing is said.
    ("tool", "rpm/tool-1.10-1.x86_64.rpm"),
    ("rpm/tool", "rpm/tool-1.10-1.x86_64.rpm"),
    ("rpm/x86_64/tool", "rpm/tool-1.10-1.x86_64.rpm"),
    ("rpm/amd64/tool", "rpm/tool-1.10-1.x86_64.rpm"),
    ("rpm/aarch64/tool", "rpm/tool-1.10-1.aarch64.rpm"),
    ("rpm/arm64/tool", "rpm/tool-1.10-1.aarch64.rpm"),
    ("tool?arch=arm64", "rpm/tool-1.10-1.aarch64.rpm"),
    ("rpm/tool?arch=aarch64", "rpm/tool-1.10-1.aarch64.rpm"),
    ("tool?pkg=deb", "deb/tool_1.10-1_amd64.deb"),
    ("tool?pkg=deb&arch=aarch64", "deb/tool_1.10-1_arm64.deb"),
    ("deb/amd64/tool", "deb/tool_1.10-1_amd64.deb"),
    // The path wins.
    ("deb/tool?pkg=rpm", "deb/tool_1.10-1_amd64.deb"),
    (
        "rpm/x86_64/tool?arch=arm64&pkg=deb",
        "rpm/tool-1.10-1.x86_64.rpm",
    ),
    // By name and version, and by file name.
    ("tool-1.9", "rpm/tool-1.9-1.x86_64.rpm"),
    ("tool-1.9-1", "rpm/tool-1.9-1.x86_64.rpm"),
    ("tool-1.10~rc1-1", "rpm/tool-1.10~rc1-1.x86_64.rpm"),
    ("tool-1.9-1.x86_64.rpm", "rpm/tool-1.9-1.x86_64.rpm"),
    ("tool-1.10-1.aarch64.rpm", "rpm/tool-1.10-1.aarch64.rpm"),
    ("deb/tool-1.9", "deb/tool_1.9-1_amd64.deb"),
    ("deb/tool-1.10%7Erc1-1", "deb/tool_1.10~rc1-1_amd64.deb"),
    ("deb/tool_1.9-1_amd64.deb", "deb/tool_1.9-1_amd64.deb"),
    ("unnamed.rpm", "rpm/site/unnamed.rpm"),
    // An epoch counts more than a version, and what runs everywhere runs here.
    ("epochal", "rpm/site/unnamed.rpm"),
    ("rpm/arm64/epochal", "rpm/site/unnamed.rpm"),
    ("epochal-2.0-1", "rpm/epochal-2.0-1.noarch.rpm"),
    ("deb/epochal", "deb/epochal_1.0-1_all.deb"),
    ("deb/arm64/epochal", "deb/epochal_1.0-1_all.deb"),
    // Tars: an administrator's, and those made of rpms.
    ("tar/site", "tar/site-3.0.tar.gz"),
    ("site?pkg=tgz", "tar/site-3.0.tar.gz"),
    ("tar.gz/site-3.0", "tar/site-3.0.tar.gz"),
    ("tar/arm64/site-3.0.tar.gz", "tar/site-3.0.tar.gz"),
    ("tar/tool", "tar/tool-1.10-1.x86_64.tar.gz"),
    ("tgz/tool", "tar/tool-1.10-1.x86_64.tar.gz"),
    ("tool?pkg=tar.gz", "tar/tool-1.10-1.x86_64.tar.gz"),
    ("tar.gz/arm64/tool", "tar/tool-1.10-1.aarch64.tar.gz"),
    ("tar/tool-1.9-1", "tar/tool-1.9-1.x86_64.tar.gz"),
    (
        "tar/tool-1.9-1.x86_64.tar.gz",
        "tar/tool-1.9-1.x86_64.tar.gz",
    ),
    ("tar/epochal", "tar/epochal-1.0-1.noarch.tar.gz"),
];

#[test]
fn every_way_to_ask_gives_the_right_package() {
    let Some(head) = head() else { return };
    for (asked, file) in ASKED {
        for endpoint in ["/install/client/download", "/download"] {
            let reply = head.get(&format!("{endpoint}/{asked}"));
            assert_eq!(reply.status, 200, "{asked}: {reply:?}");
            let name = file.rsplit('/').next().unwrap();
            assert_eq!(
                reply.header("Content-Disposition"),
                Some(format!("attachment; filename=\"{name}\"").as_str()),
                "{asked}"
            );
            let expected = fs::read(head.packages(file)).unwrap();
            assert!(reply.body == expected, "{asked}: not the bytes of {file}");
        }
    }
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let Some(head) = head() else { return };
    for (asked, status, told) in [
        (
            "zip/tool",
            400,
            &["zip", "rpm", "deb", "tar", "tgz", "tar.gz"][..],
        ),
        (
            "tool?pkg=zip",
            400,
            &["zip", "rpm", "deb", "tar", "tgz", "tar.gz"],
        ),
        (
            "rpm/sparc/tool",
            400,
            &["sparc", "x86_64", "amd64", "aarch64", "arm64"],
        ),
        (
            "tool?arch=sparc",
            400,
            &["sparc", "x86_64", "amd64", "aarch64", "arm64"],
        ),
        (
            "nothing",
            404,
            &["nothing", "rpm", "x86_64", "tool", "epochal"],
        ),
        (
            "tool-2.0",
            404,
            &[
                "tool-2.0",
                "rpm/tool-1.10-1.x86_64.rpm",
                "rpm/tool-1.9-1.x86_64.rpm",
            ],
        ),
        (
            "deb/arm64/tool-1.9",
            404,
            &["deb", "aarch64", "tool-1.9", "deb/tool_1.10-1_arm64.deb"],
        ),
        // No tar is made of a deb.
        ("tar/debian", 404, &["tar", "debian", "site", "tool"]),
        ("tar/nothing", 404, &["tar", "nothing", "site", "tool"]),
        (
            "rpm/x86_64/sub/tool",
            404,
            &["KIND", "ARCHITECTURE", "NAME"],
        ),
        ("rpm/..%2F..%2Fadmin_pass", 400, &[".."]),
        (
            "tar/site-3.0.tar",
            404,
            &["site-3.0.tar", "tar/site-3.0.tar.gz"],
        ),
    ] {
        let reply = head.get(&format!("/install/client/download/{asked}"));
        assert_eq!(reply.status, status, "{asked}: {reply:?}");
        for word in told {
            assert!(reply.text().contains(word), "{asked}: no {word}: {reply:?}");
        }
    }
}

#[test]
fn a_download_has_the_header_that_clients_rely_on() {
    let Some(head) = head() else { return };
    let file = head.packages("rpm/tool-1.10-1.x86_64.rpm");
    let hex = sha256sum(&file);
    let digest = (0..64)
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    let digest = format!("sha-256=:{}:", STANDARD.encode(digest.collect::<Vec<_>>()));
    let size = fs::metadata(&file).unwrap().len().to_string();

    let got = head.get("/download/tool");
    let url = head.url("/download/tool");
    let headed = curl(["--head", &url]);
    for reply in [&got, &headed] {
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("Repr-Digest"), Some(digest.as_str()));
        assert_eq!(reply.header("Content-Length"), Some(size.as_str()));
        assert_eq!(reply.header("Accept-Ranges"), Some("bytes"));
        assert_eq!(
            reply.header("Content-Type"),
            Some("application/octet-stream")
        );
        assert_eq!(reply.header("X-Package-Scriptlets"), None);
        assert!(reply.header("Last-Modified").is_some());
    }
    assert_eq!(got.header("ETag"), headed.header("ETag"));
    assert!(got.header("ETag").is_some_and(|tag| tag.starts_with('"')));

    // What a client has already is not sent again, and a part of it is a part of this very file.
    let tag = got.header("ETag").unwrap();
    let known = curl(["-H", &format!("If-None-Match: {tag}"), &url]);
    assert_eq!((known.status, known.body.len()), (304, 0));
    let date = got.header("Last-Modified").unwrap();
    let known = curl(["-H", &format!("If-Modified-Since: {date}"), &url]);
    assert_eq!((known.status, known.body.len()), (304, 0));
    let part = curl(["--range", "10-19", &url]);
    assert_eq!((part.status, &part.body[..]), (206, &got.body[10..20]));
    assert_eq!(part.header("Repr-Digest"), Some(digest.as_str()));
    let beyond = curl(["--range", &format!("{size}-"), &url]);
    assert_eq!(beyond.status, 416);
}

/// The command lines of clients that go on with what `$file` has of `$url`.
const RESUMERS: [(&str, &str); 3] = [
    ("curl", "curl -sSf -C - -o \"$file\" \"$url\""),
    ("wget", "wget -q --no-proxy -c -O \"$file\" \"$url\""),
    ("busybox", "busybox wget -q -c -O \"$file\" \"$url\""),
];

fn fetch(command: &str, url: &str, file: &Path) -> Output {
    run(Command::new("sh")
        .args(["-c", command])
        .env("url", url)
        .env("file", file)
        .env_remove("http_proxy"))
}

#[test]
fn clients_go_on_with_a_download_that_broke_off() {
    if !have(&["rpmbuild"]) {
        return;
    }
    let head = Head::start();
    let noise = noise(3_000_000);
    package("large", "1-1", "noarch")
        .with_content(&noise)
        .rpm(&head.packages("rpm"));
    head.wait_for_packages(&["rpm/large-1-1.noarch.rpm"]);
    let whole = fs::read(head.packages("rpm/large-1-1.noarch.rpm")).unwrap();
    for asked in ["large", "tar/large"] {
        let url = head.url(&format!("/install/client/download/{asked}"));
        let whole = match asked {
            "large" => whole.clone(),
            _ => head.get(&format!("/install/client/download/{asked}")).body,
        };
        for (client, resume) in RESUMERS {
            if !have(&[client]) {
                continue;
            }
            let file = head.path(client);
            for part in [1, 1_234_567, whole.len() - 1] {
                fs::write(&file, &whole[..part]).unwrap();
                let output = fetch(resume, &url, &file);
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{client} {asked} {part}: {said}");
                let got = fs::read(&file).unwrap();
                assert!(got == whole, "{client} {asked} {part}: another file");
            }
        }
    }
    let resumed = head.ledger("status=206").len();
    assert!(resumed >= 6, "{resumed} were resumed");
}

#[test]
fn a_package_that_was_replaced_is_not_gone_on_with() {
    if !have(&["rpmbuild"]) {
        return;
    }
    let head = Head::start();
    let file = head.path("built");
    let build = |content: &[u8]| {
        package("changing", "1-1", "noarch")
            .with_content(content)
            .rpm(&file)
    };
    let (old, new) = (noise(100_000), noise(100_008));
    head.cli(["package", "add", build(&old).to_str().unwrap()]);
    let url = head.url("/download/changing");
    // A date is told once its second is over: until then it is no proof.
    let before = until("it has a date", || {
        let reply = head.get("/download/changing");
        reply.header("Last-Modified").is_some().then_some(reply)
    });
    let if_range = |validator: &str| {
        let if_range = format!("If-Range: {validator}");
        curl(["--range", "50000-", "-H", &if_range, &url])
    };
    let [tag, date] = ["ETag", "Last-Modified"].map(|name| before.header(name).unwrap());
    for validator in [tag, date] {
        let part = if_range(validator);
        assert_eq!(part.status, 206, "{validator}");
        assert!(part.body == before.body[50_000..], "{validator}");
    }

    let replaced = build(&new[8..]);
    head.cli(["package", "add", replaced.to_str().unwrap()]);
    let replaced = fs::read(replaced).unwrap();
    assert!(replaced != before.body);
    for validator in [tag, date] {
        let reply = if_range(validator);
        assert_eq!(reply.status, 200, "{validator}");
        assert!(reply.body == replaced, "{validator}");
    }
}
