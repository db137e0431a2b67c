//! Everything below the directory, symbolic links to directories not followed.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, statat};

use crate::file_name::MAX_DEPTH;
use crate::{ContentError, FileRoot};

/// One entry of a directory.
pub(crate) struct Found<'a> {
    /// The directory it is in.
    pub(crate) directory: &'a OwnedFd,
    /// The path from the top directory, the entry's own name included.
    pub(crate) path: &'a str,
    /// The entry's own name.
    pub(crate) name: &'a str,
    pub(crate) file_type: FileType,
}

/// Shows `visit` every entry that has a name in UTF-8, to the depth that names may have. Directories that vanish
/// or cannot be read are passed over.
///
/// # Errors
/// [`ContentError::Directory`] when the top directory cannot be read.
pub(crate) fn walk(root: &FileRoot, mut visit: impl FnMut(&Found<'_>)) -> Result<(), ContentError> {
    let mut pending = vec![(String::new(), 1)];
    while let Some((parent, depth)) = pending.pop() {
        let opened = root
            .open_directory(&parent)
            .and_then(|directory| Ok((Dir::read_from(&directory)?, directory)));
        let (entries, directory) = match opened {
            Ok(opened) => opened,
            Err(error) if parent.is_empty() => return Err(root.unusable(error)),
            Err(_) => continue,
        };
        for entry in entries.filter_map(Result::ok) {
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name == "." || name == ".." {
                continue;
            }
            let path = if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}/{name}")
            };
            let file_type = match entry.file_type() {
                // Not every file system tells the type along with the name.
                FileType::Unknown => statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(FileType::Unknown, |stat| {
                        FileType::from_raw_mode(stat.st_mode)
                    }),
                known => known,
            };
            visit(&Found {
                directory: &directory,
                path: &path,
                name,
                file_type,
            });
            if file_type == FileType::Directory && depth < MAX_DEPTH {
                pending.push((path, depth + 1));
            }
        }
    }
    Ok(())
}
