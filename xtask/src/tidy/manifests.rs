//! What the Cargo.toml files say.

use toml::{Table, Value};

use super::{Finding, rust_source};
use crate::repository::{File, Repository};

const WORKSPACE: &str = "Cargo.toml";
const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// The manifests of the workspace's members.
fn members(repository: &Repository) -> impl Iterator<Item = &File> {
    let is_member = |path: &str| path.starts_with("crates/") || path.starts_with("xtask/");
    repository
        .ending("/Cargo.toml")
        .filter(move |file| is_member(&file.path))
}

/// The dependencies of one kind.
fn dependencies<'a>(
    manifest: &'a Table,
    kind: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    manifest
        .get(kind)
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
}

fn is_inherited(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

fn line_of(file: &File, name: &str) -> usize {
    file.text
        .lines()
        .position(|line| line.starts_with(name))
        .map_or(1, |at| at + 1)
}

fn parsed(file: &File) -> Table {
    // Cargo has read it before it ran this program, and says it better.
    file.text.parse().unwrap_or_default()
}

/// Members take lints, versions of dependencies and whether to publish from the workspace.
pub(super) fn check_members(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in members(repository) {
        let manifest = parsed(file);
        if !is_inherited(manifest.get("lints")) {
            findings.push(Finding::new(
                &file.path,
                1,
                "add `[lints]` with `workspace = true`",
            ));
        }
        if !is_inherited(
            manifest
                .get("package")
                .and_then(|package| package.get("publish")),
        ) {
            findings.push(Finding::new(
                &file.path,
                1,
                "add `publish.workspace = true`",
            ));
        }
        for (name, value) in KINDS.iter().flat_map(|kind| dependencies(&manifest, kind)) {
            if !is_inherited(Some(value)) {
                let message = format!(
                    "give {name} its version in the workspace, and write `{name}.workspace = true`"
                );
                findings.push(Finding::new(&file.path, line_of(file, name), message));
            }
        }
    }
    findings
}

/// The workspace is not published, and names every version.
pub(super) fn check_versions(repository: &Repository) -> Vec<Finding> {
    let Some(file) = repository.file(WORKSPACE) else {
        return Vec::new();
    };
    let manifest = parsed(file);
    let mut findings = Vec::new();
    let Some(workspace) = manifest.get("workspace").and_then(Value::as_table) else {
        return findings;
    };
    let publish = workspace
        .get("package")
        .and_then(|package| package.get("publish"));
    if publish.and_then(Value::as_bool) != Some(false) {
        findings.push(Finding::new(
            WORKSPACE,
            1,
            "set `publish = false` in [workspace.package]",
        ));
    }
    for (name, value) in dependencies(workspace, "dependencies") {
        let version = value
            .as_str()
            .or_else(|| value.get("version").and_then(Value::as_str));
        let is_ours = value.get("path").is_some();
        if version.map_or(!is_ours, |version| version.contains('*')) {
            findings.push(Finding::new(
                WORKSPACE,
                line_of(file, name),
                format!("name the version of {name} that is used"),
            ));
        }
    }
    findings
}

/// Each dependency is named in the sources of who declares it, and the workspace declares none that no member takes.
pub(super) fn check_used(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut taken = Vec::new();
    for file in members(repository) {
        let manifest = parsed(file);
        let directory = file.path.trim_end_matches("Cargo.toml");
        let product = format!("{directory}src/");
        for kind in KINDS {
            let place = if kind == "dependencies" {
                &product
            } else {
                directory
            };
            for (name, _) in dependencies(&manifest, kind) {
                taken.push(name.clone());
                if !is_named(repository, place, &name.replace('-', "_")) {
                    let message =
                        format!("no source under {place} names {name}: remove it from [{kind}]");
                    findings.push(Finding::new(&file.path, line_of(file, name), message));
                }
            }
        }
    }
    if let Some(file) = repository.file(WORKSPACE) {
        let manifest = parsed(file);
        let declared = manifest
            .get("workspace")
            .and_then(Value::as_table)
            .into_iter();
        for (name, _) in declared.flat_map(|workspace| dependencies(workspace, "dependencies")) {
            if !taken.contains(name) {
                findings.push(Finding::new(
                    WORKSPACE,
                    line_of(file, name),
                    format!("no member takes {name}: remove it"),
                ));
            }
        }
    }
    findings
}

fn is_named(repository: &Repository, place: &str, name: &str) -> bool {
    let sources = repository
        .ending(".rs")
        .filter(|file| file.path.starts_with(place));
    sources.into_iter().any(|file| {
        rust_source::occurrences(&file.text, name).any(|at| {
            let after = &file.text[at + name.len()..];
            ["::", ";", " as ", "!"]
                .iter()
                .any(|next| after.starts_with(next))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "[package]\nname = \"a\"\npublish.workspace = true\n[lints]\nworkspace = true\n";

    #[test]
    fn members_inherit() {
        let check = |text| check_members(&Repository::of(&[("crates/a/Cargo.toml", text)]));
        assert!(check(GOOD).is_empty());
        assert_eq!(check("[package]\nname = \"a\"\n").len(), 2);
        let own_version =
            format!("{GOOD}[dev-dependencies]\nbytes.workspace = true\nhttp = \"1\"\n");
        let findings = check(&own_version);
        assert_eq!(
            findings
                .iter()
                .map(|finding| finding.line)
                .collect::<Vec<_>>(),
            [8],
            "{findings:?}"
        );
    }

    #[test]
    fn versions_are_named() {
        let text = "[workspace.package]\npublish = false\n[workspace.dependencies]\na = { path = \"a\" }\nb = \"1\"\n";
        assert!(check_versions(&Repository::of(&[(WORKSPACE, text)])).is_empty());
        let text = "[workspace.dependencies]\nb = \"*\"\nc = { features = [] }\nd = { version = \"1.*\" }\n";
        let lines: Vec<_> = check_versions(&Repository::of(&[(WORKSPACE, text)]))
            .iter()
            .map(|f| f.line)
            .collect();
        assert_eq!(lines, [1, 2, 3, 4]);
    }

    #[test]
    fn a_dependency_is_used_where_it_is_declared() {
        let manifest =
            format!("{GOOD}[dependencies]\nhttp.workspace = true\nhttp-body.workspace = true\n");
        let workspace =
            "[workspace.dependencies]\nhttp = \"1\"\nhttp-body = \"1\"\nbytes = \"1\"\n";
        let findings = check_used(&Repository::of(&[
            (WORKSPACE, workspace),
            ("crates/a/Cargo.toml", &manifest),
            ("crates/a/src/lib.rs", "use http_body::Body;"),
            ("crates/a/tests/all.rs", "use http::Request;"),
        ]));
        let found: Vec<_> = findings
            .iter()
            .map(|finding| (finding.path.as_str(), finding.line))
            .collect();
        assert_eq!(found, [("crates/a/Cargo.toml", 7), (WORKSPACE, 4)]);
    }
}
