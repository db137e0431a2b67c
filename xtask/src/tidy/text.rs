//! What every text file is like.

use super::Finding;
use crate::repository::Repository;

/// Files that others wrote, which stay as they are.
const NOT_OURS: &[&str] = &["LICENSE", "Cargo.lock", "fuzz/Cargo.lock"];

/// Lines end where their text does, files with a newline, and Rust is indented by spaces.
pub(super) fn check_whitespace(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repository
        .files
        .iter()
        .filter(|file| !NOT_OURS.contains(&file.path.as_str()))
    {
        for (line, text) in file.text.split('\n').enumerate() {
            if text.ends_with([' ', '\t', '\r']) {
                findings.push(Finding::new(
                    &file.path,
                    line + 1,
                    "remove the blanks at the end of the line",
                ));
            }
            if file.path.ends_with(".rs") && text.contains('\t') {
                findings.push(Finding::new(
                    &file.path,
                    line + 1,
                    "write spaces, or \\t in a literal, for the tab",
                ));
            }
        }
        if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
            let last = file.text.lines().count();
            findings.push(Finding::new(
                &file.path,
                last,
                "end the file with one newline",
            ));
        }
    }
    findings
}

/// No file names a place that is there on the author's machine alone.
pub(super) fn check_machine_paths(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &repository.files {
        // Boot files and the manual speak of other machines, where people and root do have a home.
        let is_of_others = ["assets/", "docs/"]
            .iter()
            .any(|place| file.path.starts_with(place))
            || file.path.ends_with(".ks");
        let directories: &[_] = if is_of_others {
            &["work"]
        } else {
            &["work", "root", "home"]
        };
        for (line, text) in file.text.lines().enumerate() {
            for path in directories.iter().map(|directory| format!("/{directory}/")) {
                if text
                    .match_indices(&path)
                    .any(|(at, _)| begins_a_path(&text[..at]))
                {
                    let message =
                        format!("{path}… is there on few machines: write what it stands for");
                    findings.push(Finding::new(&file.path, line + 1, message));
                }
            }
        }
    }
    findings
}

/// Whether a path that stands behind this text begins there: `"$cache"/x` goes on, `"/x` begins.
fn begins_a_path(before: &str) -> bool {
    let before = before.strip_suffix(['"', '\'']).unwrap_or(before);
    !before.ends_with(|c: char| c.is_alphanumeric() || "_-.~$})>".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn blanks_are_seen() {
        let check = |path, text| lines(&check_whitespace(&Repository::of(&[(path, text)])));
        assert!(check("a.rs", "fn a() {}\n").is_empty());
        assert_eq!(check("a.rs", "a \nb\t\n\tc\n"), [1, 2, 2, 3]);
        assert_eq!(check("a.md", "a\r\nb"), [1, 2]);
        assert_eq!(check("a.md", "a\n\n"), [2]);
        assert!(check("Makefile", "a:\n\tb\n").is_empty());
    }

    #[test]
    fn paths_of_a_machine_are_seen() {
        let root = format!("/{}/", "root");
        let check =
            |path, text: &str| lines(&check_machine_paths(&Repository::of(&[(path, text)])));
        assert_eq!(
            check(
                "a.md",
                &format!("see {root}x\nor `{root}y`\nor \"{root}z\"")
            ),
            [1, 2, 3]
        );
        assert!(
            check(
                "a.sh",
                &format!("$cache{root}x \"$cache\"{root}x <a>{root}x")
            )
            .is_empty()
        );
        assert!(check("assets/basic.ks", &format!("cd {root}x")).is_empty());
    }
}
