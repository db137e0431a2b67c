//! `/packages` and `pilotlight package`: what administrators see of packages, and do with them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::built::{have, noise, package, sha256sum};
use crate::files_below;
use crate::head::{Head, Reply, curl, until};

/// Where the tests' packages are built.
fn built(head: &Head) -> PathBuf {
    head.path("built")
}

fn upload(head: &Head, file: &str, content: &Path, options: &[&str]) -> Reply {
    let body = format!("@{}", content.display());
    let options = [&["-H", "Expect:", "--data-binary", &body], options].concat();
    head.api_with("PUT", &format!("/packages/{file}"), &options)
}

#[test]
fn packages_are_added_listed_shown_converted_and_removed() {
    if !have(&["rpmbuild", "dpkg-deb"]) {
        return;
    }
    let head = Head::start();
    let rpm = package("tool", "2:1.0-3", "x86_64")
        .with_scriptlets("%post\ntrue\n%preun\ntrue")
        .rpm(&built(&head));
    let deb = package("tool", "1.0-3", "arm64").deb(&built(&head));
    let said = head.cli(["package", "add", rpm.to_str().unwrap()]);
    assert_eq!(said, "package rpm/tool-1.0-3.x86_64.rpm stored\n");
    let deb = deb.to_str().unwrap();
    let said = head.cli(["package", "add", "--directory", "site/lab", deb]);
    assert_eq!(said, "package deb/site/lab/tool_1.0-3_arm64.deb stored\n");

    let list = head.done("package list name=tool");
    for words in [
        ["tool", "1.0", "3", "x86_64", "rpm", "tool-1.0-3.x86_64.rpm"],
        [
            "tool",
            "1.0",
            "3",
            "arm64",
            "deb",
            "site/lab/tool_1.0-3_arm64.deb",
        ],
    ] {
        let line = list.lines().find(|line| line.contains(words[5]));
        let line = line.unwrap_or_else(|| panic!("no {} in\n{list}", words[5]));
        for word in words {
            assert!(line.split_whitespace().any(|shown| shown == word), "{line}");
        }
    }
    assert!(!head.done("package list type=deb").contains(".rpm"));

    // What is listed is what rpm itself would say, and the same by file and by id.
    let shown = head.package("rpm/tool-1.0-3.x86_64.rpm").unwrap();
    for (field, value) in [
        ("name", json!("tool")),
        ("epoch", json!(2)),
        ("version", json!("1.0")),
        ("release", json!("3")),
        ("arch", json!("x86_64")),
        ("type", json!("rpm")),
        ("sha256", json!(sha256sum(&rpm))),
        ("size", json!(fs::metadata(&rpm).unwrap().len())),
        ("scriptlets", json!(["post", "preun"])),
        ("conversion", json!({"state": "idle"})),
    ] {
        assert_eq!(shown[field], value, "{shown}");
    }
    let id = shown["id"].as_str().unwrap();
    assert_eq!(head.package(id), Some(shown.clone()));
    let by_cli = head.done("--json package show rpm/tool-1.0-3.x86_64.rpm");
    assert_eq!(by_cli.parse::<serde_json::Value>().unwrap(), shown);

    let said = head.done("package convert rpm/tool-1.0-3.x86_64.rpm");
    assert_eq!(said, "made tar/tool-1.0-3.x86_64.tar.gz\n");
    let state = head.package(id).unwrap()["conversion"].take();
    assert_eq!(
        state,
        json!({"state": "done", "tar": "tool-1.0-3.x86_64.tar.gz"})
    );
    let tar = head.get("/download/tar/tool");
    assert_eq!(tar.header("X-Package-Scriptlets"), Some("post, preun"));
    let made = head.package("tar/tool-1.0-3.x86_64.tar.gz").unwrap();
    assert_eq!(made["made_of"], shown["sha256"]);
    // The log names them, too.
    head.log_lines("no tar runs the scriptlets of the rpm", 1);

    let said = head.failed("package convert deb/site/lab/tool_1.0-3_arm64.deb");
    assert!(said.contains("no whole rpm"), "{said}");
    head.done("package rm rpm/tool-1.0-3.x86_64.rpm deb/site/lab/tool_1.0-3_arm64.deb");
    assert_eq!(head.get("/download/tool").status, 404);
    assert!(!head.packages("rpm/tool-1.0-3.x86_64.rpm").exists());
    assert!(
        !head.packages("deb/site").exists(),
        "an empty directory stays"
    );
    let said = head.failed("package rm rpm/tool-1.0-3.x86_64.rpm");
    assert!(said.contains("tool-1.0-3.x86_64.rpm"), "{said}");
}

#[test]
fn what_is_no_package_is_not_stored() {
    if !have(&["rpmbuild", "dpkg-deb"]) {
        return;
    }
    let head = Head::with_config("[limits]\nupload = \"64KiB\"\n");
    let before = files_below(&head.data().join("clientpkgs"));
    let whole = package("tool", "1-1", "noarch").rpm(&built(&head));
    let whole = fs::read(whole).unwrap();
    let upload_of = |file: &str, content: &[u8], options: &[&str]| {
        let local = head.path("upload");
        fs::write(&local, content).unwrap();
        upload(&head, file, &local, options)
    };
    for (file, content, status, reason) in [
        ("rpm/tool.rpm", &b"no package"[..], 422, "rpm/tool.rpm"),
        (
            "rpm/new/tool.rpm",
            &whole[..whole.len() / 3],
            422,
            "rpm/new/tool.rpm",
        ),
        ("deb/tool.deb", &whole, 422, "deb/tool.deb"),
        ("tar/tool.tar.gz", b"no tar", 422, "tar/tool.tar.gz"),
        ("rpm/tool.deb", &whole, 400, ".rpm"),
        ("rpm/.tool.rpm", &whole, 400, "hidden"),
        ("zip/tool.zip", &whole, 404, "zip"),
    ] {
        let reply = upload_of(file, content, &[]);
        assert_eq!(reply.status, status, "{file}: {reply:?}");
        assert!(reply.refusal().contains(reason), "{file}: {reply:?}");
    }
    // Too large: as it declares itself, and as it turns out to be.
    let large = noise((64 << 10) + 1);
    for options in [&[][..], &["-H", "Transfer-Encoding: chunked"]] {
        let reply = upload_of("rpm/large.rpm", &large, options);
        assert_eq!(reply.refusal(), "413 the body is larger than 65536 bytes");
    }
    assert_eq!(files_below(&head.data().join("clientpkgs")), before);
    assert!(
        !head.packages("rpm/new").exists(),
        "an empty directory stays"
    );

    // One that is broken leaves the one that is there as it is.
    assert_eq!(upload_of("rpm/tool.rpm", &whole, &[]).status, 201);
    assert_eq!(upload_of("rpm/tool.rpm", b"no package", &[]).status, 422);
    assert!(head.get("/download/tool").body == whole);
    // And so does a condition that does not hold.
    let reply = upload_of("rpm/tool.rpm", &whole, &["-H", "If-None-Match: *"]);
    assert_eq!(reply.status, 412, "{reply:?}");
    assert_eq!(upload_of("rpm/tool.rpm", &whole, &[]).status, 200);
}

#[test]
fn only_administrators_see_and_change_packages() {
    let head = Head::start();
    let url = head.url("/packages/rpm/tool.rpm");
    for method in ["GET", "PUT", "DELETE"] {
        let reply = curl(["-X", method, &url]);
        assert_eq!(reply.status, 401, "{method}: {reply:?}");
    }
    let listed = head.api_as(&head.token(), "GET", "/packages", None);
    assert_eq!(listed.status, 200, "{listed:?}");
}

#[test]
fn what_is_copied_into_the_directory_is_noticed() {
    if !have(&["rpmbuild"]) {
        return;
    }
    let head = Head::start();
    assert_eq!(head.get("/download/tool").status, 404);
    let old = package("tool", "1-1", "noarch").rpm(&built(&head));
    let new = package("tool", "2-1", "noarch").rpm(&built(&head));
    let place = |file: &Path, at: &str| {
        fs::create_dir_all(head.packages(at).parent().unwrap()).unwrap();
        fs::copy(file, head.packages(at)).unwrap();
    };
    let served = |what: &str, file: &Path| {
        let whole = fs::read(file).unwrap();
        until(what, || {
            let reply = head.get("/download/tool");
            (reply.status == 200 && reply.body == whole).then_some(())
        });
    };
    place(&old, "rpm/tool-1.rpm");
    served("a package that was copied is served", &old);
    place(&new, "rpm/new/directory/tool-2.rpm");
    served("a newer one in a new directory is served", &new);

    // Half a package is listed with its fault when nobody writes to it any more, and never served.
    let next = package("tool", "3-1", "noarch").rpm(&built(&head));
    let whole = fs::read(&next).unwrap();
    let (half, rest) = whole.split_at(whole.len() / 2);
    let arriving = head.packages("rpm/tool-3-1.noarch.rpm");
    fs::write(&arriving, half).unwrap();
    let listed = until("half a package is listed", || {
        head.package("rpm/tool-3-1.noarch.rpm")
    });
    assert!(listed["fault"].is_string(), "{listed}");
    assert_eq!(listed.get("name"), None);
    let table = head.done("package list file=tool-3*");
    assert!(table.contains(listed["fault"].as_str().unwrap()), "{table}");
    assert!(head.get("/download/tool").body == fs::read(&new).unwrap());
    let reply = head.get("/download/tool-3-1.noarch.rpm");
    assert_eq!(reply.status, 404, "{reply:?}");
    assert!(reply.text().contains("broken"), "{reply:?}");
    // The rest comes after all.
    let mut arriving = fs::File::options().append(true).open(arriving).unwrap();
    arriving.write_all(rest).unwrap();
    drop(arriving);
    served("what is whole now is served", &next);

    // Taken away, it is gone; and what is older is the newest again.
    fs::remove_file(head.packages("rpm/tool-3-1.noarch.rpm")).unwrap();
    fs::remove_dir_all(head.packages("rpm/new")).unwrap();
    served("the older one is served again", &old);
}
