//! Butane documents, and what the reference makes of them (see `../butane/README.md`).

#![allow(clippy::unwrap_used)]

mod files_directory;
mod laws;
mod reference;

use std::fs;

use ignition::butane::{Files, Translation, translate};
use proptest::prelude::*;

use files_directory::FilesDirectory;
use reference::{Case, Outcome};

/// What we do otherwise, and meant to: see the module `butane`.
const CHOICES: &[&str] = &[
    "bad-json-slash-escape",
    "bad-yaml-directive-1.2",
    "yaml-null-list-items",
];

#[test]
fn every_case_comes_out_like_the_reference() {
    let cases = Case::all();
    assert_eq!(cases.len(), 200);
    let failures: Vec<String> = cases
        .iter()
        .filter(|case| !CHOICES.contains(&case.name.as_str()))
        .filter_map(|case| {
            let difference = case.outcome.difference(&run(case))?;
            Some(format!("{}: {difference}", case.name))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

#[test]
fn yaml_1_2_is_read() {
    for name in ["bad-json-slash-escape", "bad-yaml-directive-1.2"] {
        let translation = translation(&Case::named(name));
        assert!(
            translation.config.is_some() && translation.diagnostics.is_empty(),
            "{name}"
        );
    }
}

#[test]
fn each_null_item_gives_a_warning_at_its_place() {
    let case = Case::named("yaml-null-list-items");
    let outcome = run(&case);
    assert_eq!((outcome.code, &outcome.config), (0, &case.outcome.config));
    let places: Vec<_> = outcome
        .findings
        .iter()
        .map(|finding| finding.path.as_str())
        .collect();
    assert_eq!(
        places,
        ["$.storage.directories.0", "$.storage.directories.2"]
    );
}

#[test]
fn openshift_is_refused_by_name() {
    let text = fs::read(Case::directory().join("openshift.bu")).unwrap();
    let Translation {
        config,
        version,
        diagnostics,
    } = translate(&text, None);
    assert_eq!((config, version), (None, None));
    assert!(
        diagnostics[0]
            .message
            .contains("openshift is not supported"),
        "{diagnostics:?}"
    );
}

#[test]
fn a_symlink_out_of_the_files_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("secret"), "secret").unwrap();
    let inside = directory.path().join("files");
    fs::create_dir(&inside).unwrap();
    std::os::unix::fs::symlink("../secret", inside.join("file")).unwrap();
    std::os::unix::fs::symlink("..", inside.join("tree")).unwrap();
    let text = "variant: fcos\nversion: 1.5.0\nstorage: {files: [{path: /a, contents: {local: file}}], trees: [{local: tree}]}\n";
    let translation = translate(text.as_bytes(), Some(&FilesDirectory::new(&inside)));
    assert_eq!(translation.config, None);
    let messages: Vec<_> = translation
        .diagnostics
        .iter()
        .map(|found| &found.message)
        .collect();
    assert_eq!(messages.len(), 2);
    assert!(
        messages.iter().all(|message| message.contains("outside")),
        "{messages:?}"
    );
}

proptest! {
    /// Every document, a little changed: whatever comes of it makes sense.
    #[test]
    fn changed_documents_give_a_config_or_errors(
        case in proptest::sample::select(Case::all()),
        at: prop::sample::Index,
        length in 0..40_usize,
        with in proptest::sample::select(vec!["", "\n", ": ", "- ", "*x", "&x ", "<<: *x", "[", "{", "\"", "'", "0", "~", "!!int ", "\u{0}", "é", "local: ..", "    "]),
    ) {
        let mut text = case.text;
        prop_assume!(!text.is_empty());
        let begin = at.index(text.len());
        let end = text.len().min(begin + length);
        text.splice(begin..end, with.bytes());
        laws::hold(&text);
    }

    #[test]
    fn any_bytes_give_a_config_or_errors(text: Vec<u8>) {
        laws::hold(&text);
    }
}

fn translation(case: &Case) -> Translation {
    let files = FilesDirectory::new(&Case::directory().join("files"));
    let files: Option<&dyn Files> = if case.has_files { Some(&files) } else { None };
    translate(&case.text, files)
}

fn run(case: &Case) -> Outcome {
    Outcome::of(&translation(case), case.strict, case.check)
}
