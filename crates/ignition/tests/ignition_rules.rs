//! Each rule of the specification: a config that breaks it, and what is said about that, where, and since when.

use ignition::{Config, Diagnostic, Version};

/// What is found in a config with these sections, as `severity path`, in order of the paths.
fn found(version: Version, sections: &str) -> Vec<String> {
    let mut found: Vec<String> = diagnostics(version, sections)
        .iter()
        .map(|found| {
            format!(
                "{} {}",
                found.severity,
                found
                    .path
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            )
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn diagnostics(version: Version, sections: &str) -> Vec<Diagnostic> {
    let text = match sections.strip_prefix("\"ignition\": {") {
        Some(rest) => format!(r#"{{"ignition": {{"version": "{version}", {rest}}}"#),
        None => format!(r#"{{"ignition": {{"version": "{version}"}}, {sections}}}"#),
    };
    match Config::parse(text.as_bytes()) {
        Ok(config) => config.warnings().to_vec(),
        Err(found) => found,
    }
}

fn storage(section: &str) -> String {
    format!(r#""storage": {{{section}}}"#)
}

#[track_caller]
fn assert_since(since: Version, sections: &str, expected: &[&str]) {
    for version in Version::ALL {
        let expected = if version >= since { expected } else { &[] };
        assert_eq!(found(version, sections), expected, "{version}: {sections}");
    }
}

#[track_caller]
fn assert_always(sections: &str, expected: &[&str]) {
    assert_since(Version::V3_0, sections, expected);
}

#[test]
fn types_and_keys() {
    assert_always(&storage(r#""files": {}"#), &["error $.storage.files"]);
    assert_always(
        &storage(r#""files": [{"path": "/a", "mode": 420.0}]"#),
        &["error $.storage.files[0].mode"],
    );
    assert_always(
        &storage(r#""files": [{"path": "/a", "owner": 1}], "tree": 1"#),
        &["warning $.storage.files[0].owner", "warning $.storage.tree"],
    );
    assert_always(&storage(r#""Files": []"#), &["error $.storage.Files"]);
    assert_always(&storage(r#""files": null"#), &[]);
    assert_eq!(
        found(Version::V3_2, r#""kernelArguments": {}"#),
        ["warning $.kernelArguments"]
    );
    assert_eq!(found(Version::V3_3, r#""kernelArguments": {}"#), [""; 0]);
}

#[test]
fn nothing_stands_twice() {
    assert_always(
        &storage(
            r#""files": [{"path": "/a"}, {"path": "/a"}], "links": [{"path": "/a", "target": "x"}], "directories": [{"path": "/a"}]"#,
        ),
        &[
            "error $.storage.files[0]",
            "error $.storage.files[1]",
            "error $.storage.links[0]",
        ],
    );
    assert_always(
        r#""passwd": {"users": [{"name": "a", "groups": ["x", "x"], "sshAuthorizedKeys": ["k", "k"]}, {"name": "a"}], "groups": [{"name": "g"}, {"name": "g"}]}"#,
        &[
            "error $.passwd.groups[1]",
            "error $.passwd.users[0].groups[1]",
            "error $.passwd.users[0].sshAuthorizedKeys[1]",
            "error $.passwd.users[1]",
        ],
    );
    assert_always(
        r#""systemd": {"units": [{"name": "a.service", "dropins": [{"name": "a.conf"}, {"name": "a.conf"}]}, {"name": "a.service"}]}"#,
        &[
            "error $.systemd.units[0].dropins[1]",
            "error $.systemd.units[1]",
        ],
    );
    assert_always(
        &storage(
            r#""raid": [{"name": "a", "level": "linear", "devices": ["/a", "/a"], "options": ["x", "x"]}]"#,
        ),
        &["error $.storage.raid[0].devices[1]"],
    );
    assert_always(
        &storage(r#""disks": [{"device": "/a"}, {"device": "/a"}]"#),
        &["error $.storage.disks[1]"],
    );
    assert_always(
        &storage(
            r#""files": [{"path": "/a", "append": [{"source": "data:,"}, {"source": "data:,"}]}]"#,
        ),
        &[],
    );
    let arguments = r#""kernelArguments": {"shouldExist": ["a", "a"], "shouldNotExist": ["a"]}"#;
    assert_eq!(
        found(Version::V3_3, arguments),
        [
            "error $.kernelArguments.shouldExist[1]",
            "error $.kernelArguments.shouldNotExist[0]",
        ]
    );
}

#[test]
fn sources() {
    let file = |contents: &str| {
        storage(&format!(
            r#""files": [{{"path": "/f", "contents": {contents}}}]"#
        ))
    };
    let source = "error $.storage.files[0].contents.source";
    for good in [
        "",
        "http:",
        "HTTPS://[::1]:8/x",
        "tftp://h/f",
        "data:,x",
        "s3://b/k",
        "s3://b/k?versionId=1",
        "http://ä/ö#ü",
    ] {
        assert_always(&file(&format!(r#"{{"source": "{good}"}}"#)), &[]);
    }
    for bad in [
        "x",
        "ftp://h/f",
        "/f",
        "oem:///x",
        "http://a b/",
        "http://a/%zz",
        "http://a#%zz",
        "http://a%20b/",
        "http://a:b/",
        "http://[::1",
        "http://[::1]x/",
        "http://u%zz@h/",
        "http://a^b",
        "http://a|b",
        ":a",
        "s3://b/k?versionId=",
        "data:",
        "data:,{}",
        "data:;base64,x",
    ] {
        assert_always(&file(&format!(r#"{{"source": "{bad}"}}"#)), &[source]);
    }
    for (since, later) in [
        (Version::V3_2, "gs://b/o"),
        (Version::V3_4, "arn:aws:s3:::b/k"),
    ] {
        for version in Version::ALL {
            let expected = if version >= since { &[][..] } else { &[source] };
            assert_eq!(
                found(version, &file(&format!(r#"{{"source": "{later}"}}"#))),
                expected,
                "{version} {later}"
            );
        }
    }
    for bad in [
        "arn:aws:iam:::b/k",
        "arn:aws:s3:::b",
        "arn:aws:s3:us:1:accesspoint/a",
        "Arn:",
        "arn:aws:s3:::b/k?versionId=",
    ] {
        assert_always(&file(&format!(r#"{{"source": "{bad}"}}"#)), &[source]);
    }
    assert_always(
        &file(r#"{"source": "", "compression": "xz"}"#),
        &["error $.storage.files[0].contents.compression"],
    );
    assert_always(&file(r#"{"source": "", "compression": "gzip"}"#), &[]);
}

#[test]
fn hashes() {
    let hash = |hash: &str, source: &str| {
        storage(&format!(
            r#""files": [{{"path": "/f", "contents": {{{source} "verification": {{"hash": "{hash}"}}}}}}]"#
        ))
    };
    let at_hash = "error $.storage.files[0].contents.verification.hash";
    let (sha256, sha512) = (
        format!("sha256-{}", "0".repeat(64)),
        format!("sha512-{}", "0".repeat(128)),
    );
    let source = r#""source": "","#;
    assert_always(&hash(&sha512, source), &[]);
    assert_always(&hash(&sha512, ""), &[at_hash]);
    assert_eq!(found(Version::V3_0, &hash(&sha256, source)), [at_hash]);
    assert_eq!(found(Version::V3_1, &hash(&sha256, source)), [""; 0]);
    for bad in [
        "",
        "sha512",
        "sha512-00",
        "md5-00000000000000000000000000000000",
    ] {
        assert_always(&hash(bad, source), &[at_hash]);
    }
}

#[test]
fn headers() {
    let file = |source: &str, headers: &str| {
        storage(&format!(
            r#""files": [{{"path": "/f", "contents": {{{source} "httpHeaders": [{headers}]}}}}]"#
        ))
    };
    let [http, data] = [r#""source": "http://h","#, r#""source": "data:,","#];
    let at_headers = "$.storage.files[0].contents.httpHeaders";
    assert_eq!(
        found(Version::V3_0, &file(http, r#"{"name": ""}"#)),
        [format!("warning {at_headers}")]
    );
    for version in Version::ALL.into_iter().skip(1) {
        assert_eq!(
            found(
                version,
                &file(http, r#"{"name": "a"}, {"name": "b", "value": "c"}"#)
            ),
            [""; 0]
        );
        assert_eq!(
            found(version, &file(http, r#"{"name": "", "value": ""}"#)),
            [
                format!("error {at_headers}[0].name"),
                format!("error {at_headers}[0].value"),
            ]
        );
        assert_eq!(
            found(version, &file(data, r#"{"name": "a"}"#)),
            [format!("error {at_headers}")]
        );
        assert_eq!(
            found(version, &file("", r#"{"name": "a"}"#)),
            [format!("error {at_headers}")]
        );
    }
}

#[test]
fn the_ignition_section() {
    let references = r#""ignition": {"config": {"merge": [{}, {"source": "ftp://x"}], "replace": {"source": ""}}, "security": {"tls": {"certificateAuthorities": [{}, {"source": "data:,x"}]}}}"#;
    assert_eq!(
        found(Version::V3_0, references),
        [
            "error $.ignition.config.merge[1].source",
            "error $.ignition.security.tls.certificateAuthorities[0].source",
        ]
    );
    for version in Version::ALL.into_iter().skip(1) {
        assert_eq!(
            found(version, references),
            [
                "error $.ignition.config.merge[0]",
                "error $.ignition.config.merge[1]",
                "error $.ignition.config.merge[1].source",
                "error $.ignition.security.tls.certificateAuthorities[0]",
            ]
        );
        let proxy = |https: &str| {
            format!(
                r#""ignition": {{"proxy": {{"httpProxy": "http://p", "httpsProxy": "{https}"}}}}"#
            )
        };
        assert_eq!(found(version, &proxy("https://p")), [""; 0]);
        assert_eq!(
            found(version, &proxy("http://p")),
            ["warning $.ignition.proxy.httpsProxy"]
        );
        assert_eq!(
            found(version, &proxy("socks5://p")),
            ["error $.ignition.proxy.httpsProxy"]
        );
    }
}

#[test]
fn paths() {
    let file = |path: &str| storage(&format!(r#""files": [{{"path": "{path}"}}]"#));
    for good in ["/", "/a", "/a/..b", "/a b"] {
        assert_always(&file(good), &[]);
    }
    for bad in ["", "a", "./a", "//a", "/a/", "/a//b", "/a/.", "/a/../b"] {
        assert_always(&file(bad), &["error $.storage.files[0].path"]);
    }
    assert_always(
        &storage(r#""directories": [{}]"#),
        &["error $.storage.directories[0].path"],
    );
}

#[test]
fn modes_and_owners() {
    assert_always(
        &storage(
            r#""files": [{"path": "/a", "mode": 8192}, {"path": "/b", "mode": 4096}], "directories": [{"path": "/c", "mode": 0}]"#,
        ),
        &[
            "error $.storage.files[0].mode",
            "error $.storage.files[1].mode",
        ],
    );
    for version in Version::ALL {
        let expected: &[&str] = if version < Version::V3_4 {
            &["warning $.storage.files[0].mode"]
        } else {
            &[]
        };
        assert_eq!(
            found(
                version,
                &storage(r#""files": [{"path": "/a", "mode": 2541}]"#)
            ),
            expected
        );
    }
    assert_always(
        &storage(
            r#""files": [{"path": "/a", "user": {"id": 0, "name": "a"}}, {"path": "/b", "group": {"id": 1, "name": ""}}]"#,
        ),
        &["error $.storage.files[0].user"],
    );
    assert_always(
        &storage(
            r#""files": [{"path": "/a", "overwrite": true}, {"path": "/b", "overwrite": true, "contents": {"source": ""}}]"#,
        ),
        &["error $.storage.files[0].overwrite"],
    );
}

#[test]
fn links() {
    assert_always(
        &storage(
            r#""links": [{"path": "/l", "target": "/x"}, {"path": "/l/d", "target": "q"}], "files": [{"path": "/l/b"}, {"path": "/lb"}], "directories": [{"path": "/l/q/r"}]"#,
        ),
        &[
            "error $.storage.directories[0]",
            "error $.storage.files[0]",
            "error $.storage.links[1]",
        ],
    );
    assert_since(
        Version::V3_3,
        &storage(r#""links": [{"path": "/a"}]"#),
        &["error $.storage.links[0].target"],
    );
    assert_always(
        &storage(
            r#""links": [{"path": "/a", "target": "../b/./c/", "hard": true, "user": {"id": 3}, "group": {"name": "x"}}], "directories": [{"path": "/b/c"}]"#,
        ),
        &[
            "error $.storage.links[0]",
            "warning $.storage.links[0].group.name",
            "warning $.storage.links[0].user.id",
        ],
    );
}

#[test]
fn disks_and_partitions() {
    let partitions = |partitions: &str| {
        storage(&format!(
            r#""disks": [{{"device": "/a", "partitions": [{partitions}]}}]"#
        ))
    };
    let at = |rest: &str| format!("error $.storage.disks[0].partitions{rest}");
    assert_always(
        &storage(r#""disks": [{}]"#),
        &["error $.storage.disks[0].device"],
    );
    assert_always(
        &partitions(r#"{"number": 1}, {"number": 1}"#),
        &[&at("[1]")],
    );
    assert_always(
        &partitions(r#"{"number": 1, "label": "x"}, {"number": 2, "label": "x"}"#),
        &[&at("[1]")],
    );
    assert_always(&partitions(r#"{"number": 0}"#), &[&at("[0]")]);
    assert_always(
        &partitions(r#"{"number": 1, "shouldExist": false}, {"label": "x"}"#),
        &[&at("")],
    );
    assert_always(
        &partitions(r#"{"number": 1, "shouldExist": false, "sizeMiB": 0}"#),
        &[&at("[0]")],
    );
    assert_always(
        &partitions(r#"{"number": 1, "shouldExist": false, "guid": ""}"#),
        &[],
    );
    assert_always(
        &partitions(
            r#"{"number": 1, "startMiB": 1, "sizeMiB": 9}, {"number": 2, "startMiB": 9, "sizeMiB": 9}"#,
        ),
        &[&at("[1]")],
    );
    assert_always(
        &partitions(
            r#"{"number": 1, "startMiB": 1, "sizeMiB": 9}, {"number": 2, "startMiB": 10, "sizeMiB": 9}"#,
        ),
        &[],
    );
    assert_always(
        &partitions(
            r#"{"number": 1, "startMiB": 1}, {"number": 2, "startMiB": 1, "sizeMiB": 9}, {"number": 3, "startMiB": 0, "sizeMiB": 9}"#,
        ),
        &[],
    );
    assert_always(
        &partitions(&format!(
            r#"{{"number": 1, "label": "{}", "guid": "x"}}, {{"number": 2, "label": "a:b", "typeGuid": "01234567-89ab-CDEF-EDCB-A98765432101"}}"#,
            "ü".repeat(19)
        )),
        &[&at("[0].guid"), &at("[0].label"), &at("[1].label")],
    );
}

#[test]
fn arrays() {
    let array = |rest: &str| storage(&format!(r#""raid": [{{"name": "a", {rest}}}]"#));
    for level in [
        "linear", "raid0", "0", "stripe", "raid1", "1", "mirror", "4", "raid5", "raid6", "10",
    ] {
        assert_always(
            &array(&format!(
                r#""level": "{level}", "spares": 0, "devices": ["/a"]"#
            )),
            &[],
        );
    }
    assert_always(
        &array(r#""level": "raid7", "devices": ["/a"]"#),
        &["error $.storage.raid[0].level"],
    );
    assert_always(
        &array(r#""devices": ["/a", "b"]"#),
        &[
            "error $.storage.raid[0].devices[1]",
            "error $.storage.raid[0].level",
        ],
    );
    assert_always(
        &array(r#""level": "raid0", "spares": 1"#),
        &[
            "error $.storage.raid[0].devices",
            "error $.storage.raid[0].level",
        ],
    );
}

#[test]
fn filesystems() {
    let filesystem =
        |rest: &str| storage(&format!(r#""filesystems": [{{"device": "/a", {rest}}}]"#));
    let at = |key: &str| format!("error $.storage.filesystems[0].{key}");
    for (format, longest) in [
        ("ext4", 16),
        ("btrfs", 256),
        ("xfs", 12),
        ("swap", 15),
        ("vfat", 11),
    ] {
        let label = |length| {
            filesystem(&format!(
                r#""format": "{format}", "label": "{}""#,
                "x".repeat(length)
            ))
        };
        assert_always(&label(longest), &[]);
        assert_always(&label(longest + 1), &[&at("label")]);
    }
    assert_always(
        &filesystem(r#""format": "zfs", "path": "a""#),
        &[&at("format"), &at("path")],
    );
    assert_eq!(
        found(Version::V3_2, &filesystem(r#""format": "none""#)),
        [at("format")]
    );
    assert_eq!(
        found(Version::V3_3, &filesystem(r#""format": "none""#)),
        [""; 0]
    );
    for needy in [
        r#""path": "/b""#,
        r#""uuid": "x""#,
        r#""wipeFilesystem": true"#,
        r#""options": ["x"]"#,
    ] {
        assert_always(&filesystem(needy), &[&at("format")]);
    }
    assert_always(
        &filesystem(r#""label": "x""#),
        &[&at("format"), &at("label")],
    );
    assert_always(&storage(r#""filesystems": [{}]"#), &[&at("device")]);
    assert_always(
        &storage(
            r#""disks": [{"device": "/a", "partitions": [{"number": 1}]}, {"device": "/b", "wipeTable": true}], "filesystems": [{"device": "/a"}, {"device": "/b"}]"#,
        ),
        &[
            "warning $.storage.filesystems[0].device",
            "warning $.storage.filesystems[1].device",
        ],
    );
}

#[test]
fn encrypted_volumes() {
    let volume = |rest: &str| {
        storage(&format!(
            r#""luks": [{{"name": "a", "device": "/a", {rest}}}]"#
        ))
    };
    let at = |key: &str| format!("error $.storage.luks[0]{key}");
    let all = |sections: &str, expected: &[String]| {
        for version in Version::ALL.into_iter().skip(2) {
            assert_eq!(found(version, sections), expected, "{version}: {sections}");
        }
    };
    all(
        &storage(r#""luks": [{"name": "a/b"}]"#),
        &[at(".device"), at(".name")],
    );
    all(
        &volume(&format!(r#""label": "{}""#, "x".repeat(48))),
        &[at(".label")],
    );
    all(
        &volume(r#""keyFile": {"source": "x"}"#),
        &[at(".keyFile.source"), at(".keys")],
    );
    all(
        &volume(r#""clevis": {"tang": [{}, {"url": "http://x", "thumbprint": "x"}]}"#),
        &[at(".clevis.tang[0].thumbprint"), at(".clevis.tang[0].url")],
    );
    all(
        &volume(r#""clevis": {"custom": {"pin": "tpm2"}, "threshold": 1}"#),
        &[at(".clevis"), at(".clevis.custom.config")],
    );
    all(
        &volume(r#""clevis": {"custom": {"pin": "yubikey", "config": "x"}}"#),
        &[at(".clevis.custom.pin")],
    );
    let empty = volume(r#""clevis": {"custom": {}, "tpm2": true}"#);
    assert_eq!(found(Version::V3_2, &empty), [at(".clevis")]);
    assert_eq!(found(Version::V3_3, &empty), [""; 0]);
    let pinless = volume(r#""clevis": {"custom": {"needsNetwork": true}}"#);
    assert_eq!(found(Version::V3_2, &pinless), [""; 0]);
    assert_eq!(
        found(Version::V3_3, &pinless),
        [at(".clevis.custom.config"), at(".clevis.custom.pin")]
    );
    let trustee = volume(r#""clevis": {"custom": {"pin": "trustee", "config": "x"}}"#);
    assert_eq!(found(Version::V3_5, &trustee), [at(".clevis.custom.pin")]);
    assert_eq!(found(Version::V3_6, &trustee), [""; 0]);
    let advertised = volume(
        r#""clevis": {"tang": [{"url": "http://x", "thumbprint": "x", "advertisement": "{"}]}"#,
    );
    assert_eq!(
        found(Version::V3_4, &advertised),
        [at(".clevis.tang[0].advertisement")]
    );
    let cex = volume(r#""cex": {"enabled": true}, "clevis": {"tpm2": true}"#);
    assert_eq!(
        found(Version::V3_4, &cex),
        ["warning $.storage.luks[0].cex"]
    );
    assert_eq!(found(Version::V3_5, &cex), [at(".cex")]);
    assert_eq!(
        found(
            Version::V3_5,
            &volume(r#""cex": {"enabled": true}, "keyFile": {"source": "data:,x"}"#)
        ),
        [at(".cex")]
    );
}

#[test]
fn units() {
    let unit = |rest: &str| format!(r#""systemd": {{"units": [{{{rest}}}]}}"#);
    for name in ["", "x", "x.service.", "x.SERVICE"] {
        assert_always(
            &unit(&format!(r#""name": "{name}""#)),
            &["error $.systemd.units[0].name"],
        );
    }
    assert_always(&unit(r#""name": "a.b.timer""#), &[]);
    assert_always(
        &unit(
            r#""name": "x.service", "contents": "[A", "dropins": [{"name": "x", "contents": "[A"}]"#,
        ),
        &[
            "error $.systemd.units[0].contents",
            "error $.systemd.units[0].dropins[0].contents",
            "error $.systemd.units[0].dropins[0].name",
        ],
    );
    assert_always(
        &unit(r#""name": "x.service", "enabled": true, "contents": "[A]\nb=c""#),
        &["warning $.systemd.units[0].contents"],
    );
    assert_always(
        &unit(r#""name": "x.service", "enabled": true, "contents": "[Install]\nb=c""#),
        &[],
    );
    assert_always(
        &unit(
            r#""name": "x@.service", "contents": "[A]\nb=c"}, {"name": "x@1.service", "enabled": true"#,
        ),
        &["warning $.systemd.units[1].contents"],
    );
    assert_since(
        Version::V3_4,
        r#""systemd": {"units": [{"name": "x.service", "contents": "[A]", "dropins": [{"name": "d.conf", "contents": "[A]"}]}]}, "storage": {"files": [{"path": "/etc/systemd/system/x.service"}], "directories": [{"path": "/etc/systemd/system/x.service.d/d.conf"}]}"#,
        &[
            "error $.storage.directories[0].path",
            "error $.storage.files[0].path",
        ],
    );
}

#[test]
fn findings_stand_where_their_cause_is() {
    let found = diagnostics(
        Version::V3_3,
        "\n\"storage\": {\"files\": [\n  {\"path\": \"a\"},\n  {\"mode\": 1}]}",
    );
    let places: Vec<String> = found
        .iter()
        .map(|found| found.position.map(|at| at.to_string()).unwrap_or_default())
        .collect();
    // The second has no path: what is said of it stands where the file does.
    assert_eq!(places, ["line 3 column 12", "line 4 column 3"]);
}
