//! What people read.

use super::Finding;
use crate::repository::Repository;

/// Links inside the repository lead to a file or a directory of it.
pub(super) fn check_links(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repository.ending(".md") {
        let directory = file
            .path
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        for (line, text) in prose(&file.text) {
            for target in targets(text) {
                let place = resolve(directory, target);
                if !place
                    .as_deref()
                    .is_some_and(|place| repository.contains(place))
                {
                    findings.push(Finding::new(
                        &file.path,
                        line,
                        format!("{target} leads nowhere: correct the link"),
                    ));
                }
            }
        }
    }
    findings
}

/// The lines outside of code blocks, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(line, text)| {
        let is_fence = text.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then_some((line + 1, text))
    })
}

/// The paths that a line links to.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', ' ', '#']).next()?;
        let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
        (!target.is_empty() && !is_elsewhere).then_some(target)
    })
}

/// The path from the root of what is linked to; none if that is outside.
fn resolve(directory: &str, target: &str) -> Option<String> {
    let mut path: Vec<&str> = directory
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                path.pop()?;
            }
            part => path.push(part),
        }
    }
    Some(path.join("/"))
}

/// The changelog has a place for what is not released.
pub(super) fn check_changelog(repository: &Repository) -> Vec<Finding> {
    const CHANGELOG: &str = "CHANGELOG.md";
    let is_heading = |line: &str| line.starts_with("## ") && line.contains("Unreleased");
    if repository
        .file(CHANGELOG)
        .is_some_and(|file| file.text.lines().any(is_heading))
    {
        return Vec::new();
    }
    vec![Finding::new(
        CHANGELOG,
        1,
        "add a section `## Unreleased`, and what users will notice",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed() {
        let text = "[a](b.md#top) [c](../README.md) [d](https://example.org/x) [e](#here)\n\
                    [f](gone.md), [g](../../outside)\n```\n[h](gone.md)\n```\n[i](.)\n[j](../docs/)";
        let repository = Repository::of(&[
            ("docs/a.md", text),
            ("docs/b.md", ""),
            ("README.md", "[k](docs/a.md)"),
        ]);
        let lines: Vec<_> = check_links(&repository)
            .iter()
            .map(|finding| finding.line)
            .collect();
        assert_eq!(lines, [2, 2]);
    }

    #[test]
    fn the_changelog_goes_on() {
        assert_eq!(check_changelog(&Repository::of(&[])).len(), 1);
        assert_eq!(
            check_changelog(&Repository::of(&[(
                "CHANGELOG.md",
                "# Changes\n## 0.1.0\n"
            )]))
            .len(),
            1
        );
        assert!(
            check_changelog(&Repository::of(&[("CHANGELOG.md", "## [Unreleased]\n")])).is_empty()
        );
    }
}
