//! Which package is built from which others, as cargo resolves them.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// A package, ours or from outside.
pub(super) struct Package {
    /// Unique, unlike the name, of which there may be several versions.
    pub id: String,
    pub name: String,
    /// The path of its manifest if it is in this repository, relative to the root.
    pub manifest: Option<String>,
    /// The ids of what is built into it; those for its tests alone do not count.
    pub uses: Vec<String>,
}

/// The package with this id.
pub(super) fn by_id<'a>(packages: &'a [Package], id: &str) -> Option<&'a Package> {
    packages.iter().find(|package| package.id == id)
}

/// Everything that is built into a package, however indirectly, but for what only `harmless` ones bring.
pub(super) fn all_used<'a>(
    packages: &'a [Package],
    package: &'a Package,
    harmless: &[&str],
) -> Vec<&'a Package> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut waiting: Vec<_> = package.uses.iter().collect();
    while let Some(id) = waiting.pop() {
        if let Some(used) = by_id(packages, id)
            && seen.insert(id)
            && !harmless.contains(&used.name.as_str())
        {
            waiting.extend(&used.uses);
            found.push(used);
        }
    }
    found
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Described>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Described {
    id: String,
    name: String,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    /// None for an ordinary dependency, else "build" or "dev".
    kind: Option<String>,
}

/// Asks `cargo metadata`.
pub(super) fn read(root: &Path) -> Result<Vec<Package>> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo metadata ended with {}", output.status);
    }
    let mut metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cannot read cargo's metadata")?;
    let packages = metadata.packages.into_iter().map(|described| {
        let node = metadata
            .resolve
            .nodes
            .iter_mut()
            .find(|node| node.id == described.id);
        let edges = node
            .map(|node| std::mem::take(&mut node.deps))
            .unwrap_or_default();
        let is_built_in = |edge: &Edge| {
            edge.dep_kinds
                .iter()
                .any(|how| how.kind.as_deref() != Some("dev"))
        };
        Package {
            manifest: described
                .manifest_path
                .strip_prefix(root)
                .ok()
                .map(|path| path.to_string_lossy().into_owned()),
            id: described.id,
            name: described.name,
            uses: edges
                .into_iter()
                .filter(is_built_in)
                .map(|edge| edge.pkg)
                .collect(),
        }
    });
    Ok(packages.collect())
}

#[cfg(test)]
pub(super) fn package(name: &str, uses: &[&str]) -> Package {
    Package {
        id: name.to_owned(),
        name: name.to_owned(),
        manifest: Some(format!("crates/{name}/Cargo.toml")),
        uses: uses.iter().map(|name| (*name).to_owned()).collect(),
    }
}
