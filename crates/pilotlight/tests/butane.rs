//! `pilotlight butane`, the translator that needs no head.
#![allow(clippy::unwrap_used)]

mod head;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use head::{ended, pilotlight, repository, run, skip};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A document without fault.
const GOOD: &str = "variant: fcos\nversion: 1.5.0\nstorage:\n  links: [{path: /a, target: /b}]\n";
/// What becomes of it.
const GOOD_CONFIG: &str =
    r#"{"ignition":{"version":"3.4.0"},"storage":{"links":[{"path":"/a","target":"/b"}]}}"#;
/// One with a key that nobody knows.
const ODD: &str = "variant: fcos\nversion: 1.5.0\ncolour: red\n";
/// One that is refused.
const BAD: &str = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: a\n";
/// One that refers to a local file.
const LOCAL: &str =
    "variant: fcos\nversion: 1.5.0\nstorage:\n  files: [{path: /a, contents: {local: motd}}]\n";

/// A directory with these documents in it, where commands are run.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for (name, text) in [
            ("good.bu", GOOD),
            ("odd.bu", ODD),
            ("bad.bu", BAD),
            ("local.bu", LOCAL),
        ] {
            fs::write(desk.path(name), text).unwrap();
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn butane(&self, words: &str) -> Command {
        let mut command = pilotlight();
        command.current_dir(&self.0).arg("butane");
        command.args(words.split_whitespace());
        command
    }

    /// The exit code and what was said on standard output and standard error.
    fn run(&self, words: &str) -> (i32, String, String) {
        let output = run(&mut self.butane(words));
        let (code, stdout, stderr) = ended(&output);
        (code, stdout.to_owned(), stderr.to_owned())
    }
}

/// Documents of the corpus (see its README) that the reference refuses and we translate, since YAML 1.2 is read.
const TRANSLATED: [&str; 2] = ["bad-json-slash-escape", "bad-yaml-directive-1.2"];

#[test]
fn the_corpus_comes_out_as_with_the_reference() {
    let corpus = repository().join("crates/ignition/tests/butane");
    let part = |name: &str, extension: &str| {
        fs::read_to_string(corpus.join(format!("{name}.{extension}"))).ok()
    };
    let entries = fs::read_dir(&corpus).unwrap();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_suffix(".code")?.to_owned())
        })
        .collect();
    names.sort();
    let mut compared = 0;
    for name in &names {
        let arguments = part(name, "args").unwrap_or_else(|| "-d\nfiles".to_owned());
        let mut command = pilotlight();
        command.current_dir(&corpus).arg("butane");
        command.args(arguments.lines()).arg(format!("{name}.bu"));
        let output = run(&mut command);
        let (code, stdout, stderr) = ended(&output);
        let expected: i32 = match TRANSLATED.contains(&name.as_str()) {
            true => 0,
            false => part(name, "code").unwrap().trim().parse().unwrap(),
        };
        assert_eq!(code, expected, "{name}: {stderr}");
        if code != 0 {
            let last = stderr.lines().last().unwrap_or_default();
            assert!(last.starts_with("pilotlight: "), "{name}: {stderr}");
            assert_eq!(stdout, "", "{name}");
        } else if part(name, "err").unwrap().is_empty() {
            assert_eq!(stderr, "", "{name}");
        }
        // Data may be compressed in another way; how it is compared, the tests of the crate `ignition` know.
        if let Some(config) = part(name, "ign").filter(|config| !config.contains("\"data:")) {
            let config: Value = serde_json::from_str(&config).unwrap();
            let written: Value = serde_json::from_str(stdout).unwrap();
            assert_eq!(written, config, "{name}");
            compared += 1;
        }
    }
    assert_eq!((names.len(), compared), (200, 90));
}

#[test]
fn the_config_goes_where_it_is_wanted_in_the_form_wanted() {
    let desk = Desk::new();
    let config = format!("{GOOD_CONFIG}\n");
    let done = |stdout: &str| (0, stdout.to_owned(), String::new());
    assert_eq!(desk.run("good.bu"), done(&config));
    assert_eq!(desk.run("good.bu -o good.ign"), done(""));
    assert_eq!(fs::read_to_string(desk.path("good.ign")).unwrap(), config);
    assert_eq!(desk.run("--check good.bu"), done(""));

    let (code, pretty, stderr) = desk.run("--pretty good.bu");
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        pretty.starts_with("{\n  \"ignition\": {\n    \"version\": \"3.4.0\"\n  },\n"),
        "{pretty}"
    );
    let pretty: Value = serde_json::from_str(&pretty).unwrap();
    assert_eq!(pretty, serde_json::from_str::<Value>(GOOD_CONFIG).unwrap());

    for words in ["", "-"] {
        let mut command = desk.butane(words);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(GOOD.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(ended(&output), (0, config.as_str(), ""), "{words:?}");
    }
}

#[test]
fn findings_name_their_place_and_what_is_refused_is_not_written() {
    let desk = Desk::new();
    let (code, stdout, stderr) = desk.run("odd.bu");
    assert_eq!(
        (code, stdout.as_str()),
        (0, "{\"ignition\":{\"version\":\"3.4.0\"}}\n")
    );
    assert!(
        stderr.starts_with("warning at $.colour, line 3 column 1: "),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");

    let (code, _, stderr) = desk.run("odd.bu --check");
    assert!(
        code == 0 && stderr.starts_with("warning at $.colour"),
        "{code} {stderr}"
    );
    for words in ["odd.bu --strict -o odd.ign", "odd.bu --strict --check"] {
        let (code, stdout, stderr) = desk.run(words);
        assert_eq!((code, stdout.as_str()), (1, ""), "{words}");
        assert!(
            stderr.ends_with("\npilotlight: odd.bu has 1 warning\n"),
            "{stderr}"
        );
    }
    assert!(!desk.path("odd.ign").exists());

    fs::write(desk.path("bad.ign"), "as it was").unwrap();
    let (code, stdout, stderr) = desk.run("bad.bu -o bad.ign");
    assert_eq!((code, stdout.as_str()), (1, ""));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(
        lines[0].starts_with("error at $.storage.files[0].path, line 5 column 13: "),
        "{stderr}"
    );
    assert_eq!(lines[1], "pilotlight: bad.bu has 1 error");
    assert_eq!(
        fs::read_to_string(desk.path("bad.ign")).unwrap(),
        "as it was"
    );

    // What a document says does not reach the terminal as it is.
    fs::write(desk.path("control.bu"), format!("{ODD}\"\\e[2J\": 1\n")).unwrap();
    let (_, _, stderr) = desk.run("control.bu");
    assert!(
        stderr.contains("\\u{1b}[2J") && !stderr.contains('\u{1b}'),
        "{stderr}"
    );
}

#[test]
fn json_has_the_config_and_the_findings() {
    let desk = Desk::new();
    let answer = |words: &str| {
        let (code, stdout, stderr) = desk.run(words);
        let answer: Value = serde_json::from_str(&stdout).unwrap();
        (code, answer, stderr)
    };
    let config: Value = serde_json::from_str(GOOD_CONFIG).unwrap();
    assert_eq!(
        answer("good.bu --json"),
        (0, json!({"config": config, "findings": []}), String::new())
    );
    let (code, refused, stderr) = answer("bad.bu --json");
    assert_eq!(
        (code, stderr.as_str()),
        (1, "pilotlight: bad.bu has 1 error\n")
    );
    assert_eq!(refused["config"], Value::Null);
    let mut finding = refused["findings"][0].clone();
    assert!(finding["message"].take().is_string(), "{refused}");
    assert_eq!(
        finding,
        json!({"severity": "error", "path": "$.storage.files[0].path", "line": 5, "column": 13, "message": null})
    );
    let (code, checked, _) = answer("good.bu --json --check");
    assert_eq!((code, &checked["config"]), (0, &Value::Null));
    let (code, both, _) = answer("good.bu --json -o good.ign");
    assert_eq!((code, &both["config"]), (0, &config));
    assert_eq!(
        fs::read_to_string(desk.path("good.ign")).unwrap(),
        format!("{GOOD_CONFIG}\n")
    );
}

#[test]
fn local_files_are_those_of_the_directory_named() {
    let desk = Desk::new();
    fs::create_dir(desk.path("files")).unwrap();
    fs::write(desk.path("files/motd"), "hello").unwrap();
    let (code, config, stderr) = desk.run("local.bu -d files");
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(config.contains("\"source\":\"data:,hello\""), "{config}");

    let (code, stdout, stderr) = desk.run("local.bu");
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(
        stderr.starts_with("error at $.storage.files[0].contents.local, line 4 ")
            && stderr.ends_with(
                "\npilotlight: local.bu refers to local files: name their directory with --files-dir\n"
            ),
        "{stderr}"
    );
    for (directory, reason) in [("gone", "No such file"), ("good.bu", "Not a directory")] {
        let (code, _, stderr) = desk.run(&format!("local.bu --files-dir {directory}"));
        assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
        assert!(
            stderr.contains(directory) && stderr.contains(reason),
            "{stderr}"
        );
    }
    fs::remove_file(desk.path("files/motd")).unwrap();
    let (code, _, stderr) = desk.run("local.bu -d files");
    assert!(
        code == 1 && stderr.contains("cannot read motd: "),
        "{code} {stderr}"
    );
    symlink("../good.bu", desk.path("files/motd")).unwrap();
    let (code, _, stderr) = desk.run("local.bu -d files");
    assert!(
        code == 1 && stderr.contains("motd is outside of"),
        "{code} {stderr}"
    );
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let desk = Desk::new();
    for (words, said) in [
        ("gone.bu", "cannot read gone.bu: No such file"),
        (".", "cannot read .: Is a directory"),
        (
            "good.bu -o gone/good.ign",
            "cannot write gone/good.ign: No such file",
        ),
    ] {
        let (code, stdout, stderr) = desk.run(words);
        assert_eq!((code, stdout.as_str()), (1, ""), "{words}");
        assert!(
            stderr.starts_with(&format!("pilotlight: {said}")),
            "{words}: {stderr}"
        );
    }
    for words in ["good.bu odd.bu", "good.bu --check -o x", "good.bu --raw"] {
        assert_eq!(desk.run(words).0, 2, "{words}");
    }
    fs::set_permissions(desk.path("good.bu"), Permissions::from_mode(0o000)).unwrap();
    if fs::read(desk.path("good.bu")).is_ok() {
        skip("a file without permissions: this user may read everything");
        return;
    }
    let (code, _, stderr) = desk.run("good.bu");
    assert_eq!(code, 1);
    assert!(
        stderr.contains("cannot read good.bu: Permission denied"),
        "{stderr}"
    );
}

#[test]
fn no_head_is_asked() {
    let desk = Desk::new();
    let mut command = desk.butane("good.bu");
    command.env("PILOTLIGHT_HEAD", "http://127.0.0.1:1");
    assert_eq!(ended(&run(&mut command)).0, 0);
}
