//! `GET /ignition/bin`: the program that applies Ignition configs, for the architecture that the node has.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use content::OpenFile;
use http::HeaderMap;
use model::Tree;
use package::Architecture;

use crate::{Error, boot::Delivery, call::Call};

/// Where distributions install the program: Debian, Fedora, RHEL and openSUSE; Flatcar.
const SYSTEM_PLACES: [&str; 2] = [
    "/usr/lib/dracut/modules.d/30ignition/ignition",
    "/usr/bin/ignition",
];

pub(crate) async fn get(call: &Call) -> Result<Delivery, Error> {
    let architecture = call.query.value("arch")?.unwrap_or(Architecture::X86_64);
    let open = || {
        let head = Arc::clone(&call.head);
        async move {
            tokio::task::spawn_blocking(move || {
                let file = head.ignition_bin.of(architecture).open()?;
                let sha256 = head.digests.of(&file).map_err(Unfit::from);
                let sha256 = sha256.map_err(|unfit| unfit.at(file.path().display()))?;
                Ok::<_, Error>((file, sha256))
            })
            .await?
        }
    };
    let path = format!("{architecture}/ignition");
    let (file, sha256) = call.head.awaiting(Tree::Ignition, &path, open).await?;
    Ok(Delivery::of_file(file, sha256, HeaderMap::new()))
}

/// The ignition binaries of this head.
pub(crate) struct IgnitionBin {
    x86_64: Places,
    aarch64: Places,
}

impl IgnitionBin {
    pub(crate) fn new(paths: &IgnitionBinPaths) -> Self {
        let places = |architecture: Architecture, configured: &Option<PathBuf>| Places {
            architecture,
            configured: configured.clone(),
            default: paths
                .default
                .join(architecture.to_string())
                .join("ignition"),
        };
        Self {
            x86_64: places(Architecture::X86_64, &paths.x86_64),
            aarch64: places(Architecture::Aarch64, &paths.aarch64),
        }
    }

    fn of(&self, architecture: Architecture) -> &Places {
        match architecture {
            Architecture::X86_64 => &self.x86_64,
            Architecture::Aarch64 => &self.aarch64,
        }
    }
}

/// Where the ignition binaries are.
#[derive(Clone, Debug)]
pub struct IgnitionBinPaths {
    /// The one for x86-64, where the usual places will not do.
    pub x86_64: Option<PathBuf>,
    /// The one for 64-bit Arm, where the usual places will not do.
    pub aarch64: Option<PathBuf>,
    /// A directory in which `<architecture>/ignition` is looked for.
    pub default: PathBuf,
}

/// Where to look for the binary of an architecture.
struct Places {
    architecture: Architecture,
    configured: Option<PathBuf>,
    default: PathBuf,
}

impl Places {
    /// The first binary there is. Where an administrator put it, it must be the right one; the system has the one
    /// for its own architecture.
    fn open(&self) -> Result<OpenFile, Error> {
        let architecture = self.architecture;
        if let Some(path) = &self.configured {
            let key = format!("ignition.bin.{architecture}: {}", path.display());
            return open(path, architecture).map_err(|unfit| unfit.at(key));
        }
        let mut looked = Vec::new();
        match open(&self.default, architecture) {
            Err(Unfit::Absent) => looked.push((self.default.as_path(), Unfit::Absent)),
            found => return found.map_err(|unfit| unfit.at(self.default.display())),
        }
        for place in SYSTEM_PLACES.map(Path::new) {
            match open(place, architecture) {
                Ok(file) => return Ok(file),
                Err(unfit) => looked.push((place, unfit)),
            }
        }
        let looked: Vec<_> = looked
            .iter()
            .map(|(place, unfit)| format!("{} ({unfit})", place.display()))
            .collect();
        Err(Error::NotFound(format!(
            "no ignition binary for {architecture}: looked at {}",
            looked.join(", ")
        )))
    }
}

/// Opens the binary at `path`, if it is one for this architecture.
fn open(path: &Path, architecture: Architecture) -> Result<OpenFile, Unfit> {
    let file = OpenFile::open(path)?;
    let mut header = [0; ELF_HEADER];
    if file.id().size >= header.len() as u64 {
        file.read_at(&mut header, 0)?;
    }
    match Machine::of(&header) {
        Some(machine) if machine == Machine::of_architecture(architecture) => Ok(file),
        Some(machine) => Err(Unfit::Foreign(machine)),
        None => Err(Unfit::NoProgram),
    }
}

/// Why there is no binary for an architecture at some place.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("not there")]
    Absent,
    #[error("{0}")]
    NotRegular(io::Error),
    #[error("not an ELF program for a 64-bit little-endian machine")]
    NoProgram,
    #[error("a program for {0}")]
    Foreign(Machine),
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
}

impl Unfit {
    /// What it means to the client where a binary must be at `place`.
    fn at(&self, place: impl fmt::Display) -> Error {
        let said = format!("{place}: {self}");
        match self {
            Self::Absent => Error::NotFound(said),
            Self::NotRegular(_) | Self::NoProgram | Self::Foreign(_) => Error::Unprocessable(said),
            Self::Unreadable(_) => Error::Unavailable(said),
        }
    }
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Absent,
            io::ErrorKind::InvalidInput => Self::NotRegular(error),
            _ => Self::Unreadable(error),
        }
    }
}

/// How many bytes of an ELF file tell its machine.
const ELF_HEADER: usize = 20;

/// What an ELF program runs on: `e_machine`, of a 64-bit little-endian file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Machine(u16);

impl Machine {
    const X86_64: Self = Self(62);
    const AARCH64: Self = Self(183);

    fn of_architecture(architecture: Architecture) -> Self {
        match architecture {
            Architecture::X86_64 => Self::X86_64,
            Architecture::Aarch64 => Self::AARCH64,
        }
    }

    fn of(header: &[u8; ELF_HEADER]) -> Option<Self> {
        const CLASS_64: u8 = 2;
        const LITTLE_ENDIAN: u8 = 1;

        match header {
            [
                0x7f,
                b'E',
                b'L',
                b'F',
                CLASS_64,
                LITTLE_ENDIAN,
                ..,
                low,
                high,
            ] => Some(Self(u16::from_le_bytes([*low, *high]))),
            _ => None,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::X86_64 => f.write_str("x86_64"),
            Self::AARCH64 => f.write_str("aarch64"),
            Self(other) => write!(f, "another machine (ELF number {other})"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    /// The beginning of a program.
    fn elf(class: u8, order: u8, machine: u16) -> Vec<u8> {
        let mut elf = vec![0; 64];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[4..6].copy_from_slice(&[class, order]);
        elf[18..20].copy_from_slice(&machine.to_le_bytes());
        elf
    }

    fn places(home: &Path, configured: Option<&str>) -> Places {
        Places {
            architecture: Architecture::Aarch64,
            configured: configured.map(|name| home.join(name)),
            default: home.join("default"),
        }
    }

    fn refused(places: &Places) -> (u16, String) {
        let error = places.open().unwrap_err();
        (error.status().as_u16(), error.to_string())
    }

    #[test]
    fn only_a_program_for_the_architecture_is_opened() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("program");
        let open = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            open(&path, Architecture::Aarch64)
                .map(drop)
                .map_err(|unfit| unfit.to_string())
        };
        open(&elf(2, 1, 183)).unwrap();
        assert_eq!(open(&elf(2, 1, 62)).unwrap_err(), "a program for x86_64");
        assert_eq!(
            open(&elf(2, 1, 243)).unwrap_err(),
            "a program for another machine (ELF number 243)"
        );
        let no_program = "not an ELF program for a 64-bit little-endian machine";
        for bytes in [
            b"".as_slice(),
            b"#!/bin/sh\necho this is long enough for a header\n",
            &elf(1, 1, 183),
            &elf(2, 2, 183),
            &elf(2, 1, 183)[..ELF_HEADER - 1],
        ] {
            assert_eq!(open(bytes).unwrap_err(), no_program);
        }
    }

    #[test]
    fn a_configured_place_is_the_only_one() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("default"), elf(2, 1, 183)).unwrap();
        let configured = places(home.path(), Some("mine"));
        let path = home.path().join("mine");
        let (status, reason) = refused(&configured);
        assert_eq!(status, 404);
        let expected = format!("ignition.bin.aarch64: {}: not there", path.display());
        assert_eq!(reason, expected);

        fs::write(&path, elf(2, 1, 62)).unwrap();
        let (status, reason) = refused(&configured);
        assert_eq!(status, 422);
        assert!(reason.ends_with("mine: a program for x86_64"), "{reason}");

        fs::write(&path, elf(2, 1, 183)).unwrap();
        assert_eq!(configured.open().unwrap().path(), path);
    }

    #[test]
    fn the_data_directory_comes_before_the_system() {
        let home = tempfile::tempdir().unwrap();
        let usual = places(home.path(), None);
        fs::write(home.path().join("default"), "no program").unwrap();
        let (status, reason) = refused(&usual);
        assert_eq!(status, 422, "{reason}");
        fs::write(home.path().join("default"), elf(2, 1, 183)).unwrap();
        let opened = usual.open().unwrap();
        assert_eq!(opened.path(), home.path().join("default"));
    }
}
