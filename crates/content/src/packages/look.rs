//! A look at the directories: what is new, what is gone, what is still being written to.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Instant, SystemTime};

use package::Kind;
use rustix::fs::FileType;
use tokio_util::sync::CancellationToken;

use super::cache::Remembered;
use super::directories::KINDS;
use super::index::{Arriving, Index, lock};
use super::reading::read;
use super::{Entry, PackageFile};
use crate::reading::{SETTLING, is_settled};
use crate::walk::walk;
use crate::{ContentError, FileName, Watch};

/// How many packages are read at once.
const READERS: usize = 2;

/// What came of a look.
pub(super) struct Looked {
    /// How many packages were read.
    pub(super) read: usize,
    /// When files that may still be written to will rest, if they are not.
    pub(super) again: Option<Instant>,
}

/// Brings the listing up to date. Costs a few system calls for each package, and reads those that are new and rest.
pub(super) fn look(
    index: &Index,
    watch: Option<&Watch>,
    remembered: &mut Remembered,
    closing: &CancellationToken,
) -> Looked {
    let (now, clock) = (Instant::now(), SystemTime::now());
    let listing = index.listing();
    let mut seen = HashSet::new();
    let mut unread = Vec::new();
    let mut unsettled = Vec::new();
    let mut arriving = Arriving::new();
    for kind in KINDS {
        let files = match files(index, watch, kind) {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(%error, "packages there cannot be served");
                let listed = listing.entries().filter(|entry| entry.kind() == kind);
                listed.map(|entry| entry.file.clone()).collect()
            }
        };
        seen.extend(files);
    }
    for file in &seen {
        let Ok(id) = index.directories.stat(file) else {
            index.change().check(file);
            continue;
        };
        if listing.get(file).is_some_and(|entry| entry.file_id == id) {
            continue;
        }
        if let Some(entry) = remembered.take(file, id) {
            list(index, entry);
            continue;
        }
        let since = match index.arriving().get(file) {
            Some((state, since)) if *state == id => *since,
            _ => now,
        };
        // By our own clock too: the file system's may be set wrong, or be another machine's.
        if is_settled(id, SETTLING, clock) || now.duration_since(since) >= SETTLING {
            unread.push((id.size, file.clone()));
        } else {
            index.change().check(file);
            unsettled.push(since);
        }
        // Until it is listed: what is still being read is not missing either.
        arriving.insert(file.clone(), (id, since));
    }
    for entry in listing.entries() {
        if !seen.contains(&entry.file) {
            index.change().check(&entry.file);
        }
    }
    let again = unsettled.into_iter().min().map(|since| since + SETTLING);
    *index.arriving() = arriving;
    let looked = Looked {
        read: unread.len(),
        again,
    };
    read_all(index, unread, closing);
    looked
}

/// The files of a kind, by their names. Has their directories watched.
fn files(
    index: &Index,
    watch: Option<&Watch>,
    kind: Kind,
) -> Result<Vec<PackageFile>, ContentError> {
    let root = index.directories.root(kind);
    let add_watch = |path: &Path| watch.iter().for_each(|watch| watch.add(path));
    // Before it is listed, so that nothing comes in between.
    add_watch(root.path());
    let mut files = Vec::new();
    walk(root, |found| match found.file_type {
        FileType::Directory => add_watch(&root.path().join(found.path)),
        FileType::RegularFile | FileType::Symlink => {
            let name = found.path.parse::<FileName>().ok();
            files.extend(name.and_then(|name| PackageFile::new(kind, name).ok()));
        }
        _ => {}
    })?;
    Ok(files)
}

/// Reads and lists these files, the small ones first.
fn read_all(index: &Index, mut unread: Vec<(u64, PackageFile)>, closing: &CancellationToken) {
    unread.sort_unstable();
    let readers = READERS.min(unread.len());
    let queue = Mutex::new(unread.into_iter());
    thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                loop {
                    let next = lock(&queue).next();
                    let Some((_, file)) = next else { return };
                    match read(&index.directories, &file, closing) {
                        _ if closing.is_cancelled() => return,
                        Ok(entry) => {
                            list(index, entry);
                            index.arriving().remove(&file);
                        }
                        Err(error) => {
                            tracing::debug!(%file, %error, "not listed");
                            index.look_wanted.notify_one();
                        }
                    }
                }
            });
        }
    });
}

fn list(index: &Index, entry: Entry) {
    if let Some(entry) = index.change().list(entry)
        && let Some(fault) = entry.fault()
    {
        tracing::warn!(file = %entry.file, fault, "a broken package is not served");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::super::directories::Directories;
    use super::*;

    fn look_at(index: &Index) -> Looked {
        look(
            index,
            None,
            &mut Remembered::default(),
            &CancellationToken::new(),
        )
    }

    fn faults(index: &Index) -> Vec<String> {
        let listing = index.listing();
        let broken = listing.entries().filter(|entry| entry.fault().is_some());
        broken.map(|entry| entry.file.to_string()).collect()
    }

    #[test]
    fn a_file_is_read_when_nobody_has_written_to_it_for_a_while() {
        let home = tempfile::tempdir().unwrap();
        let index = Index::new(Directories::open(home.path()).unwrap());
        fs::write(home.path().join("rpm/x.rpm"), "no rpm").unwrap();
        let looked = look_at(&index);
        assert_eq!(looked.read, 0);
        assert!(looked.again.unwrap() > Instant::now());
        assert!(faults(&index).is_empty());
        assert!(index.may_be_arriving(&[Kind::Rpm], "x"));

        let seen_earlier = |index: &Index| {
            for (_, since) in index.arriving().values_mut() {
                *since -= SETTLING;
            }
        };
        // It was written to meanwhile: the time begins anew.
        seen_earlier(&index);
        fs::write(home.path().join("rpm/x.rpm"), "no rpm either").unwrap();
        assert_eq!(look_at(&index).read, 0);
        seen_earlier(&index);
        let looked = look_at(&index);
        assert_eq!((looked.read, looked.again), (1, None));
        assert_eq!(faults(&index), ["rpm/x.rpm"]);
        assert!(index.arriving().is_empty());
        assert_eq!(look_at(&index).read, 0);

        // Written to again: what was read of it is worth nothing.
        fs::write(home.path().join("rpm/x.rpm"), "something new").unwrap();
        look_at(&index);
        assert_eq!(index.listing().entries().count(), 0);
    }

    #[test]
    fn what_is_in_a_directory_that_is_gone_is_not_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let index = Index::new(Directories::open(home.path()).unwrap());
        fs::write(home.path().join("deb/x.deb"), "no deb").unwrap();
        look_at(&index);
        index
            .arriving()
            .values_mut()
            .for_each(|(_, since)| *since -= SETTLING);
        look_at(&index);
        assert_eq!(faults(&index), ["deb/x.deb"]);
        fs::rename(home.path().join("deb"), home.path().join("away")).unwrap();
        look_at(&index);
        assert_eq!(faults(&index), ["deb/x.deb"]);
        fs::rename(home.path().join("away"), home.path().join("deb")).unwrap();
        fs::remove_file(home.path().join("deb/x.deb")).unwrap();
        look_at(&index);
        assert!(faults(&index).is_empty());
    }
}
