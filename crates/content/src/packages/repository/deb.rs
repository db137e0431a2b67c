//! A flat repository of Debian packages: an index of all of them, and a `Release` that names it (apt-ftparchive(1)).

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, Write};
use std::time::SystemTime;

use package::deb::{Control, read_control};

use super::compressed_file::{CompressedFile, Hashing, Sum};
use super::{Directory, KEPT, Offered, RepositoryError, SigningKey};
use crate::Sha256Digest;
use crate::temporary::Temporary;

const PLAIN: &str = "Packages";
const COMPRESSED: &str = "Packages.gz";
const RELEASE: &str = "Release";
const SIGNATURE: &str = "Release.gpg";
const SIGNED_RELEASE: &str = "InRelease";

/// What the index says of a package besides its control file, and a control file has no say in.
const OURS: [&str; 6] = ["Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512"];

/// The index, in one of two forms.
struct Index {
    name: &'static str,
    file: Temporary,
    sum: Sum,
}

/// Writes and publishes the index.
pub(super) fn rebuild(
    directory: &Directory,
    offered: &mut Offered,
    signing: Option<&SigningKey>,
) -> Result<(), RepositoryError> {
    let indices = write_packages(directory, offered)?;
    let release = directory.temporary()?;
    directory.explain(write_release(&release.file, &indices))?;
    let signature = signing.map(|key| key.sign_detached(directory, &release.file));
    let signature = signature.transpose()?;
    let signed = signing.map(|key| key.sign_clear(directory, &release.file));
    let signed = signed.transpose()?;

    // apt takes them by digest, so that it gets those that its Release names whatever happens meanwhile.
    let by_digest = directory.inner("by-hash")?.inner("SHA256")?;
    let digests = indices.each_ref().map(|index| index.sum.sha256.to_string());
    for (index, digest) in indices.into_iter().zip(&digests) {
        let copy = by_digest.temporary()?;
        directory.explain(copy_whole(&index.file.file, &copy.file))?;
        by_digest.publish(copy, digest)?;
        directory.publish(index.file, index.name)?;
    }
    // apt asks for the signed one first, and if there is none for the others.
    directory.replace(signature, SIGNATURE)?;
    directory.publish(release, RELEASE)?;
    directory.replace(signed, SIGNED_RELEASE)?;
    by_digest.sweep(&digests, KEPT * digests.len())
}

fn write_packages(
    directory: &Directory,
    offered: &mut Offered,
) -> Result<[Index; 2], RepositoryError> {
    let plain = directory.temporary()?;
    let mut compressed = CompressedFile::create(directory)?;
    let mut out = BufWriter::new(Hashing::new(directory.explain(plain.file.try_clone())?));
    offered.for_each(
        |file| read_control(BufReader::new(file)),
        |entry, package, deb| {
            let (name, size) = (entry.file.name().as_str(), entry.file_id.size);
            let paragraph = paragraph(&deb.control, name, size, package.sha256);
            let written = out.write_all(paragraph.as_bytes());
            directory.explain(written.and_then(|()| compressed.write_all(paragraph.as_bytes())))
        },
    )?;
    let out = directory.explain(out.into_inner().map_err(io::Error::from))?;
    let (_, sum) = out.finish();
    let compressed = directory.explain(compressed.finish())?;
    Ok([
        Index {
            name: PLAIN,
            file: plain,
            sum,
        },
        Index {
            name: COMPRESSED,
            file: compressed.temporary,
            sum: compressed.compressed,
        },
    ])
}

/// The paragraph of one package, with the blank line that ends it.
fn paragraph(control: &Control, name: &str, size: u64, sha256: Sha256Digest) -> String {
    let is_ours = |name: &str| OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name));
    let fields = control.fields().filter(|field| !is_ours(field.name));
    let fields: String = fields.map(|field| field.text).collect();
    format!("{fields}Filename: ./{name}\nSize: {size}\nSHA256: {sha256}\n\n")
}

fn write_release(mut file: &File, indices: &[Index]) -> io::Result<()> {
    // apt takes no Release that is older than the one it has.
    let date = httpdate::fmt_http_date(SystemTime::now()).replace("GMT", "UTC");
    let mut text = format!(
        "Origin: Pilotlight\nLabel: Pilotlight\nSuite: pilotlight\nDate: {date}\nAcquire-By-Hash: yes\nSHA256:\n"
    );
    for Index { name, sum, .. } in indices {
        text += &format!(" {} {} {name}\n", sum.sha256, sum.size);
    }
    file.write_all(text.as_bytes())
}

fn copy_whole(mut from: &File, mut to: &File) -> io::Result<()> {
    from.rewind()?;
    io::copy(&mut from, &mut to).map(drop)
}
