//! A repository of rpms, as createrepo_c makes them.

mod filelists;
mod other;
mod primary;
mod repomd;
mod xml;

use std::io::{self, BufReader, Write};
use std::time::SystemTime;

use package::Identity;
use package::rpm::{Metadata, PathKind, metadata};

use super::compressed_file::{CompressedFile, Written};
use super::{Directory, KEPT, Offered, RepositoryError, SigningKey};
use crate::{FileName, Sha256Digest};
use xml::{Escaped, VersionAttributes};

const REPOMD: &str = "repomd.xml";
const SIGNATURE: &str = "repomd.xml.asc";

/// One part of the index: an XML document with an element for each package.
struct Part {
    /// What `repomd.xml` calls it.
    name: &'static str,
    root: &'static str,
    namespaces: &'static str,
    write: fn(&mut dyn Write, &Rpm<'_>) -> io::Result<()>,
}

const PARTS: [Part; 3] = [
    Part {
        name: "primary",
        root: "metadata",
        namespaces: "xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\"",
        write: primary::write,
    },
    Part {
        name: "filelists",
        root: "filelists",
        namespaces: "xmlns=\"http://linux.duke.edu/metadata/filelists\"",
        write: filelists::write,
    },
    Part {
        name: "other",
        root: "otherdata",
        namespaces: "xmlns=\"http://linux.duke.edu/metadata/other\"",
        write: other::write,
    },
];

/// A package, and all that is said of it.
struct Rpm<'a> {
    name: &'a FileName,
    sha256: Sha256Digest,
    modified: SystemTime,
    metadata: &'a Metadata,
}

impl Rpm<'_> {
    fn identity(&self) -> &Identity {
        &self.metadata.rpm.identity
    }
}

/// A part that is written.
struct Finished {
    part: &'static Part,
    written: Written,
    /// Its digest is in its name, so that what has that name never changes.
    file_name: String,
}

/// Writes and publishes the index.
pub(super) fn rebuild(
    directory: &Directory,
    offered: &mut Offered,
    signing: Option<&SigningKey>,
) -> Result<(), RepositoryError> {
    let directory = directory.inner("repodata")?;
    let parts = loop {
        let count = offered.count();
        let parts = write(&directory, offered)?;
        // The number of packages stands at the beginning, so if one was left out there is no other way.
        if offered.count() == count {
            break parts;
        }
    };
    let repomd = directory.temporary()?;
    directory.explain(repomd::write(&repomd.file, &parts))?;
    let signature = signing.map(|key| key.sign_detached(&directory, &repomd.file));
    let signature = signature.transpose()?;

    let mut current = vec![REPOMD.to_owned(), SIGNATURE.to_owned()];
    for Finished {
        written, file_name, ..
    } in parts
    {
        directory.publish(written.temporary, &file_name)?;
        current.push(file_name);
    }
    directory.replace(signature, SIGNATURE)?;
    directory.publish(repomd, REPOMD)?;
    directory.sweep(&current, KEPT * PARTS.len())
}

fn write(directory: &Directory, offered: &mut Offered) -> Result<Vec<Finished>, RepositoryError> {
    let count = offered.count();
    let mut files = Vec::new();
    for part in &PARTS {
        let mut file = CompressedFile::create(directory)?;
        let Part {
            root, namespaces, ..
        } = part;
        let begin = writeln!(
            file,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} {namespaces} packages=\"{count}\">"
        );
        directory.explain(begin)?;
        files.push((part, file));
    }
    offered.for_each(
        |file| metadata(BufReader::new(file)),
        |entry, package, metadata| {
            let rpm = Rpm {
                name: entry.file.name(),
                sha256: package.sha256,
                modified: entry.file_id.mtime,
                metadata: &metadata,
            };
            files
                .iter_mut()
                .try_for_each(|(part, file)| directory.explain((part.write)(file, &rpm)))
        },
    )?;
    let finish = |(part, mut file): (&'static Part, CompressedFile)| {
        let written = writeln!(file, "</{}>", part.root).and_then(|()| file.finish());
        let written = directory.explain(written)?;
        Ok(Finished {
            part,
            file_name: format!("{}-{}.xml.gz", written.compressed.sha256, part.name),
            written,
        })
    };
    files.into_iter().map(finish).collect()
}

/// The element that filelists and other have of a package, as far as the content of it.
fn write_package_start(out: &mut dyn Write, rpm: &Rpm<'_>) -> io::Result<()> {
    let Identity {
        name,
        version,
        architecture,
    } = rpm.identity();
    writeln!(
        out,
        "<package pkgid=\"{}\" name=\"{name}\" arch=\"{architecture}\">\n  <version{}/>",
        rpm.sha256,
        VersionAttributes::from(version),
    )
}

/// The elements of what a package owns, of all or of those that `wanted` picks.
fn write_paths(
    out: &mut dyn Write,
    rpm: &Rpm<'_>,
    indent: &str,
    wanted: fn(&str) -> bool,
) -> io::Result<()> {
    for owned in rpm
        .metadata
        .paths
        .iter()
        .filter(|owned| wanted(&owned.path))
    {
        let kind = match owned.kind {
            PathKind::Directory => " type=\"dir\"",
            PathKind::Ghost => " type=\"ghost\"",
            PathKind::File => "",
        };
        writeln!(out, "{indent}<file{kind}>{}</file>", Escaped(&owned.path))?;
    }
    Ok(())
}
