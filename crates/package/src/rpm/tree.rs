//! Where the files of a package go: each has one name below the root, and none goes by way of another that is no
//! directory.

use std::cmp::Ordering;

use super::files::{File, FileKind, Files};
use super::{Refusal, RpmError};

/// The root, and what [`IN_USR`] has.
pub(super) const LEFT_OUT: usize = 1 + IN_USR.len();

/// The files that go into the tar, by the names they have there.
pub(super) struct Tree {
    /// All names, one after the other.
    names: Vec<u8>,
    /// Where the name of each file ends; it begins where the one before ends. Empty for what is left out.
    ends: Vec<usize>,
    /// The files that are not left out, by their names' order.
    by_name: Vec<u32>,
}

/// Directories that are symlinks into `usr` on most systems: a tar with an entry for one would make it a directory there,
/// and no program would be found any more.
const IN_USR: [&[u8]; 4] = [b"bin", b"sbin", b"lib", b"lib64"];

impl Tree {
    pub(super) fn new(files: &Files<'_>) -> Result<Self, RpmError> {
        let mut tree = Self {
            names: Vec::new(),
            ends: Vec::with_capacity(files.len()),
            by_name: Vec::new(),
        };
        for (index, file) in files.iter().enumerate() {
            if !file.is_ghost()
                && let Some(name) = place(&file)?
            {
                tree.names.extend(name);
                // There are no more files than a header has bytes.
                tree.by_name.push(index as u32);
            }
            tree.ends.push(tree.names.len());
        }
        let mut by_name = std::mem::take(&mut tree.by_name);
        // Of two equal names, the one that comes first in the header.
        by_name.sort_by(|&a, &b| parts_order(tree.name(a as usize), tree.name(b as usize)));
        tree.by_name = by_name;
        tree.drop_repeated_directories(files)?;
        tree.check_ways(files)?;
        Ok(tree)
    }

    /// The name of a file in the tar, without a slash at the end; empty if it is left out.
    pub(super) fn name(&self, index: usize) -> &[u8] {
        let begin = index
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let end = self.ends.get(index).copied().unwrap_or(0);
        self.names
            .get(begin.copied().unwrap_or(0)..end)
            .unwrap_or_default()
    }

    /// The files that are in the tar.
    pub(super) fn indexes(&self) -> impl Iterator<Item = usize> {
        self.by_name.iter().map(|&index| index as usize)
    }

    /// Whether a file is in the tar.
    pub(super) fn contains(&self, index: usize) -> bool {
        self.find(self.name(index)) == Some(index)
    }

    /// Which file has this name in the tar.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let order = |&index: &u32| parts_order(self.name(index as usize), name);
        let found = self.by_name.binary_search_by(order).ok()?;
        self.by_name.get(found).map(|&index| index as usize)
    }

    /// `lib/x` and `usr/lib/x` may both be directories of a package, and become one.
    fn drop_repeated_directories(&mut self, files: &Files<'_>) -> Result<(), RpmError> {
        let mut kept: Vec<u32> = Vec::with_capacity(self.by_name.len());
        for &index in &self.by_name {
            let before = kept.last().map(|&before| before as usize);
            let repeated = before.filter(|&before| self.name(before) == self.name(index as usize));
            let pair = repeated
                .and_then(|before| files.get(before))
                .zip(files.get(index as usize));
            match pair {
                Some((before, file)) if before.is_directory() && file.is_directory() => {}
                Some((before, file)) => return Err(file.refused(same_place(&before, &file))),
                None => kept.push(index),
            }
        }
        self.by_name = kept;
        Ok(())
    }

    /// By the order of names, all that is below one follows it.
    fn check_ways(&self, files: &Files<'_>) -> Result<(), RpmError> {
        let mut no_directory: Option<&[u8]> = None;
        for index in self.indexes() {
            let Some(file) = files.get(index) else {
                continue;
            };
            let name = self.name(index);
            if let Some(no_directory) = no_directory
                && name
                    .strip_prefix(no_directory)
                    .is_some_and(|rest| rest.starts_with(b"/"))
            {
                let way = String::from_utf8_lossy(no_directory).into_owned();
                return Err(file.refused(Refusal::ThroughFile(way)));
            }
            if file.kind()? != FileKind::Directory {
                no_directory = Some(name);
            }
        }
        Ok(())
    }
}

fn same_place(one: &File<'_>, other: &File<'_>) -> Refusal {
    if one.name() == other.name() {
        return Refusal::Duplicate;
    }
    Refusal::SameInUsr(one.name())
}

/// The name of a file in the tar. Nothing if it is left out since every system has it.
fn place(file: &File<'_>) -> Result<Option<Vec<u8>>, RpmError> {
    if file.base.starts_with(b"/") && !file.directory.is_empty() {
        return Err(file.refused(Refusal::AbsoluteName));
    }
    let name = [file.directory, file.base].concat();
    let name = below_root(&name).map_err(|reason| file.refused(reason))?;
    let kind = file.kind()?;
    match kind {
        _ if !is_left_out(&name) => Ok(Some(name)),
        FileKind::Directory => Ok(None),
        _ if name.is_empty() => Err(file.refused(Refusal::EmptyName)),
        // As the package that makes them links has it.
        FileKind::Symlink if leads_into_usr(&name, file.link_target) => Ok(None),
        _ => Err(file.refused(Refusal::ReplacesSystemDirectory)),
    }
}

/// The root, and what every system has in it.
pub(super) fn is_left_out(name: &[u8]) -> bool {
    name.is_empty() || IN_USR.contains(&name)
}

fn leads_into_usr(name: &[u8], target: &[u8]) -> bool {
    let target = target.strip_prefix(b"/").unwrap_or(target);
    target.strip_prefix(b"usr/") == Some(name)
}

/// The place of a name below the root: of one spelling, and below `usr` what is there on most systems. Empty for the root
/// itself.
pub(super) fn below_root(name: &[u8]) -> Result<Vec<u8>, Refusal> {
    let name = name.strip_prefix(b"/").unwrap_or(name);
    if name.is_empty() {
        return Ok(Vec::new());
    }
    if name.starts_with(b"/") {
        return Err(Refusal::AbsoluteName);
    }
    // Version 3 ends the names of directories in a slash.
    let name = name.strip_suffix(b"/").unwrap_or(name);
    for part in parts(name) {
        match part {
            b"" => return Err(Refusal::EmptyName),
            b"." | b".." => return Err(Refusal::DotName),
            _ => {}
        }
    }
    let first = parts(name).next().unwrap_or_default();
    if is_left_out(first) && first != name {
        return Ok([b"usr/", name].concat());
    }
    Ok(name.to_vec())
}

fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|&byte| byte == b'/')
}

/// Part by part, so that what is below a directory follows it.
fn parts_order(one: &[u8], other: &[u8]) -> Ordering {
    parts(one).cmp(parts(other))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_place() {
        for (name, place) in [
            ("/usr/bin/a", "usr/bin/a"),
            ("usr/bin/a", "usr/bin/a"),
            ("/opt/a/", "opt/a"),
            ("/bin/a", "usr/bin/a"),
            ("/lib64/a/b", "usr/lib64/a/b"),
            ("/lib", "lib"),
            ("/lib32/a", "lib32/a"),
            ("/opt/lib/a", "opt/lib/a"),
            ("/...", "..."),
            ("/", ""),
        ] {
            assert_eq!(below_root(name.as_bytes()), Ok(place.into()), "{name}");
        }
        for (name, refusal) in [
            ("//a", Refusal::AbsoluteName),
            ("/a//b", Refusal::EmptyName),
            ("/a/../b", Refusal::DotName),
            ("/a/.", Refusal::DotName),
        ] {
            assert_eq!(below_root(name.as_bytes()), Err(refusal), "{name}");
        }
    }

    #[test]
    fn what_is_below_a_directory_follows_it() {
        let mut names = ["a-b", "a/b", "a", "a.c/d", "a/b/c", "ab"];
        names.sort_by(|one, other| parts_order(one.as_bytes(), other.as_bytes()));
        assert_eq!(names, ["a", "a/b", "a/b/c", "a-b", "a.c/d", "ab"]);
    }
}
