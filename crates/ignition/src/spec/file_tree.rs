//! Files, directories and links.

use std::collections::HashSet;

use super::{Findings, Node, Rule, resource};

pub(super) fn check(storage: Node, systemd: Node, findings: &mut Findings) {
    let [directories, files, links] = ["directories", "files", "links"].map(|key| storage.get(key));
    let link_paths: HashSet<&str> = links.items().map(|link| link.get("path").text()).collect();
    let unit_paths = unit_paths(systemd);
    for node in directories
        .items()
        .chain(files.items())
        .chain(links.items())
    {
        check_path(node.get("path"), findings);
        for owner in [node.get("user"), node.get("group")] {
            if owner.get("id").is_present() && !owner.get("name").text().is_empty() {
                findings.add(owner, Rule::OwnerTwice);
            }
        }
        let path = node.get("path").text();
        if parents(path).any(|parent| link_paths.contains(parent)) {
            findings.add(node, Rule::PathThroughLink);
        }
        if unit_paths.contains(path) {
            findings.add(node.get("path"), Rule::PathOfUnit);
        }
    }
    for node in directories.items().chain(files.items()) {
        check_mode(node.get("mode"), findings);
    }
    for file in files.items() {
        let contents = file.get("contents");
        resource::check(contents, findings);
        file.get("append")
            .items()
            .for_each(|append| resource::check(append, findings));
        if file.get("overwrite").is_true() && !contents.get("source").is_present() {
            findings.add(file.get("overwrite"), Rule::OverwriteWithoutSource);
        }
    }
    let directory_paths: HashSet<&str> = directories
        .items()
        .map(|directory| directory.get("path").text())
        .collect();
    for link in links.items() {
        check_link(link, &directory_paths, findings);
    }
}

fn check_link(link: Node, directory_paths: &HashSet<&str>, findings: &mut Findings) {
    let target = link.get("target").text();
    if target.is_empty() {
        findings.add(link.get("target"), Rule::LinkTarget);
    }
    if !link.get("hard").is_true() {
        return;
    }
    let target = match target.starts_with('/') {
        true => clean(target),
        false => clean(&format!("{}/{target}", link.get("path").text())),
    };
    if directory_paths.contains(target.as_str()) {
        findings.add(link, Rule::HardLinkToDirectory);
    }
    for owner in [link.get("user"), link.get("group")] {
        for part in [owner.get("id"), owner.get("name")]
            .into_iter()
            .filter(|part| part.is_present())
        {
            findings.add(part, Rule::HardLinkOwner);
        }
    }
}

/// What lies on the way to a path: of `/a/b` it is the empty path and `/a`.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// What systemd units and drop-ins are written to, where a config gives their contents.
fn unit_paths(systemd: Node) -> HashSet<String> {
    const DIRECTORY: &str = "/etc/systemd/system";
    let is_written = |part: Node| !part.get("contents").text().is_empty();
    let mut paths = HashSet::new();
    for unit in systemd.get("units").items() {
        let name = unit.get("name").text();
        if is_written(unit) {
            paths.insert(format!("{DIRECTORY}/{name}"));
        }
        for dropin in unit
            .get("dropins")
            .items()
            .filter(|dropin| is_written(*dropin))
        {
            paths.insert(format!(
                "{DIRECTORY}/{name}.d/{}",
                dropin.get("name").text()
            ));
        }
    }
    paths
}

pub(super) fn check_path(path: Node, findings: &mut Findings) {
    match path.text() {
        "" => findings.add(path, Rule::PathMissing),
        text if !text.starts_with('/') => findings.add(path, Rule::PathRelative),
        text if clean(text) != text => findings.add_about(path, Rule::PathUnclean, &clean(text)),
        _ => {}
    }
}

/// An absolute path without what leads nowhere: `//`, `.`, `..` and a slash at the end.
fn clean(path: &str) -> String {
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

fn check_mode(mode: Node, findings: &mut Findings) {
    const SPECIAL: i64 = 0o7000;
    let Some(bits) = mode.integer() else { return };
    if !(0..=0o7777).contains(&bits) {
        findings.add(mode, Rule::Mode);
    }
    if bits & SPECIAL != 0 {
        findings.add(mode, Rule::ModeSpecial);
    }
}
