//! Packages that were made, in a directory.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use package::Kind;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file that says which packages there are.
const INDEX: &str = "packages.json";

/// What is hashed at once.
const PIECE: usize = 128 << 10;

/// The packages of a head, of one version, in a directory:
///
/// ```text
/// DIRECTORY/packages.json
///           rpm/pilotlight-0.1.0-1.x86_64.rpm
///           deb/pilotlight_0.1.0-1_amd64.deb
///           tar/pilotlight-0.1.0-1.x86_64.tar.gz
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadPackages {
    /// Their version, and which packaging of it: `0.1.0-1`.
    pub version: String,
    /// For rpm and dnf.
    pub rpm: HeadPackage,
    /// For dpkg and apt.
    pub deb: HeadPackage,
    /// For all others.
    pub tar: HeadPackage,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadPackage {
    /// What its file is called.
    pub file: String,
    /// The digest of the file.
    pub sha256: Sha256Digest,
    /// How many bytes it has.
    pub size: u64,
}

impl HeadPackages {
    /// The packages in `directory`, each of which is found to be whole; `None` if they are not all there.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        let Some(index) = if_there(std::fs::read(directory.join(INDEX)))? else {
            return Ok(None);
        };
        let Ok(packages) = serde_json::from_slice::<Self>(&index) else {
            return Ok(None);
        };
        for kind in [Kind::Rpm, Kind::Deb, Kind::Tar] {
            let Some(mut file) = if_there(File::open(packages.path(directory, kind)))? else {
                return Ok(None);
            };
            let HeadPackage { sha256, size, .. } = packages.of(kind);
            if file.metadata()?.len() != *size || sha256_of(&mut file)? != *sha256 {
                return Ok(None);
            }
        }
        Ok(Some(packages))
    }

    /// Writes down which they are.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        let mut index = serde_json::to_vec_pretty(self)?;
        index.push(b'\n');
        std::fs::write(directory.join(INDEX), index)
    }

    /// That of this kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> &HeadPackage {
        match kind {
            Kind::Rpm => &self.rpm,
            Kind::Deb => &self.deb,
            Kind::Tar => &self.tar,
        }
    }

    /// Where that of this kind lies in `directory`.
    #[must_use]
    pub fn path(&self, directory: &Path, kind: Kind) -> PathBuf {
        directory.join(kind.to_string()).join(&self.of(kind).file)
    }
}

fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn sha256_of(file: &mut File) -> io::Result<Sha256Digest> {
    let mut hashing = Hashing::new(io::sink());
    io::copy(&mut BufReader::with_capacity(PIECE, file), &mut hashing)?;
    Ok(hashing.finish()?.0)
}

/// Passes on what is written, in large pieces, and hashes it.
pub(crate) struct Hashing<W: Write> {
    out: BufWriter<W>,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(out: W) -> Self {
        Self {
            out: BufWriter::with_capacity(PIECE, out),
            hasher: Sha256::new(),
            size: 0,
        }
    }

    /// Digest and size of what was written.
    pub(crate) fn finish(mut self) -> io::Result<(Sha256Digest, u64)> {
        self.out.flush()?;
        let digest: [u8; 32] = self.hasher.finalize().into();
        Ok((digest.into(), self.size))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
