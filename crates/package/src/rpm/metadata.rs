//! What a repository says of an rpm.

use std::io::{Read, Seek};
use std::ops::Range;

use super::files::{File, Files};
use super::header::Header;
use super::sections::Sections;
use super::tag::{self, Tag};
use super::{Limits, Rpm, RpmError};

/// What a repository says of an rpm.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Who it is.
    pub rpm: Rpm,
    /// What it is, in a line.
    pub summary: String,
    /// What it is, in full.
    pub description: String,
    /// Where it comes from.
    pub url: String,
    /// Under which licence.
    pub license: String,
    /// Who gives it out.
    pub vendor: String,
    /// Who packed it.
    pub packager: String,
    /// Of what kind it is, in the packager's words.
    pub group: String,
    /// The host it was built on.
    pub build_host: String,
    /// The file name of the source package it was built from.
    pub source_rpm: String,
    /// When it was built, in seconds since 1970.
    pub build_time: u64,
    /// What it offers.
    pub provides: Vec<Dependency>,
    /// What it needs. Not what it needs of rpm itself, `rpmlib(…)`: rpm sees to that.
    pub requires: Vec<Requirement>,
    /// What it cannot be installed beside.
    pub conflicts: Vec<Dependency>,
    /// What it replaces.
    pub obsoletes: Vec<Dependency>,
    /// What it would like to have.
    pub recommends: Vec<Dependency>,
    /// What goes well with it.
    pub suggests: Vec<Dependency>,
    /// What would like to have it.
    pub supplements: Vec<Dependency>,
    /// What it goes well with.
    pub enhances: Vec<Dependency>,
    /// All that it owns, in the order of its header.
    pub paths: Vec<OwnedPath>,
    /// The last ten changes, the newest first.
    pub changes: Vec<Change>,
    /// Where its header lies in the file.
    pub header: Range<u64>,
    /// Bytes of the file.
    pub package_size: u64,
    /// Bytes once it is installed.
    pub installed_size: u64,
    /// Bytes of its payload without compression.
    pub archive_size: u64,
}

/// A package or capability, and which versions of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Of a package, a file, or anything that packages provide.
    pub name: String,
    /// Which versions; all if none are said.
    pub versions: Option<(Comparison, Evr)>,
}

/// Epoch, version and release as a dependency has them: whatever its packager wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evr {
    /// 0 where none is given.
    pub epoch: u32,
    /// What upstream calls it.
    pub version: String,
    /// Which packaging of it; any, if none is given.
    pub release: Option<String>,
}

/// A dependency, and when it must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// What must be there.
    pub dependency: Dependency,
    /// Whether it must be there before this package is, since scriptlets run it.
    pub before_install: bool,
}

/// How a version compares with one that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Older.
    Less,
    /// Older, or the same.
    LessOrEqual,
    /// The same.
    Equal,
    /// The same, or newer.
    GreaterOrEqual,
    /// Newer.
    Greater,
}

/// Something that a package owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPath {
    /// From the root on.
    pub path: String,
    /// What it is.
    pub kind: PathKind,
}

/// What a package owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A directory.
    Directory,
    /// What is not in the package, but belongs to it once it is there, such as a log.
    Ghost,
    /// A file, or anything else.
    File,
}

/// What changed when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Who changed it, and in which version.
    pub author: String,
    /// When, in seconds since 1970.
    pub time: u64,
    /// What changed.
    pub text: String,
}

/// What a repository says of an rpm, out of its headers. Does not unpack it.
///
/// # Errors
/// It is damaged, cut short, or no rpm.
pub fn metadata(package: impl Read + Seek) -> Result<Metadata, RpmError> {
    let sections = Sections::read(package)?;
    let header = &sections.header;
    Ok(Metadata {
        rpm: sections.rpm()?,
        summary: header.text(tag::SUMMARY)?,
        description: header.text(tag::DESCRIPTION)?,
        url: header.text(tag::URL)?,
        license: header.text(tag::LICENSE)?,
        vendor: header.text(tag::VENDOR)?,
        packager: header.text(tag::PACKAGER)?,
        group: header.text(tag::GROUP)?,
        build_host: header.text(tag::BUILDHOST)?,
        source_rpm: header.text(tag::SOURCERPM)?,
        build_time: header.integer(tag::BUILDTIME)?.unwrap_or(0),
        provides: PROVIDES.read(header)?,
        requires: requires(header)?,
        conflicts: CONFLICTS.read(header)?,
        obsoletes: OBSOLETES.read(header)?,
        recommends: RECOMMENDS.read(header)?,
        suggests: SUGGESTS.read(header)?,
        supplements: SUPPLEMENTS.read(header)?,
        enhances: ENHANCES.read(header)?,
        paths: paths(header)?,
        changes: changes(header)?,
        header: sections.header_range.clone(),
        package_size: sections.length,
        installed_size: header
            .first_integer(&[tag::LONGSIZE, tag::SIZE])?
            .unwrap_or(0),
        archive_size: sections.archive_size()?.unwrap_or(0),
    })
}

/// The three arrays that dependencies of one kind are in.
struct Arrays {
    names: Tag,
    versions: Tag,
    flags: Tag,
}

macro_rules! arrays {
    ($($kind:ident: $names:ident, $versions:ident, $flags:ident;)*) => {
        $(const $kind: Arrays = Arrays { names: tag::$names, versions: tag::$versions, flags: tag::$flags };)*
    };
}

arrays! {
    PROVIDES: PROVIDENAME, PROVIDEVERSION, PROVIDEFLAGS;
    REQUIRES: REQUIRENAME, REQUIREVERSION, REQUIREFLAGS;
    CONFLICTS: CONFLICTNAME, CONFLICTVERSION, CONFLICTFLAGS;
    OBSOLETES: OBSOLETENAME, OBSOLETEVERSION, OBSOLETEFLAGS;
    RECOMMENDS: RECOMMENDNAME, RECOMMENDVERSION, RECOMMENDFLAGS;
    SUGGESTS: SUGGESTNAME, SUGGESTVERSION, SUGGESTFLAGS;
    SUPPLEMENTS: SUPPLEMENTNAME, SUPPLEMENTVERSION, SUPPLEMENTFLAGS;
    ENHANCES: ENHANCENAME, ENHANCEVERSION, ENHANCEFLAGS;
}

const LESS: u64 = 1 << 1;
const GREATER: u64 = 1 << 2;
const EQUAL: u64 = 1 << 3;
/// Said to be needed early, or needed by a scriptlet that runs before or right after the files are there.
const BEFORE_INSTALL: u64 = 1 << 6 | 1 << 9 | 1 << 10;
/// What rpm itself must be able to do.
const OF_RPM_ITSELF: u64 = 1 << 24;

/// Several times what kernels have, which provide each of their symbols.
const MOST_DEPENDENCIES: usize = 1 << 17;

impl Arrays {
    fn read(&self, header: &Header) -> Result<Vec<Dependency>, RpmError> {
        let dependencies = self.read_with_flags(header)?;
        Ok(dependencies
            .into_iter()
            .map(|(dependency, _)| dependency)
            .collect())
    }

    fn read_with_flags(&self, header: &Header) -> Result<Vec<(Dependency, u64)>, RpmError> {
        let names = header.strings(self.names)?;
        if names.len() > MOST_DEPENDENCIES {
            let fault = format!("{} values, more than {MOST_DEPENDENCIES}", names.len());
            return Err(header.damaged(self.names, &fault));
        }
        let versions = header.strings(self.versions)?;
        let flags = header.integers(self.flags)?;
        let dependency = |index| {
            let flags = flags.get(index).unwrap_or(0);
            let version = text(versions.get(index).unwrap_or_default());
            let versions = comparison(flags).filter(|_| !version.is_empty());
            let dependency = Dependency {
                name: text(names.get(index).unwrap_or_default()),
                versions: versions.map(|comparison| (comparison, Evr::of(&version))),
            };
            (dependency, flags)
        };
        Ok((0..names.len()).map(dependency).collect())
    }
}

fn comparison(flags: u64) -> Option<Comparison> {
    match (flags & LESS != 0, flags & EQUAL != 0, flags & GREATER != 0) {
        (true, false, false) => Some(Comparison::Less),
        (true, true, false) => Some(Comparison::LessOrEqual),
        (false, true, false) => Some(Comparison::Equal),
        (false, true, true) => Some(Comparison::GreaterOrEqual),
        (false, false, true) => Some(Comparison::Greater),
        (false, false, false) | (true, _, true) => None,
    }
}

impl Evr {
    /// Out of `[epoch:]version[-release]`.
    fn of(text: &str) -> Self {
        let epoch = text.split_once(':');
        let epoch = epoch.and_then(|(epoch, rest)| Some((epoch.parse().ok()?, rest)));
        let (epoch, rest) = epoch.unwrap_or((0, text));
        let (version, release) = match rest.rsplit_once('-') {
            Some((version, release)) => (version, Some(release.to_owned())),
            None => (rest, None),
        };
        Self {
            epoch,
            version: version.to_owned(),
            release,
        }
    }
}

fn requires(header: &Header) -> Result<Vec<Requirement>, RpmError> {
    let requires = REQUIRES.read_with_flags(header)?.into_iter();
    let of_packages = requires.filter(|(dependency, flags)| {
        flags & OF_RPM_ITSELF == 0 && !dependency.name.starts_with("rpmlib(")
    });
    let requirement = |(dependency, flags)| Requirement {
        dependency,
        before_install: flags & BEFORE_INSTALL != 0,
    };
    Ok(of_packages.map(requirement).collect())
}

fn paths(header: &Header) -> Result<Vec<OwnedPath>, RpmError> {
    let files = Files::of(header, &Limits::default())?;
    let path = |file: File<'_>| OwnedPath {
        path: text(&[file.directory, file.base].concat()),
        kind: if file.is_directory() {
            PathKind::Directory
        } else if file.is_ghost() {
            PathKind::Ghost
        } else {
            PathKind::File
        },
    };
    Ok(files.iter().map(path).collect())
}

fn changes(header: &Header) -> Result<Vec<Change>, RpmError> {
    const KEPT: usize = 10;
    let times = header.integers(tag::CHANGELOGTIME)?;
    let authors = header.strings(tag::CHANGELOGNAME)?;
    let texts = header.strings(tag::CHANGELOGTEXT)?;
    let change = |index| {
        Some(Change {
            author: text(authors.get(index)?),
            time: times.get(index)?,
            text: text(texts.get(index)?),
        })
    };
    Ok((0..times.len().min(KEPT)).map_while(change).collect())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
